"""The content audit reports verdicts that do not match their images, and no others."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.emit.formats import flag_record, verdict_record
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.evaluation.delivery.content_check import ContentAudit, audit_content
from pipeline.evaluation.offline.scan import scan
from pipeline.events.outcomes import Verdict
from pipeline.events.records import Origin, Record
from pipeline.ingest.decoder import build_decoder
from pipeline.judge.score import Judge
from pipeline.policies.load import load_policy_set
from pipeline.settings import Settings

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def told(samples: Path, policies: Path, bundle: Bundle, encoder: LocalEncoder) -> tuple[list[Record], list[Verdict]]:
    files = sorted((samples / "images/revolver").iterdir())[:3]
    records = [Record(Origin("images", 0, n), None, file.read_bytes()) for n, file in enumerate(files)]
    judge = Judge(build_prompt_bank(load_policy_set(policies), encoder))
    decoder = build_decoder(Settings(policies=policies), bundle.pixels)
    outcomes = list(scan(records, decoder=decoder, encoder=encoder, judge=judge, batch_size=8, threads=1))
    return records, [outcome for outcome in outcomes if isinstance(outcome, Verdict)]


def audited(told: tuple[list[Record], list[Verdict]], policies: Path, edit: Edit, *, repeat: int = 1) -> ContentAudit:
    """Audit a stream's output with its first verdict edited and each flag `repeat` times."""
    records, verdicts = told
    fields = [json.loads(verdict_record(each).value) for each in verdicts]
    edit(fields[0])
    flags = [flag_record(each, flag).value for each in verdicts for flag in each.flags] * repeat
    out = [Record(Origin("verdicts", 0, n), None, json.dumps(each).encode()) for n, each in enumerate(fields)]
    emitted = [Record(Origin("flags", 0, n), None, value) for n, value in enumerate(flags)]
    return audit_content(records, out, emitted, [], Settings(policies=policies))


def test_correct_outcomes_pass(told: tuple[list[Record], list[Verdict]], policies: Path) -> None:
    assert audited(told, policies, lambda _: None) == ContentAudit(3, ())


def score(value: float | None) -> Edit:
    return lambda fields: fields["policies"][0].update(score=value)


def flip(fields: dict[str, Any]) -> None:
    fields["policies"][0]["flagged"] = not fields["policies"][0]["flagged"]


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (score(123.0), "score 123.0"),
        (score(None), "`policies.0.score`: input should be a valid number"),
        (flip, "flagged"),
        (lambda fields: fields.update(model_digest="f" * 64), "model_digest ffffffffffff"),
        (lambda fields: fields["image"].update(content_digest="0" * 64), "content_digest 000000000000"),
        (lambda fields: fields["policies"].pop(), "answered by one of the two"),
    ],
)
def test_a_wrong_outcome_is_reported(
    told: tuple[list[Record], list[Verdict]], policies: Path, edit: Edit, line: str
) -> None:
    found = audited(told, policies, edit)
    assert len(found.wrong) == 1
    assert line in found.wrong[0]


def test_a_flag_emitted_twice_is_reported(told: tuple[list[Record], list[Verdict]], policies: Path) -> None:
    assert any("flag events" in line for line in audited(told, policies, lambda _: None, repeat=2).wrong)


def test_a_verdict_in_place_of_a_dead_letter_is_reported(
    told: tuple[list[Record], list[Verdict]], policies: Path
) -> None:
    records, verdicts = told
    broken = [dataclasses.replace(records[0], value=b"no image"), *records[1:]]
    assert audited((broken, verdicts), policies, lambda _: None).wrong == (
        "images/0/0: judged, expected unsupported_format",
    )
