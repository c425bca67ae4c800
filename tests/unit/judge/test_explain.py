"""A flag is made again from its fields and the archived embedding, or what differs is said."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.cli.main import app
from pipeline.cli.transition import InProcess
from pipeline.emit.formats import flag_fields
from pipeline.errors import UsageError
from pipeline.events.outcomes import FlagEvent, Verdict
from pipeline.ingest.folder import read_files
from pipeline.judge.explain import explain
from pipeline.judge.score import Judge
from pipeline.policies.load import load_policy_set


@pytest.fixture(scope="module")
def judged(samples: Path, policies: Path) -> tuple[Judge, list[tuple[Verdict, FlagEvent]]]:
    """Every flag of a few photographs."""
    process = InProcess(load_policy_set(policies))
    photographs = [path for kind in ("revolver", "watch", "Leopards") for path in (samples / "images" / kind).iterdir()]
    verdicts = process.outcomes(sorted(photographs), read_files)
    flags = [(verdict, flag) for verdict in verdicts if isinstance(verdict, Verdict) for flag in verdict.flags]
    assert len(flags) > 30
    return Judge(process.bank), flags


def test_every_flag_is_proved_and_shown_by_what_made_it(
    judged: tuple[Judge, list[tuple[Verdict, FlagEvent]]],
) -> None:
    judge, flags = judged
    for verdict, flag in flags:
        found = explain(flag_fields(verdict, flag), verdict.embedding, verdict.image.content_digest, judge)
        assert found.proved, found.differences
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
def test_what_is_not_so_is_named(
    judged: tuple[Judge, list[tuple[Verdict, FlagEvent]]], place: tuple[str, ...], value: object, told: str
) -> None:
    judge, [(verdict, flag), *_] = judged
    fields: dict[str, Any] = copy.deepcopy(flag_fields(verdict, flag))
    inner = fields
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    found = explain(fields, verdict.embedding, verdict.image.content_digest, judge)
    assert not found.proved
    assert any(told in each for each in found.differences), found.differences


def test_another_embedding_proves_nothing(judged: tuple[Judge, list[tuple[Verdict, FlagEvent]]]) -> None:
    judge, [(verdict, flag), *_] = judged
    other: NDArray[np.float16] = (-verdict.embedding).astype(np.float16)
    found = explain(flag_fields(verdict, flag), other, verdict.image.content_digest, judge)
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
    event = verdict.image.event
    row = ArchivedEmbedding(
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
    monkeypatch.setenv("WATCHWORD_ARCHIVE", archive.address)
    told = tmp_path / "flag.json"
    told.write_text(json.dumps(fields))
    words = ["explain", str(told), "--policies", str(policies)]
    assert "has no embeddings of the model" in str(CliRunner().invoke(app, words).exception)
    archive.add([row])
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.stderr
    assert "proved: made again from the archived embedding" in shown.stdout
    assert flag.policy.prompts[0] in shown.stdout
    told.write_text(json.dumps({**fields, "score": 99.0}))
    assert CliRunner().invoke(app, words).exit_code == 1
    told.write_text("[]")
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, UsageError)
    assert "not one flag event" in str(refused.exception)
