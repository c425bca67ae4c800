"""A restricted policy: the images it flags are not shown, and each access is recorded."""

import json
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.cli.main import app
from pipeline.emit.formats import embedding_record
from pipeline.encode.local import LocalEncoder
from pipeline.errors import OriginalGone, PolicyError, UsageError
from pipeline.evaluation.labelling.estimates import Labelling
from pipeline.evaluation.labelling.session import Candidate, LabellingSession
from pipeline.evaluation.stats.stratified_sample import draw_sample
from pipeline.events.outcomes import Verdict
from pipeline.ingest.folder import read_files
from pipeline.operations.images.search_archive import search_archive
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import load_policy_set
from pipeline.settings import Settings, load_settings
from tests.support.publishing import two_policies, with_threshold

POLICY = "weapons.firearms"
FILE = "weapons-firearms.yaml"


def restricted(folder: Path) -> Path:
    with (folder / FILE).open("a") as text:
        text.write("restricted: true\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two policies, with the one about firearms restricted; accesses are recorded in `access.jsonl`."""
    folder = restricted(two_policies(tmp_path / "policies"))
    monkeypatch.setenv("WATCHWORD_POLICIES", str(folder))
    monkeypatch.setenv("WATCHWORD_ACCESS_LOG", str(tmp_path / "access.jsonl"))
    monkeypatch.setenv("WATCHWORD_ARCHIVE", str(tmp_path / "archive"))
    return folder


@pytest.fixture
def photographs(tmp_path: Path, samples: Path) -> Path:
    """Three revolvers and three leopards with their labels."""
    images = tmp_path / "images"
    images.mkdir()
    rows = ["image,policies"]
    for kind, policy in (("revolver", POLICY), ("Leopards", "wildlife.big_cats")):
        for path in sorted((samples / "images" / kind).iterdir())[:3]:
            name = f"{kind}-{path.name}"
            (images / name).symlink_to(path)
            # Wrong on purpose, so that there are errors to show.
            rows.append(f"{name},{'wildlife.big_cats' if policy == POLICY else POLICY}")
    (images / "labels.csv").write_text("\n".join(rows))
    return images


def watchword(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def accesses(folder: Path) -> list[str]:
    return [json.loads(line)["command"] for line in (folder.parent / "access.jsonl").read_text().splitlines()]


def test_the_page_of_a_scan_has_no_picture_of_its_flags(folder: Path, photographs: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    open_page = tmp_path / "open.html"
    assert watchword("scan", str(photographs), "--html", str(page)).exit_code == 1
    assert accesses(folder) == ["scan"]
    before = two_policies(tmp_path / "unrestricted")
    watchword("scan", str(photographs), "--policies", str(before), "--html", str(open_page))
    shown, all_shown = (each.read_text().count("data:image/jpeg") for each in (page, open_page))
    assert all_shown == 6
    assert shown == 3, "the leopards"


def test_the_page_of_a_replay_has_none_of_its_pictures_under_any_policy(
    folder: Path, photographs: Path, tmp_path: Path
) -> None:
    """Every revolver is an error of the other policy, and every leopard is an error of the restricted one."""
    page = tmp_path / "replay.html"
    assert watchword("replay", str(photographs / "labels.csv"), "--html", str(page)).exit_code == 0
    assert page.read_text().count("data:image/jpeg") == 0
    assert "replay" in accesses(folder)


def test_a_back_test_counts_its_flags_and_names_no_example(folder: Path, tmp_path: Path, encoder: LocalEncoder) -> None:
    [vector] = encoder.encode_texts(["a revolver"]).astype(np.float16)
    now = datetime.now(UTC)
    rows = [
        ArchivedEmbedding(f"i/0/{n}", encoder.model_digest, f"e{n}", "shop", "{}", "c", now, "s", vector)
        for n in range(3)
    ]
    Archive(str(tmp_path / "archive")).add(rows)
    high = restricted(two_policies(tmp_path / "high"))
    with_threshold(high, 99)
    run = watchword("policies", "backtest", str(folder), "--before", str(high), "--format", "json")
    change = json.loads(run.stdout)["policies"][POLICY]
    assert (change["newly_flagged"], change["nearest_flagged"]) == (3, [])
    assert accesses(folder) == ["policies backtest"]


def test_a_search_leaves_out_the_images_it_flags_and_counts_them(
    folder: Path, tmp_path: Path, encoder: LocalEncoder
) -> None:
    with_threshold(folder, 1)
    vectors = encoder.encode_texts(["a revolver", "a leopard"]).astype(np.float16)
    now = datetime.now(UTC)
    rows = [
        ArchivedEmbedding(f"i/0/{n}", encoder.model_digest, f"e{n}", "shop", "{}", f"c{n}", now, "s", vector)
        for n, vector in enumerate(vectors)
    ]
    Archive(str(tmp_path / "archive")).add(rows)
    found = search_archive(Workbench(load_settings(Settings), user="ana"), "a revolver", since=None, top=5)
    assert [each.event_id for each in found.images] == ["e1"]
    assert found.withheld == 1
    assert accesses(folder) == ["search"]


def test_a_restricted_policy_is_not_labelled(folder: Path) -> None:
    run = watchword("policies", "label", POLICY, "--policies", str(folder))
    assert isinstance(run.exception, UsageError)
    assert "is restricted" in str(run.exception)
    assert accesses(folder) == [f"policies label {POLICY}"]


def test_its_images_are_not_shown_when_another_policy_is_labelled(tmp_path: Path, revolver: bytes) -> None:
    scores = np.arange(4, dtype=np.float64)
    strata = draw_sample(scores, scores > 2, scores > 2, 4, np.random.default_rng(1))
    labelling = Labelling(strata, scores, target=0.9, confidence=0.95, rng=np.random.default_rng(1))
    candidates = [
        Candidate(place, f"i/0/{place}", f"e{place}", "shop", "c", flagged=False, withheld=place == 2)
        for place in labelling.order
    ]
    session = LabellingSession(
        "p", candidates, labelling, lambda *_: revolver, file=tmp_path / "l.jsonl", reviewer="ana"
    )
    for number, candidate in enumerate(candidates):
        if candidate.withheld:
            with pytest.raises(OriginalGone, match="restricted"):
                session.clear(number)
        else:
            assert session.clear(number)


def test_without_a_record_of_the_access_nothing_is_shown(
    folder: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHWORD_ACCESS_LOG", str(tmp_path))
    run = watchword("scan", str(photographs), "--html", str(tmp_path / "report.html"))
    assert isinstance(run.exception, UsageError)
    assert not (tmp_path / "report.html").exists()


def test_a_restricted_policy_has_no_examples_and_another_digest(folder: Path, tmp_path: Path) -> None:
    before = load_policy_set(two_policies(tmp_path / "unrestricted"))
    after = load_policy_set(folder)
    assert [policy.restricted for policy in after.policies] == [True, False]
    changed = [a.digest != b.digest for a, b in zip(before.policies, after.policies, strict=True)]
    assert changed == [True, False]
    with (folder / FILE).open("a") as text:
        text.write("examples: [{ image: a.jpg, flag: true }]\n")
    with pytest.raises(PolicyError, match="no `examples`"):
        load_policy_set(folder)


def test_a_thumbnail_is_kept_on_request_but_never_of_its_flags(
    folder: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(photographs.glob("*.jpg"))
    assert not any("thumbnail" in each for each in embeddings(folder, files)), "none by default"
    monkeypatch.setenv("WATCHWORD_ARCHIVE_THUMBNAILS", "48")
    found = embeddings(folder, files)
    for file, headers in zip(files, found, strict=True):
        small = headers.get("thumbnail")
        assert (small is None) is file.name.startswith("revolver"), file
        if small is not None:
            with Image.open(BytesIO(small)) as picture:
                assert max(picture.size) == 48


def embeddings(folder: Path, files: list[Path]) -> list[dict[str, bytes]]:
    workbench = Workbench(load_settings(Settings), user="ana")
    outcomes = workbench.outcomes(workbench.bank(load_policy_set(folder)), files, read_files)
    return [dict(embedding_record(outcome).headers) for outcome in outcomes if isinstance(outcome, Verdict)]
