"""Scores to answers: which policies are about an image at all, and which say yes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.events.policies import Policy


class Scoped(Protocol):
    """What a scope asks of an event: where it came from and what is known of it."""

    @property
    def source(self) -> str: ...

    @property
    def attributes(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """`in_scope`: bool [N, P], the policy is about the image; `flagged`: bool [N, P], it says yes."""

    in_scope: NDArray[np.bool_]
    flagged: NDArray[np.bool_]


def decide(policies: Sequence[Policy], over: NDArray[np.bool_], events: Sequence[Scoped]) -> Answers:
    """
    Turn scores at or over their thresholds, bool [N, P], into the policies' answers about N events.

    A policy says no outside its scope, and one with a parent wherever that says no. A parent has no parent of its own.
    """
    in_scope = np.ones_like(over)
    for place, policy in enumerate(policies):
        if policy.scope is not None:
            in_scope[:, place] = [policy.scope.admits(event.source, event.attributes) for event in events]
    flagged = over & in_scope
    places = {policy.id: place for place, policy in enumerate(policies)}
    for place, policy in enumerate(policies):
        if policy.parent is not None:
            flagged[:, place] &= flagged[:, places[policy.parent]]
    return Answers(in_scope, flagged)
