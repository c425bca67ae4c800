"""
The outside of the program stays as recorded in `tests/golden`, even when the code inside moves.

Commands, options, spellings, choices, settings, metrics and error classes may be added. One that is recorded may be
neither removed nor changed, in type, default, requiredness, number of values, bounds, labels or buckets, and none that
is added to a recorded command may be required. Records are written byte for byte as recorded, and those of a real run
are still read. After an intended change, `python -m tests.support.golden write` shows it in the diff.
"""

import json
from collections import Counter
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.golden import readers
from tests.support.golden.compare import broken
from tests.support.golden.files import read_facts, read_lines, read_records
from tests.support.golden.metrics import metrics
from tests.support.golden.surface import commands, exit_codes, settings
from tests.support.golden.written import written

KINDS = (
    *("verdicts", "flags", "embeddings", "dead-letters", "decisions", "policies"),
    *("dead-letter-handling", "requeued"),
)


def fields(name: str) -> list[dict[str, Any]]:
    return [json.loads(record.value or b"") for record in read_records(name)]


def parsed(line: str | None) -> Any:
    """Return a written record with its value's fields, where it has any."""
    record = json.loads(line or "null")
    try:
        return {**record, "value": json.loads(record["value"])}
    except (TypeError, ValueError):
        return record


@pytest.mark.parametrize(
    ("name", "now"),
    [("commands", commands), ("settings", settings), ("metrics", metrics), ("exit_codes", exit_codes)],
)
def test_nothing_recorded_is_gone_or_different(name: str, now: Callable[[], dict[str, Any]]) -> None:
    if lines := sorted(broken(read_facts(name), now())):
        pytest.fail("\n".join([*lines, "if that is meant: `python -m tests.support.golden write`"]), pytrace=False)


OPTION: dict[str, Any] = {"name": "tone", "required": False, "choices": ["a", "b"]}


@pytest.mark.parametrize(
    "now",
    [
        {"--tone": OPTION, "-t": OPTION},
        {"--tone": {**OPTION, "name": "other"}},
        {"--tone": {**OPTION, "choices": ["a", "c", "b"]}},
    ],
    ids=["another spelling", "another name inside", "another choice"],
)
def test_an_addition_passes(now: dict[str, Any]) -> None:
    assert list(broken({"--tone": OPTION}, now)) == []


@pytest.mark.parametrize(
    "now",
    [
        {},
        {"--tone": {**OPTION, "required": True}},
        {"--tone": {**OPTION, "choices": ["a"]}},
        {"--tone": OPTION, "--new": {**OPTION, "required": True}},
    ],
    ids=["removed", "changed", "a choice removed", "added and required"],
)
def test_what_breaks_a_caller_does_not_pass(now: dict[str, Any]) -> None:
    assert len(list(broken({"--tone": OPTION}, now))) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_records_are_written_byte_for_byte_as_recorded(kind: str) -> None:
    name = f"written-{kind}"
    for recorded, now in zip_longest(read_lines(name), written()[name]):
        assert now == recorded, "\n".join(broken(parsed(recorded), parsed(now))) or "another order, or an addition"


def test_each_recorded_verdict_is_read_with_the_policy_set_it_names() -> None:
    control = readers.control(read_records("policies"))
    for record, told in zip(read_records("verdicts"), fields("verdicts"), strict=True):
        policy_set = control.policy_set(told["policy_set_digest"])
        read = readers.verdict(record, policy_set)
        answers = {each["id"]: (each["score"], each["flagged"], each["digest"]) for each in told["policies"]}
        columns = zip(read.in_scope, policy_set.policies, read.scores, read.flagged, strict=True)
        found = {policy.id: (score, flagged, policy.digest) for within, policy, score, flagged in columns if within}
        assert found == answers


def test_recorded_outcomes_answer_each_recorded_image_once() -> None:
    kinds = ("images", "verdicts", "embeddings", "flags", "dead_letters")
    audit = readers.stream(*map(read_records, kinds), control=readers.control(read_records("policies")))
    assert audit.adds_up, audit
    assert audit.records == audit.verdicts + audit.dead_letters


def test_each_recorded_image_is_read_as_the_event_that_its_verdict_names() -> None:
    told = {tuple(each["origin"].values()): each["event"] for each in fields("verdicts")}
    for record in read_records("images"):
        origin = record.origin
        event = told.get((origin.topic, origin.partition, origin.offset))
        if event is not None:
            read = readers.image(record)
            assert (read.id, read.source, dict(read.attributes)) == (event["id"], event["source"], event["attributes"])


def test_each_recorded_flag_names_a_policy_of_its_set() -> None:
    control = readers.control(read_records("policies"))
    for record in read_records("flags"):
        flag = readers.flag(record)
        policies = {each.id: each for each in control.policy_set(flag.policy_set_digest).policies}
        policy = policies[flag.policy.id]
        assert flag.policy.digest == policy.digest
        assert flag.threshold == policy.threshold


def test_each_recorded_dead_letter_is_read_with_its_reason() -> None:
    for record in read_records("dead_letters"):
        told = [value for name, value in record.headers if name == "watchword-reason"]
        assert readers.dead_letter(record).own.reason.encode() == told[-1]


def test_each_recorded_decision_is_read() -> None:
    for record, told in zip(read_records("decisions"), fields("decisions"), strict=True):
        read = readers.decision(record)
        assert (read.ruling.value, "\n".join(read.about).encode()) == (told["ruling"], record.key)


def test_recorded_releases_are_read_with_their_sets() -> None:
    control = readers.control(read_records("policies"))
    assert control.current == control.releases[4]
    for release in control.history():
        control.policy_set(release.digest)
        if release.canary:
            control.policy_set(release.canary.digest)


def test_recorded_embeddings_are_archived_in_the_recorded_columns(tmp_path: Path) -> None:
    rows = [readers.embedding(record) for record in read_records("embeddings")]
    archive = readers.archived(rows, tmp_path)
    assert list(broken(read_facts("archive"), readers.archive_columns(archive))) == []
    for row in rows:
        found = archive.find(row.model, row.key)
        assert found is not None
        assert found[0] == row.content
        assert np.array_equal(found[1], row.vector)


def test_the_recorded_run_has_every_kind_of_outcome() -> None:
    """Readers are tested only on kinds of outcome that the run has."""
    verdicts, flags, releases = fields("verdicts"), fields("flags"), readers.control(read_records("policies")).history()
    said = [each for verdict in verdicts for each in verdict["policies"]]
    assert any(verdict["audit"] for verdict in verdicts)
    assert len({verdict["policy_set_digest"] for verdict in verdicts}) == 3
    assert len({len(verdict["policies"]) for verdict in verdicts[:6]}) > 1, "in and out of scope"
    assert {(each["mode"], each["flagged"]) for each in said} == {
        (mode, flagged) for mode in ("enforce", "shadow") for flagged in (True, False)
    }
    assert any(flag["raised_by"] for flag in flags)
    assert any(flag["policy"]["labels"] for flag in flags)
    assert any(flag["calibration"] for flag in flags)
    assert any(release.canary for release in releases)
    reasons = Counter(readers.dead_letter(record).own.reason for record in read_records("dead_letters"))
    assert len(reasons) >= 6
    assert {bool("thumbnail" in dict(record.headers)) for record in read_records("embeddings")} == {True, False}
