"""Delivery of a stream, counted from its topics alone: each input record against its outcome."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.counted import counted
from pipeline.events.policies import Mode, PolicySet
from pipeline.events.records import Origin, Record
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.events.wire.embedding import EmbeddingRecord
from pipeline.events.wire.flag import FlagRecord
from pipeline.events.wire.verdict import VerdictRecord


@dataclass(frozen=True, slots=True)
class DeliveryCheck:
    """
    Counts of a stream as readers at `read_committed` see it.

    `lost`: input records with neither verdict nor dead letter. `duplicated`: outcomes beyond one for each record, flag
    events beyond one for each flag id, embeddings beyond one for each verdict. `stray`: outcomes of records that are
    not on the input topic, flag events and embeddings without their verdict, and verdicts without them.
    """

    records: int
    verdicts: int
    embeddings: int
    flags: int
    dead_letters: int
    lost: tuple[Origin, ...]
    duplicated: tuple[str, ...]
    stray: tuple[str, ...]

    @property
    def adds_up(self) -> bool:
        """True when each record has exactly one outcome."""
        return not (self.lost or self.duplicated or self.stray)

    def summary(self) -> str:
        """Return the counts in one line."""
        letters = "1 dead letter" if self.dead_letters == 1 else f"{self.dead_letters} dead letters"
        return (
            f"{counted(self.records, 'record')} in, {counted(self.verdicts, 'verdict')}, "
            f"{counted(self.flags, 'flag')}, {letters}, {len(self.lost)} lost, {len(self.duplicated)} duplicated"
        )


def check_delivery(
    records: Iterable[Record],
    verdicts: Iterable[Record],
    embeddings: Iterable[Record],
    flags: Iterable[Record],
    dead_letters: Iterable[Record],
    policy_sets: Iterable[PolicySet] = (),
) -> DeliveryCheck:
    """
    Compare the records of an input topic with those of the four output topics.

    `policy_sets` are sets that judged the stream. They are needed because policies with a parent and expired policies
    raise no flag, and a verdict does not say which these are. If a verdict's set is missing, each enforced policy that
    says yes must have a flag. Raises `UnreadableRecord`.
    """
    received = {record.origin for record in records}
    judged, called_for = _count_verdicts(verdicts, {each.digest: each for each in policy_sets})
    archived = Counter(EmbeddingRecord.parse(record).headers.origin for record in embeddings)
    rejected = Counter(DeadLetterRecord.parse(record).origin for record in dead_letters)
    ids, emitted = _count_flags(flags)
    outcomes = judged + rejected
    to_archive = {str(origin) for origin in judged}
    return DeliveryCheck(
        records=len(received),
        verdicts=judged.total(),
        embeddings=archived.total(),
        flags=ids.total(),
        dead_letters=rejected.total(),
        lost=tuple(sorted(received - outcomes.keys(), key=lambda each: (each.topic, each.partition, each.offset))),
        duplicated=(*_repeated("outcome", outcomes), *_repeated("flag", ids), *_repeated("embedding", archived)),
        stray=(
            *(f"outcome of {origin}" for origin in outcomes.keys() - received),
            *(f"flag of {origin} by {policy_id}" for origin, policy_id in emitted ^ called_for),
            *(f"embedding of {origin}" for origin in archived.keys() ^ to_archive),
        ),
    )


def _count_verdicts(
    verdicts: Iterable[Record], policy_sets: Mapping[str, PolicySet]
) -> tuple[Counter[Origin], set[tuple[Origin, str]]]:
    """Return the number of verdicts by origin, and the flags, as origin and policy, that the verdicts require."""
    judged: Counter[Origin] = Counter()
    called_for: set[tuple[Origin, str]] = set()
    for record in verdicts:
        verdict = VerdictRecord.parse(record)
        judged[verdict.origin] += 1
        policy_ids = _flags_called_for(verdict, policy_sets.get(verdict.policy_set_digest))
        called_for.update((verdict.origin, policy_id) for policy_id in policy_ids)
    return judged, called_for


def _flags_called_for(verdict: VerdictRecord, policy_set: PolicySet | None) -> set[str]:
    """Return the ids of the policies that must raise a flag for this verdict."""
    said_yes = {each.id for each in verdict.policies if each.flagged and each.mode is Mode.ENFORCE}
    if policy_set is None:
        return said_yes
    day = datetime.fromisoformat(verdict.time).date()
    return said_yes & {policy.id for policy in policy_set.policies if policy.enforced(day)}


def _count_flags(flags: Iterable[Record]) -> tuple[Counter[str], set[tuple[Origin, str]]]:
    """Return the number of flag events by flag id, and their origins and policies."""
    ids: Counter[str] = Counter()
    emitted: set[tuple[Origin, str]] = set()
    for record in flags:
        flag = FlagRecord.parse(record)
        ids[flag.flag_id] += 1
        emitted.add((flag.origin, flag.policy.id))
    return ids, emitted


def _repeated(kind: str, counts: Mapping[Any, int]) -> Iterator[str]:
    """Yield a line for each repetition beyond the first."""
    return (f"{kind} of {name}" for name, count in counts.items() for _ in range(count - 1))
