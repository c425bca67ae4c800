"""Promotion of a shadow: the comparison with its live policy, and the edit that enforces it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.counted import counted
from pipeline.errors import UnreadableRecord, UsageError
from pipeline.evaluation.backtest.shadow_counts import ShadowCount, count_shadows
from pipeline.events.policies import Mode, PolicySet
from pipeline.events.wire.verdict import VerdictRecord
from pipeline.operations.stream.read import VERDICTS, OutcomeQuery, read_outcomes
from pipeline.operations.workbench import Workbench
from pipeline.policies.folder import ParsedPolicy
from pipeline.policies.load import load_policy_set, read_folder
from pipeline.releases.current import CurrentRelease
from pipeline.releases.promotion import ShadowPair, policy_file, require_same, shadow_pairs, write_enforce


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """Shadows with their live policies, and the counts of their answers in the verdicts, in the same order."""

    pairs: tuple[ShadowPair, ...]
    counts: tuple[ShadowCount, ...]


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion before the edit of the policy's file."""

    policy: ParsedPolicy

    @property
    def file(self) -> Path:
        """The policy's file."""
        return self.policy.resolved.document.path

    @property
    def needs_edit(self) -> bool:
        """True while the file has another mode than `enforce`."""
        return self.policy.file.mode is Mode.SHADOW


def compare_shadows(
    workbench: Workbench, folder: Path, policy_id: str | None = None, against: str | None = None
) -> ShadowReport:
    """
    Compare active shadows, or the shadow of one policy, with live policies by their answers in the verdicts.

    `against`: id of another live policy to compare with. Raises `UsageError` when no shadow is active, and
    `BrokerFault`.
    """
    judging = _judging_set(workbench, folder)
    restricted = workbench.access.note(judging.policies, "policies promote")
    pairs = shadow_pairs(judging, policy_id, against)
    if not pairs:
        raise UsageError("no shadow policy is active; `mode: shadow` or `policies publish --shadow` makes one")
    ids = {pair.shadow.id: pair.live.id if pair.live else None for pair in pairs}
    digests = {pair.shadow.id: pair.shadow.digest for pair in pairs}
    return ShadowReport(tuple(pairs), tuple(count_shadows(_verdicts(workbench), ids, digests, restricted)))


def prepare_promotion(report: ShadowReport, folder: Path, policy_id: str) -> Promotion:
    """
    Return the promotion of a shadow of `report`.

    Raises `UsageError` when the shadow has judged nothing, or when the folder has another version of the policy.
    """
    if not any(count.images for count in report.counts):
        raise UsageError(f"`{policy_id}` has judged nothing yet; let it run in shadow first")
    policies = read_folder(folder)
    require_same(report.pairs, policies.compose())
    return Promotion(policy_file(policies, policy_id))


def enforce(promotion: Promotion) -> None:
    """Write `mode: enforce` into the policy's file. Raises `UsageError` when another file sets the mode."""
    write_enforce(promotion.policy)


def _judging_set(workbench: Workbench, folder: Path) -> PolicySet:
    if workbench.settings.policy_source == "folder":
        return load_policy_set(folder)
    return CurrentRelease(workbench.settings, workbench.progress).require_active_set()


def _verdicts(workbench: Workbench) -> Iterator[VerdictRecord]:
    """Yield the verdicts of the stream; records that are not verdicts are counted in a notice."""
    unreadable = 0
    for record in read_outcomes(workbench, OutcomeQuery(VERDICTS)):
        try:
            yield VerdictRecord.parse(record)
        except UnreadableRecord:
            unreadable += 1
    if unreadable:
        workbench.progress.notify(f"skipped: {counted(unreadable, 'record')} that cannot be read as a verdict")
