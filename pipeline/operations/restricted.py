"""What of the archive is not to be shown: whatever a restricted policy flags."""

from collections.abc import Sequence

import pyarrow as pa

from pipeline.archive.dataset import Archive
from pipeline.cli.policies.publish import active_policy_set
from pipeline.cli.transition import note_access
from pipeline.encode.ports import TextEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import UsageError
from pipeline.evaluation.backtest.batches import COLUMNS, part_of
from pipeline.evaluation.backtest.compare import answers_of
from pipeline.judge.score import Judge
from pipeline.settings import Settings


class Guard:
    """Tells which archived images a restricted policy flags, by the set that workers of these settings judge by."""

    def __init__(self, settings: Settings, encoder: TextEncoder, command: str) -> None:
        policy_set = active_policy_set(settings)
        if policy_set is None:
            raise UsageError("no policies, so what is restricted is not known: set WATCHWORD_POLICIES to their folder")
        self._judge = (
            Judge(build_prompt_bank(policy_set, encoder)) if note_access(policy_set.policies, command) else None
        )

    def withheld(self, archive: Archive, model: str, keys: Sequence[str]) -> set[str]:
        """Return those of these records whose image is not to be shown."""
        if self._judge is None:
            return set()
        found: set[str] = set()
        for batch in archive.of(model, "key", keys, ["key", *COLUMNS]):
            flagged = answers_of(self._judge, part_of(batch)).withheld()
            found |= set(batch.column("key").filter(pa.array(flagged)).to_pylist())
        return found
