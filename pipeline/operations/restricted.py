"""Archived images that must not be shown, because a restricted policy flags them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.archive.search import Neighbour
from pipeline.errors import UsageError
from pipeline.evaluation.backtest.batches import COLUMNS, part_of
from pipeline.evaluation.backtest.compare import answers_of
from pipeline.operations.workbench import Workbench
from pipeline.releases.current import active_policy_set


@dataclass(frozen=True, slots=True)
class Shown:
    """Neighbours that may be shown, and the number of neighbours withheld."""

    images: tuple[Neighbour, ...]
    withheld: int


class RestrictedImages:
    """
    The archived images that a restricted policy of the active policy set flags.

    Records the access under `command`. Raises `UsageError` when there is no active policy set, and `BrokerFault`.
    """

    def __init__(self, workbench: Workbench, command: str) -> None:
        policy_set = active_policy_set(workbench.settings, workbench.progress)
        if policy_set is None:
            raise UsageError(
                "without a policy set, the restricted images are unknown: set WATCHWORD_POLICIES to its folder"
            )
        restricted = workbench.access.note(policy_set.policies, command)
        self._workbench = workbench
        self._judge = workbench.judge(policy_set) if restricted else None

    def left_out_of(self, found: Sequence[Neighbour]) -> Shown:
        """Return images of the workbench's model without those that a restricted policy flags."""
        withheld = self.among([each.key for each in found])
        return Shown(tuple(each for each in found if each.key not in withheld), len(withheld))

    def among(self, keys: Sequence[str]) -> set[str]:
        """Return those of `keys`, archived by the workbench's model, whose image must not be shown."""
        if self._judge is None:
            return set()
        found: set[str] = set()
        for batch in self._workbench.archive.of(self._workbench.bundle.digest, "key", keys, ["key", *COLUMNS]):
            flagged = answers_of(self._judge, part_of(batch)).withheld()
            found |= set(batch.column("key").filter(pa.array(flagged)).to_pylist())
        return found
