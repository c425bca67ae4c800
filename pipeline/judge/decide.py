"""Decisions from scores: the images within each policy's scope, and the policies that flag them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.events.policies import Policy


class Scoped(Protocol):
    """The fields of an event that a scope tests: its source and its attributes."""

    @property
    def source(self) -> str: ...

    @property
    def attributes(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """`in_scope`: bool [N, P], the image is within the policy's scope; `flagged`: bool [N, P], the policy says yes."""

    in_scope: NDArray[np.bool_]
    flagged: NDArray[np.bool_]


def decide(policies: Sequence[Policy], over: NDArray[np.bool_], events: Sequence[Scoped]) -> Answers:
    """
    Apply scopes and parents to `over`, bool [N, P]: whether a score is at or above its policy's threshold.

    A policy says no outside its scope, and a child also says no if its parent does. A parent is never a child itself.
    """
    in_scope = np.ones_like(over)
    for index, policy in enumerate(policies):
        if policy.scope is not None:
            in_scope[:, index] = [policy.scope.admits(event.source, event.attributes) for event in events]
    flagged = over & in_scope
    indices = {policy.id: index for index, policy in enumerate(policies)}
    for index, policy in enumerate(policies):
        if policy.parent is not None:
            flagged[:, index] &= flagged[:, indices[policy.parent]]
    return Answers(in_scope, flagged)
