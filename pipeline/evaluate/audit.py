"""Count a stream from its topics alone: what went in against what came out, once each."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.events.records import Record

Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Audit:
    """
    What readers at `read_committed` see of a stream.

    `lost`: input records with neither verdict nor dead letter. `duplicated`: outcomes beyond the one a record has,
    flag events beyond one a flag id, embeddings beyond one a verdict. `stray`: outcomes of records that never came in,
    flag events that no verdict calls for, and flags or embeddings that a verdict calls for and that are not there.
    """

    records: int
    verdicts: int
    embeddings: int
    flags: int
    dead_letters: int
    lost: tuple[Place, ...]
    duplicated: tuple[str, ...]
    stray: tuple[str, ...]

    @property
    def adds_up(self) -> bool:
        """Whether every record has its outcome once."""
        return not (self.lost or self.duplicated or self.stray)

    def summary(self) -> str:
        """Return the counts in one line."""
        return (
            f"{self.records} records in, {self.verdicts} verdicts, {self.flags} flags, "
            f"{self.dead_letters} dead letters, {len(self.lost)} lost, {len(self.duplicated)} duplicated"
        )


def audit(
    records: Iterable[Record],
    verdicts: Iterable[Record],
    embeddings: Iterable[Record],
    flags: Iterable[Record],
    dead_letters: Iterable[Record],
) -> Audit:
    """Compare the records of an input topic with those of the four output topics."""
    came_in = {_place(record) for record in records}
    judged: Counter[Place] = Counter()
    wanted_flags: Counter[tuple[Place, str]] = Counter()
    for record in verdicts:
        fields = json.loads(record.value or b"")
        place = _origin(fields)
        judged[place] += 1
        for policy in fields["policies"]:
            if policy["flagged"] and policy["mode"] == "enforce":
                wanted_flags[place, policy["id"]] += 1
    archived = Counter(_header(record, "origin") for record in embeddings)
    refused = Counter(_dead_letter_place(record) for record in dead_letters)
    emitted: Counter[tuple[Place, str]] = Counter()
    ids: Counter[str] = Counter()
    for record in flags:
        fields = json.loads(record.value or b"")
        emitted[_origin(fields), fields["policy"]["id"]] += 1
        ids[fields["flag_id"]] += 1
    outcomes = judged + refused
    expected = Counter({"/".join(map(str, place)): 1 for place in judged})
    return Audit(
        records=len(came_in),
        verdicts=judged.total(),
        embeddings=archived.total(),
        flags=ids.total(),
        dead_letters=refused.total(),
        lost=tuple(sorted(came_in - outcomes.keys())),
        duplicated=(
            *(f"outcome of {place}" for place, count in outcomes.items() for _ in range(count - 1)),
            *(f"flag {flag}" for flag, count in ids.items() for _ in range(count - 1)),
            *(f"embedding of {place}" for place, count in archived.items() for _ in range(count - 1)),
        ),
        stray=(
            *(f"outcome of {place}" for place in outcomes.keys() - came_in),
            *(f"flag {flag}" for flag in emitted.keys() ^ wanted_flags.keys()),
            *(f"embedding of {place}" for place in archived.keys() ^ expected.keys()),
        ),
    )


def _place(record: Record) -> Place:
    return record.origin.topic, record.origin.partition, record.origin.offset


def _origin(fields: dict[str, Any]) -> Place:
    origin = fields["origin"]
    return origin["topic"], origin["partition"], origin["offset"]


def _dead_letter_place(record: Record) -> Place:
    topic, partition, offset = (_header(record, f"watchword-{name}") for name in ("topic", "partition", "offset"))
    return topic, int(partition), int(offset)


def _header(record: Record, name: str) -> str:
    return next(value for found, value in reversed(record.headers) if found == name).decode()
