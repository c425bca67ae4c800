"""Counting what came out against what went in, and how well a score ranks."""

import json
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.delivery.delivery_check import DeliveryCheck, check_delivery
from pipeline.evaluation.stats.average_precision import average_precision
from pipeline.evaluation.stats.confusion import best_f1_threshold, confusion
from pipeline.events.records import Origin, Record


def came_in(n: int) -> Record:
    return Record(Origin("images", 0, n), None, b"x")


def verdict(n: int, *, flagged: bool = False) -> Record:
    policies = [{"id": "a", "flagged": flagged, "mode": "enforce"}, {"id": "b", "flagged": True, "mode": "shadow"}]
    return out({"origin": origin(n), "policies": policies})


def flag(n: int, flag_id: str) -> Record:
    return out({"origin": origin(n), "policy": {"id": "a"}, "flag_id": flag_id})


def embedding(n: int) -> Record:
    return Record(Origin("out", 0, n), None, b"", (("origin", f"images/0/{n}".encode()),))


def letter(n: int) -> Record:
    place = {"topic": "images", "partition": "0", "offset": str(n)}
    return Record(Origin("out", 0, n), None, b"", tuple((f"watchword-{k}", v.encode()) for k, v in place.items()))


def origin(n: int) -> dict[str, Any]:
    return {"topic": "images", "partition": 0, "offset": n}


def out(fields: dict[str, Any]) -> Record:
    return Record(Origin("out", 0, 0), None, json.dumps(fields).encode())


def count(
    verdicts: list[Record], embeddings: list[Record], flags: list[Record], letters: list[Record], records: int = 3
) -> DeliveryCheck:
    return check_delivery([came_in(n) for n in range(records)], verdicts, embeddings, flags, letters)


def test_one_outcome_each_adds_up() -> None:
    found = count([verdict(0, flagged=True), verdict(1)], [embedding(0), embedding(1)], [flag(0, "f")], [letter(2)])
    assert found.adds_up
    assert found.summary() == "3 records in, 2 verdicts, 1 flags, 1 dead letters, 0 lost, 0 duplicated"


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
def test_each_way_not_to_add_up_is_seen(
    verdicts: list[Record], embeddings: list[Record], flags: list[Record], letters: list[Record]
) -> None:
    assert count(*WHOLE).adds_up
    assert not count(verdicts, embeddings, flags, letters).adds_up


def test_average_precision_of_known_rankings() -> None:
    relevant = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 1.0, 3.0, 2.0]), relevant) == 1.0
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), relevant) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(average_precision(np.array([1.0]), np.array([False])))


def test_ties_do_not_flatter() -> None:
    """With one score for all, average precision is the share of what is relevant."""
    assert average_precision(np.zeros(4), np.array([True, False, False, False])) == 0.25


def test_the_suggested_threshold_separates_what_can_be_separated() -> None:
    scores, relevant = np.array([5.0, 4.0, 1.0, 0.0]), np.array([True, True, False, False])
    assert best_f1_threshold(scores, relevant) == 2.5
    counts = confusion(scores >= 2.5, relevant)
    assert (counts.precision, counts.recall) == (1.0, 1.0)


def test_shares_of_nothing_are_unknown() -> None:
    counts = confusion(np.array([False]), np.array([False]))
    assert (counts.precision, counts.recall) == (None, None)
