"""Back-test: the changes that an edit of policies would have made to archived images."""

import os
import re
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from pipeline.archive.dataset import from_on
from pipeline.errors import UsageError
from pipeline.evaluation.backtest.agreement import Agreement, agreements
from pipeline.evaluation.backtest.batches import COLUMNS, part_of
from pipeline.evaluation.backtest.compare import PolicySetComparison
from pipeline.evaluation.backtest.result import Backtest, ChangedImage
from pipeline.events.policies import PolicySet
from pipeline.extras import models_extra
from pipeline.operations.archive_scan import scan_archive
from pipeline.operations.decisions.archived import read_decided
from pipeline.operations.policies.changed_images import find_changed_images
from pipeline.operations.workbench import Workbench

THREADS = "threads"
_ENGINE = re.compile(rf"{THREADS}|daft|ray|ray://.+")


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """
    Options of a back-test of `after` against `before`.

    `since`: start of the period; `engine`: `threads`, `daft`, `ray` or `ray://host:port`; `decisions`: whether to
    compare both sets with people's decisions; `picture_side`: the longer side of the examples' pictures in pixels, None
    for no pictures. Raises `UsageError` for an unknown engine.
    """

    before: PolicySet
    after: PolicySet
    since: datetime
    engine: str = THREADS
    decisions: bool = False
    picture_side: int | None = None

    def __post_init__(self) -> None:
        require_engine(self.engine)


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """
    Result of a back-test.

    `found`: the differences between both sets; `images`: number of archived images in the period, more than
    `found.images` when a sample was judged; `agreements`: for each policy with decisions; `changed_images`: the
    examples with their pictures, if requested.
    """

    found: Backtest
    images: int
    agreements: tuple[Agreement, ...] = ()
    changed_images: tuple[ChangedImage, ...] = ()


class BacktestRun:
    """A back-test over the archive of a workbench. Records the access to restricted policies under `command`."""

    def __init__(self, workbench: Workbench, request: BacktestRequest, *, command: str = "policies backtest") -> None:
        workbench.access.note((*request.before.policies, *request.after.policies), command)
        self._workbench, self._request = workbench, request

    def sample(self, share: float, *, seed: int = 1) -> BacktestResult:
        """Judge a simple random sample of the images of the period. Raises `ArchiveError` without any image."""
        rng, comparison = np.random.default_rng(seed), self._comparison()
        archive, model = self._workbench.archive, self._workbench.bundle.digest
        images, batches = archive.sample(model, COLUMNS, self._request.since, share, rng)
        found = comparison.run(map(part_of, batches))
        return BacktestResult(found, images, (), self._changed_images(comparison))

    def whole(self) -> BacktestResult:
        """Judge every image of the period. Raises `ArchiveError` when the archive has none of the model."""
        comparison = self._comparison()
        if self._request.engine == THREADS:
            comparison.run(map(part_of, scan_archive(self._workbench, COLUMNS, self._request.since)))
        else:
            self._judge_fragments(comparison)
        found = comparison.found
        return BacktestResult(found, found.images, self._agreements(comparison), self._changed_images(comparison))

    def _comparison(self) -> PolicySetComparison:
        before, after = self._request.before, self._request.after
        return PolicySetComparison(before, after, self._workbench.judge, threads=os.cpu_count() or 1)

    def _judge_fragments(self, comparison: PolicySetComparison) -> None:
        with models_extra("cluster"):
            from pipeline.evaluation.backtest.cluster import FragmentWork, judge_fragments
        request, archive, model = self._request, self._workbench.archive, self._workbench.bundle.digest
        where, fragments = from_on(request.since), archive.fragments(model)
        work = FragmentWork(
            archive.address, archive.options, model, where, request.before, request.after, comparison.banks
        )
        found = judge_fragments(work, fragments, request.engine)
        for each in self._workbench.progress.track(found, "judging fragments", len(fragments)):
            comparison.found.add(each)

    def _agreements(self, comparison: PolicySetComparison) -> tuple[Agreement, ...]:
        if not self._request.decisions:
            return ()
        model, policy_ids = self._workbench.bundle.digest, comparison.found.policies.keys()
        return tuple(agreements(comparison, read_decided(self._workbench, model, policy_ids, self._request.since)))

    def _changed_images(self, comparison: PolicySetComparison) -> tuple[ChangedImage, ...]:
        side = self._request.picture_side
        return () if side is None else find_changed_images(self._workbench, comparison, self._request.since, side)


def run_backtest(workbench: Workbench, request: BacktestRequest) -> BacktestResult:
    """Judge every archived image of a period by both sets. Raises `UsageError` and `ArchiveError`."""
    return BacktestRun(workbench, request).whole()


def require_engine(engine: str) -> None:
    """Raise `UsageError` unless a back-test can run on this engine."""
    if not _ENGINE.fullmatch(engine):
        raise UsageError(f"`--engine {engine}`: choose `{THREADS}`, `daft`, `ray` or `ray://host:port`")
