"""Scan: judge files in this process, without a broker or a server."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.emit.jsonlines import outcome_fields
from pipeline.evaluation.offline.scan import Outcome
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.policies import PolicySet, PromptBank
from pipeline.ingest.folder import read_files
from pipeline.operations.images.files import list_images
from pipeline.operations.images.thumbnails import thumbnail_of_bytes
from pipeline.operations.workbench import Workbench
from pipeline.policies.model_compatibility import for_model, stale_policies


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file's outcome. `thumbnail`: a JPEG, if requested and no restricted policy flags the image."""

    outcome: Outcome
    thumbnail: bytes | None = None

    @property
    def path(self) -> str:
        """The file's path, as an event's id."""
        if isinstance(self.outcome, DeadLetter):
            return self.outcome.record.origin.topic
        return self.outcome.image.event.origin.topic

    @property
    def fields(self) -> Mapping[str, Any]:
        """The file's JSON object: `path`, `scores`, `flags`, `error`, `detail` and, for a verdict, `events`."""
        return outcome_fields(self.outcome)


@dataclass(frozen=True, slots=True)
class Scan:
    """
    A scan that has been prepared: its files, those skipped because they are not images, and the judge's digests.

    `results` judges while it is read, once, and yields one `ScannedFile` for each file, in order.
    """

    files: tuple[Path, ...]
    skipped: tuple[Path, ...]
    policy_set_digest: str
    model_digest: str
    results: Iterator[ScannedFile]


def scan_files(
    workbench: Workbench, paths: Sequence[Path], policy_set: PolicySet, *, thumbnail_side: int | None = None
) -> Scan:
    """
    Judge files, and the images of folders at any depth.

    `thumbnail_side`: the longer side of thumbnails in pixels, None for no thumbnails. Raises `UsageError`.
    """
    images = list_images(paths)
    bank = bank_for_scan(workbench, policy_set)
    results = _results(workbench, bank, images.files, thumbnail_side)
    return Scan(images.files, images.skipped, bank.policy_set.digest, bank.model_digest, results)


def bank_for_scan(workbench: Workbench, policy_set: PolicySet) -> PromptBank:
    """Return the prompt bank of a set for the workbench's model; record the access to restricted policies."""
    lineage = workbench.bundle.lineage
    if stale := stale_policies(policy_set, lineage):
        names = ", ".join(policy.id for policy in stale)
        workbench.progress.notify(f"thresholds fitted for another model, so results mean little: {names}")
    policy_set = for_model(policy_set, lineage)
    workbench.access.note(policy_set.policies, "scan")
    return workbench.bank(policy_set)


def _results(
    workbench: Workbench, bank: PromptBank, files: Sequence[Path], thumbnail_side: int | None
) -> Iterator[ScannedFile]:
    for outcome in workbench.outcomes(bank, files, read_files):
        if thumbnail_side is not None and isinstance(outcome, Verdict) and not _flagged_by_restricted(outcome):
            content = outcome.image.event.content
            assert isinstance(content, bytes)  # a scan reads files, never references
            yield ScannedFile(outcome, thumbnail_of_bytes(content, thumbnail_side))
        else:
            yield ScannedFile(outcome)


def _flagged_by_restricted(verdict: Verdict) -> bool:
    return any(policy.restricted and flagged for policy, _, flagged in verdict.answers())
