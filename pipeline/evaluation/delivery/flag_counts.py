"""Flags of a labelled stream, counted by policy."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlagCounts:
    """
    Counts of one policy on a labelled stream.

    `flagged`: number of its flags; `right`: of those, flags of images that it should flag; `positives`: number of
    images that it should flag.
    """

    policy_id: str
    flagged: int
    right: int
    positives: int

    @property
    def precision(self) -> float | None:
        """Share of the flags that are right; None without a flag."""
        return self.right / self.flagged if self.flagged else None

    @property
    def recall(self) -> float | None:
        """Share of the positives that are flagged; None without a positive."""
        return self.right / self.positives if self.positives else None


def count_flags(
    flags: Iterable[tuple[str, str]],
    policy_ids: Iterable[str],
    categories: Mapping[str, str],
    labels: Mapping[str, frozenset[str]],
) -> tuple[FlagCounts, ...]:
    """
    Count flags by policy.

    `flags`: policy id and event id of each flag. `categories`: the category of each event's image. `labels`: the
    categories that each policy should flag.
    """
    flags = list(flags)
    counts = []
    for policy_id in policy_ids:
        flagged = [event_id for flagging, event_id in flags if flagging == policy_id]
        wanted = labels.get(policy_id, frozenset())
        positives = {event_id for event_id, category in categories.items() if category in wanted}
        right = sum(event_id in positives for event_id in flagged)
        counts.append(FlagCounts(policy_id, len(flagged), right, len(positives)))
    return tuple(counts)
