"""A flag is recomputed from its fields and the archived embedding, and differences are reported."""

import copy
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.cli.main import app
from pipeline.emit.formats import flag_content, flag_fields
from pipeline.encode.local import LocalEncoder
from pipeline.errors import OriginalGone, UsageError
from pipeline.events.outcomes import FlagEvent, Verdict
from pipeline.events.wire.flag import FlagRecord
from pipeline.ingest.folder import read_files
from pipeline.judge.explain import explain
from pipeline.judge.score import Judge
from pipeline.operations.stream import explain as explaining
from pipeline.policies.load import load_policy_set
from tests.support.releasing import make_workbench


@pytest.fixture(scope="module")
def judged(samples: Path, policies: Path, encoder: LocalEncoder) -> tuple[Judge, list[tuple[Verdict, FlagEvent]]]:
    """All flags of a few photographs."""
    workbench = make_workbench(encoder)
    bank = workbench.bank(load_policy_set(policies))
    photographs = [path for kind in ("revolver", "watch", "Leopards") for path in (samples / "images" / kind).iterdir()]
    verdicts = workbench.outcomes(bank, sorted(photographs), read_files)
    flags = [(verdict, flag) for verdict in verdicts if isinstance(verdict, Verdict) for flag in verdict.flags]
    assert len(flags) > 30
    return Judge(bank), flags


def test_every_flag_is_confirmed_and_shown_with_its_prompts(
    judged: tuple[Judge, list[tuple[Verdict, FlagEvent]]],
) -> None:
    judge, flags = judged
    for verdict, flag in flags:
        found = explain(flag_content(verdict, flag), verdict.embedding, verdict.image.content_digest, judge)
        assert found.confirmed, found.differences
        assert found.score == pytest.approx(flag.score, abs=1e-3)
        prompts = [each for each in found.contributions if each.side == "prompt"]
        against = [each for each in found.contributions if each.side != "prompt"]
        for pool in (prompts, against):
            assert sum(each.share for each in pool) == pytest.approx(1)
            assert [each.similarity for each in pool] == sorted((each.similarity for each in pool), reverse=True)
        said = {each.prompt: each.similarity for each in flag.similarities if each.kind == "prompt"}
        assert {each.text: pytest.approx(each.similarity, abs=1e-5) for each in prompts} == said


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("score",), 99.0, "the score: the flag says 99.0000"),
        (("threshold",), 0.5, "the threshold: the flag says 0.5"),
        (("event", "id"), "another", "the flag's id"),
        (("image", "content_digest"), "0" * 64, "the image's bytes"),
        (("policy", "digest"), "0" * 64, "the policy: the flag says 0000"),
        (("policy", "id"), "weapons.none", "has no policy `weapons.none`"),
        (("model_digest",), "0" * 64, "the model: "),
        (("policy_set_digest",), "0" * 64, "the policy set: "),
    ],
)
def test_a_false_field_is_named(
    judged: tuple[Judge, list[tuple[Verdict, FlagEvent]]], place: tuple[str, ...], value: object, told: str
) -> None:
    judge, [(verdict, flag), *_] = judged
    fields: dict[str, Any] = copy.deepcopy(flag_fields(verdict, flag))
    inner = fields
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    edited = FlagRecord.parse_json(orjson.dumps(fields), "the flag")
    found = explain(edited, verdict.embedding, verdict.image.content_digest, judge)
    assert not found.confirmed
    assert any(told in each for each in found.differences), found.differences


def test_another_embedding_proves_nothing(judged: tuple[Judge, list[tuple[Verdict, FlagEvent]]]) -> None:
    judge, [(verdict, flag), *_] = judged
    other: NDArray[np.float16] = (-verdict.embedding).astype(np.float16)
    found = explain(flag_content(verdict, flag), other, verdict.image.content_digest, judge)
    assert any("is under the threshold" in each for each in found.differences)


