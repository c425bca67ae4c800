"""Commands about releases: the history, the warning before an activation, the hint after a rollback."""

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.cli.main import app
from pipeline.encode.local import LocalEncoder
from pipeline.events.releases import Release
from pipeline.operations.policies import activate, changed_images
from pipeline.policies.load import load_policy_set
from pipeline.releases.control_topic import ReleaseRequest
from tests.support.publishing import two_policies, with_threshold
from tests.support.releasing import control_with, serve

POLICY = "weapons.firearms"


@pytest.fixture
def activated(monkeypatch: pytest.MonkeyPatch) -> list[Release]:
    """The releases that commands activate, in place of a broker."""
    releases: list[Release] = []

    def publish(_: object, topic: str, request: ReleaseRequest, *, max_record_bytes: int) -> Release:
        releases.append(request.release())
        return releases[-1]

    monkeypatch.setattr(activate, "publish", publish)
    return releases


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two policies, published as version 1, and an edit of one of them."""
    folder = two_policies(tmp_path / "policies")
    monkeypatch.setenv("WATCHWORD_ARCHIVE", str(tmp_path / "archive"))
    serve(monkeypatch, control_with(load_policy_set(folder)))
    with_threshold(folder, 2.5)
    return folder


def policies(*words: object, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["policies", *map(str, words)], input=answer)


def test_before_anything_is_published_history_says_how_to(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, control_with())
    assert policies("history").stdout == "nothing is published yet; publish with `watchword policies publish`\n"
    assert json.loads(policies("history", "--format", "json").stdout) == []


def test_nothing_is_activated_without_a_yes(folder: Path, activated: list[Release]) -> None:
    refused = policies("publish", folder, answer="n\n")
    assert refused.exit_code == 1
    assert "Activate this policy set?" in refused.stderr
    assert activated == []
    published = policies("publish", folder, "-m", "lower", answer="y\n")
    assert published.exit_code == 0, published.exception
    assert json.loads(published.stdout.splitlines()[-1])["digest"] == load_policy_set(folder).digest
    [release] = activated
    assert (release.version, release.note) == (2, "lower")


def test_an_enforced_policy_without_evidence_gets_a_warning(folder: Path, activated: list[Release]) -> None:
    shown = policies("publish", folder, "--yes").stderr
    assert f"warning: `{POLICY}` is enforced, but no labels support its threshold yet" in shown
    assert f"`watchword policies label {POLICY}`" in shown
    assert "no labels support" not in policies("publish", folder, "--shadow", "--yes").stderr
    assert len(activated) == 2


def test_a_page_needs_archived_images(folder: Path, activated: list[Release], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    shown = policies("publish", folder, "--yes", "--html", page).stderr
    assert "the archive has no images to judge" in " ".join(shown.split())
    assert not page.exists()


def test_the_page_shows_the_images_that_the_release_changes(
    folder: Path,
    activated: list[Release],
    tmp_path: Path,
    encoder: LocalEncoder,
    revolver: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page is written before the question, so it exists even after a no."""
    [vector] = encoder.encode_texts(["a revolver"]).astype(np.float16)
    row = ArchivedEmbedding("images/0/0", encoder.model_digest, "e0", "shop", "{}", "c", datetime.now(UTC), "s", vector)
    Archive(str(tmp_path / "archive")).add([row])
    originals = mock.Mock(fetch=lambda *_: revolver)
    monkeypatch.setattr(changed_images, "open_originals", lambda _: nullcontext(originals))
    with_threshold(folder, 99.0)
    serve(monkeypatch, control_with(load_policy_set(folder)))
    with_threshold(folder, -99.0)
    page = tmp_path / "page.html"
    shown = policies("publish", folder, "--html", page, answer="n\n").stderr
    assert "of 1 image archived in the last 7 days:" in shown
    assert f"{POLICY}: 1 newly flagged, 0 newly cleared" in shown
    assert activated == []
    text = page.read_text()
    assert text.count("data:image/jpeg") == 1
    assert f"{POLICY}: newly flagged" in text


def test_a_rollback_says_that_the_folder_may_still_hold_the_edit(
    folder: Path, activated: list[Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    two_policies(folder.parent / "first")
    first = load_policy_set(folder.parent / "first")
    serve(monkeypatch, control_with(first, load_policy_set(folder)))
    run = policies("rollback", "--yes")
    assert run.exit_code == 0, run.exception
    assert activated[0].digest == first.digest
    assert "publishing their folder brings it back" in " ".join(run.stderr.split())


def test_the_exit_code_of_a_diff_says_if_sets_differ(folder: Path) -> None:
    run = policies("diff", "current", folder)
    assert run.exit_code == 1
    assert run.stdout.splitlines()[0] == f"~ {POLICY} (changed)"
    same = policies("diff", folder, folder)
    assert (same.exit_code, same.stdout) == (0, "no difference\n")
