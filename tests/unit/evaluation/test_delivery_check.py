"""A stream adds up when each record has exactly one outcome, and each verdict its required flags."""

from dataclasses import replace
from datetime import date

import pytest

from pipeline.emit.formats import embedding_record, flag_record, verdict_record
from pipeline.errors import UnreadableRecord
from pipeline.evaluation.delivery.delivery_check import DeliveryCheck, check_delivery
from pipeline.events.outcomes import Verdict
from pipeline.events.policies import Mode, PolicySet
from pipeline.events.records import Origin, Record
from pipeline.policies.compile import compose, with_digest
from tests.support import wire
from tests.support.golden.outcomes import AIMED, FIREARMS, POLICY_SET, verdicts


def came_in(n: int) -> Record:
    return Record(origin(n), None, b"x")


def verdict(n: int, *, flagged: bool = False) -> Record:
    answers = [wire.answer("a", flagged=flagged), wire.answer("b", flagged=True, mode=Mode.SHADOW)]
    return wire.record(wire.verdict(origin(n), answers))


def flag(n: int, flag_id: str) -> Record:
    return wire.record(wire.flag(origin(n), "a", flag_id))


def embedding(n: int) -> Record:
    return wire.embedding(origin(n))


def letter(n: int) -> Record:
    return wire.dead_letter(origin(n))


def origin(n: int) -> Origin:
    return Origin("images", 0, n)


def count(
    verdicts: list[Record], embeddings: list[Record], flags: list[Record], letters: list[Record], records: int = 3
) -> DeliveryCheck:
    return check_delivery([came_in(n) for n in range(records)], verdicts, embeddings, flags, letters)


def test_one_outcome_each_adds_up() -> None:
    found = count([verdict(0, flagged=True), verdict(1)], [embedding(0), embedding(1)], [flag(0, "f")], [letter(2)])
    assert found.adds_up
    assert found.summary() == "3 records in, 2 verdicts, 1 flag, 1 dead letter, 0 lost, 0 duplicated"


Records = list[Record]
WHOLE: tuple[Records, Records, Records, Records] = (
    [verdict(0), verdict(1)],
    [embedding(0), embedding(1)],
    [],
    [letter(2)],
)


@pytest.mark.parametrize(
    ("verdicts", "embeddings", "flags", "letters"),
    [
        ([verdict(0)], [embedding(0)], [], [letter(2)]),
        ([verdict(0), verdict(1), verdict(1)], [embedding(0), embedding(1)], [], [letter(2)]),
        ([verdict(0), verdict(1), verdict(2)], [embedding(0), embedding(1), embedding(2)], [], [letter(2)]),
        ([verdict(0), verdict(1)], [embedding(0), embedding(1), embedding(1)], [], [letter(2)]),
        ([verdict(0), verdict(1)], [embedding(0)], [], [letter(2)]),
        ([verdict(0, flagged=True), verdict(1)], [embedding(0), embedding(1)], [], [letter(2)]),
        ([verdict(0, flagged=True), verdict(1)], [embedding(0), embedding(1)], [flag(0, "f")] * 2, [letter(2)]),
        ([verdict(0), verdict(1)], [embedding(0), embedding(1)], [flag(0, "f")], [letter(2)]),
        ([verdict(0), verdict(1), verdict(7)], [embedding(0), embedding(1), embedding(7)], [], [letter(2)]),
    ],
    ids=[
        "a record without outcome",
        "a verdict twice",
        "a verdict and a dead letter",
        "an embedding twice",
        "an embedding missing",
        "a flag missing",
        "a flag twice",
        "a flag nobody called for",
        "an outcome of nothing",
    ],
)
def test_each_way_not_to_add_up_is_found(
    verdicts: list[Record], embeddings: list[Record], flags: list[Record], letters: list[Record]
) -> None:
    assert count(*WHOLE).adds_up
    assert not count(verdicts, embeddings, flags, letters).adds_up


def outcomes(verdict: Verdict, policy_set: PolicySet) -> DeliveryCheck:
    """Count the records that a sink sends for one verdict."""
    origin = verdict.image.event.origin
    flags = [wire.read_back(flag_record(verdict, each)) for each in verdict.flags]
    return check_delivery(
        [Record(origin, None, b"x")],
        [wire.read_back(verdict_record(verdict))],
        [wire.read_back(embedding_record(verdict))],
        flags,
        [],
        [policy_set],
    )


def test_a_child_that_matches_needs_no_flag() -> None:
    """It raises the severity of its parent's flag, and the verdict does not say that it is a child."""
    [raised, *_] = verdicts()
    assert [each.policy.id for each in raised.flags[0].raised_by] == [AIMED.id]
    assert outcomes(raised, POLICY_SET).adds_up
    without = replace(raised, flags=())
    assert outcomes(without, POLICY_SET).stray == (f"flag of images/2/0 by {FIREARMS.id}",)


def with_firearms(verdict: Verdict, **changes: object) -> Verdict:
    """Return the verdict by a set with another version of the firearms policy, and without flags."""
    changed = with_digest(replace(FIREARMS, **changes), [AIMED])  # type: ignore[arg-type]  # by field
    others = [each for each in POLICY_SET.policies if each.id != FIREARMS.id]
    return replace(verdict, policy_set=compose([*others, changed], POLICY_SET.background), flags=())


def test_a_policy_that_has_expired_needs_no_flag() -> None:
    """The day of the verdict counts."""
    [raised, *_] = verdicts()
    expired = with_firearms(raised, expires=date(2031, 5, 19))
    assert outcomes(expired, expired.policy_set).adds_up
    last_day = with_firearms(raised, expires=date(2031, 5, 20))
    assert not outcomes(last_day, last_day.policy_set).adds_up


def test_a_child_of_a_shadow_needs_no_flag() -> None:
    [raised, *_] = verdicts()
    shadowed = with_firearms(raised, mode=Mode.SHADOW)
    assert outcomes(shadowed, shadowed.policy_set).adds_up


def test_an_outcome_that_cannot_be_read_is_named() -> None:
    broken = Record(Origin("moderation.verdicts", 1, 7), None, b"{}")
    with pytest.raises(UnreadableRecord, match=r"moderation.verdicts/1/7 cannot be read as a verdict record: `event`"):
        count([broken], [], [], [])