def test_the_command_takes_a_flag_as_it_was_emitted(
    judged: tuple[Judge, list[tuple[Verdict, FlagEvent]]],
    policies: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, [(verdict, flag), *_] = judged
    fields = flag_fields(verdict, flag)
    archive = Archive(str(tmp_path / "archive"))
    monkeypatch.setenv("WATCHWORD_ARCHIVE", archive.address)
    told = tmp_path / "flag.json"
    told.write_bytes(orjson.dumps(fields))
    words = ["explain", str(told), "--policies", str(policies)]
    assert "has no embeddings of the model" in str(CliRunner().invoke(app, words).exception)
    archive.add([archived(verdict)])
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.stderr
    assert "confirmed: recomputing it from the archived embedding" in shown.stdout
    assert flag.policy.prompts[0] in shown.stdout
    told.write_bytes(orjson.dumps({**fields, "score": 99.0}))
    assert CliRunner().invoke(app, words).exit_code == 1
    told.write_text("[]")
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, UsageError)
    assert "not one flag event" in str(refused.exception)


def archived(verdict: Verdict) -> ArchivedEmbedding:
    event = verdict.image.event
    return ArchivedEmbedding(
        key=str(event.origin),
        model=verdict.model_digest,
        event_id=event.id,
        source=event.source,
        attributes="{}",
        content=verdict.image.content_digest,
        time=verdict.time,
        policy_set=verdict.policy_set.digest,
        vector=verdict.embedding,
    )


class Originals:
    """Replaces the broker: it reads each image from its file instead of its record."""

    def __init__(self, gone: str = "") -> None:
        self._gone = gone

    def fetch(self, key: str, content: str, reference: str = "") -> bytes:
        if self._gone:
            raise OriginalGone(self._gone)
        return Path(key.rsplit("/", 2)[0]).read_bytes()


@pytest.mark.parametrize(
    ("gone", "edit", "shown"),
    [
        ("", "", "data:image/jpeg;base64,"),
        ("`i/0/1` is no longer retained", "", "No picture: `i/0/1` is no longer retained."),
        ("", "restricted: true", "No picture: a restricted policy flags this image."),
    ],
    ids=["there", "gone", "restricted"],
)
def test_the_page_has_the_picture_if_it_may_be_shown_and_is_available(
    judged: tuple[Judge, list[tuple[Verdict, FlagEvent]]],
    policies: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gone: str,
    edit: str,
    shown: str,
) -> None:
    _, [(verdict, flag), *_] = judged
    archive = Archive(str(tmp_path / "archive"))
    archive.add([archived(verdict)])
    monkeypatch.setenv("WATCHWORD_ARCHIVE", archive.address)
    monkeypatch.setenv("WATCHWORD_POLICIES", str(active_policies(tmp_path, policies, flag.policy.id, edit)))
    monkeypatch.setattr(explaining, "open_originals", lambda _: nullcontext(Originals(gone)))
    told, page = tmp_path / "flag.json", tmp_path / "flag.html"
    told.write_bytes(orjson.dumps(flag_fields(verdict, flag)))
    run = CliRunner().invoke(app, ["explain", str(told), "--policies", str(policies), "--html", str(page)])
    assert run.exit_code == 0, run.exception
    text = page.read_text()
    assert shown in text
    assert ("data:image" in text) == shown.startswith("data:image")
    assert flag.policy.prompts[0] in text
    assert page.stat().st_mode & 0o777 == 0o600


def active_policies(folder: Path, policies: Path, policy_id: str, edit: str) -> Path:
    """A folder of the policies without examples; one policy has an additional line."""
    copy_of = folder / "policies"
    shutil.copytree(policies, copy_of)
    [path] = [path for path in copy_of.glob("*.yaml") if f"id: {policy_id}\n" in path.read_text()]
    path.write_text(path.read_text().partition("examples:")[0] + f"{edit}\n")
    return copy_of
