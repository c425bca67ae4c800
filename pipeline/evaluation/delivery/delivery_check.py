"""Count a stream from its topics alone: what went in against what came out, once each."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.events.records import Record

Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class DeliveryCheck:
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


def check_delivery(
    records: Iterable[Record],
    verdicts: Iterable[Record],
    embeddings: Iterable[Record],
    flags: Iterable[Record],
    dead_letters: Iterable[Record],
) -> DeliveryCheck:
    """Compare the records of an input topic with those of the four output topics."""
    came_in = {_place(record) for record in records}
    judged, called_for = _count_verdicts(verdicts)
    archived = Counter(record_header(record, "origin") for record in embeddings)
    refused = Counter(dead_letter_place(record) for record in dead_letters)
    ids, emitted = _count_flags(flags)
    outcomes = judged + refused
    to_archive = {"/".join(map(str, place)) for place in judged}
    return DeliveryCheck(
        records=len(came_in),
        verdicts=judged.total(),
        embeddings=archived.total(),
        flags=ids.total(),
        dead_letters=refused.total(),
        lost=tuple(sorted(came_in - outcomes.keys())),
        duplicated=(*_repeated("outcome", outcomes), *_repeated("flag", ids), *_repeated("embedding", archived)),
        stray=(
            *(f"outcome of {place}" for place in outcomes.keys() - came_in),
            *(f"flag of {flag}" for flag in emitted ^ called_for),
            *(f"embedding of {place}" for place in archived.keys() ^ to_archive),
        ),
    )


def _count_verdicts(verdicts: Iterable[Record]) -> tuple[Counter[Place], set[tuple[Place, str]]]:
    """Return how often each place was judged, and which flags, place and policy, the verdicts call for."""
    judged: Counter[Place] = Counter()
    called_for: set[tuple[Place, str]] = set()
    for record in verdicts:
        fields = json.loads(record.value or b"")
        place = origin_place(fields)
        judged[place] += 1
        enforced = (each for each in fields["policies"] if each["flagged"] and each["mode"] == "enforce")
        called_for.update((place, each["id"]) for each in enforced)
    return judged, called_for


def _count_flags(flags: Iterable[Record]) -> tuple[Counter[str], set[tuple[Place, str]]]:
    """Return how often each flag id was emitted, and for which places and policies."""
    ids: Counter[str] = Counter()
    emitted: set[tuple[Place, str]] = set()
    for record in flags:
        fields = json.loads(record.value or b"")
        ids[fields["flag_id"]] += 1
        emitted.add((origin_place(fields), fields["policy"]["id"]))
    return ids, emitted


def _repeated(kind: str, counts: Mapping[Any, int]) -> Iterator[str]:
    """Yield a line for every time beyond the first."""
    return (f"{kind} of {what}" for what, count in counts.items() for _ in range(count - 1))


def _place(record: Record) -> Place:
    return record.origin.topic, record.origin.partition, record.origin.offset


def origin_place(fields: dict[str, Any]) -> Place:
    """Return the place of the input record that an output is about."""
    origin = fields["origin"]
    return origin["topic"], origin["partition"], origin["offset"]


def dead_letter_place(record: Record) -> Place:
    """Return the place of the input record that a dead letter keeps."""
    topic, partition, offset = (record_header(record, f"watchword-{name}") for name in ("topic", "partition", "offset"))
    return topic, int(partition), int(offset)


def record_header(record: Record, name: str) -> str:
    """Return the last header of that name. A record may have brought one of its own."""
    return next(value for found, value in reversed(record.headers) if found == name).decode()
