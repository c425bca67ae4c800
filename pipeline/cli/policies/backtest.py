"""`watchword policies backtest`: what an edit would have done to what was archived."""

import os
import re
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from rich.progress import track

from pipeline.archive.dataset import Archive, from_on
from pipeline.cli.archive import open_archive
from pipeline.cli.console import progress_output, require_format
from pipeline.cli.policies.backtest_json import BacktestJson
from pipeline.cli.policies.backtest_tables import BacktestTables
from pipeline.cli.policies.publish import resolve_policy_set
from pipeline.cli.times import since_of
from pipeline.cli.transition import note_access
from pipeline.counted import counted
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.encode.text_cache import CachedTextEncoder
from pipeline.errors import UsageError
from pipeline.evaluation.backtest.agreement import Agreement, agreements
from pipeline.evaluation.backtest.batches import COLUMNS, part_of
from pipeline.evaluation.backtest.compare import PolicySetComparison
from pipeline.evaluation.backtest.result import Backtest
from pipeline.events.policies import PolicySet
from pipeline.extras import models_extra
from pipeline.judge.score import Judge
from pipeline.operations.decisions.archived import read_decided
from pipeline.operations.scanned import scanned
from pipeline.settings import Settings, load_settings

THREADS = "threads"


@dataclass(frozen=True)
class Asked:
    """What to look at: since when, of which share first and whether of that alone, with decisions, and what judges."""

    since: str
    sample: str | None = None
    only_sample: bool = False
    decisions: bool = False
    engine: str = THREADS
    seed: int = 1


def run_backtest(after: str, before: str, asked: Asked, output_format: str) -> int:
    """Print what `after` would have said that `before` did not; return 1 when anything would have changed."""
    require_format(output_format, ("table", "json"))
    share = _share(asked)
    if not re.fullmatch(rf"{THREADS}|daft|ray|ray://.+", asked.engine):
        raise UsageError(f"`--engine {asked.engine}`: it is `{THREADS}`, `daft`, `ray` or `ray://host:port`")
    bundle = Bundle.load(load_settings(Settings).model)
    sets = resolve_policy_set(before), resolve_policy_set(after)
    note_access((policy for each in sets for policy in each.policies), "policies backtest")
    judging = _Judging(open_archive(), bundle, *sets, since_of(asked.since))
    report = BacktestJson() if output_format == "json" else BacktestTables()
    found = None
    if share is not None:
        found, images = judging.sample(share, asked.seed)
        report.sample(found, images)
    if not asked.only_sample:
        comparison = judging.whole(asked.engine)
        found = comparison.found
        report.whole(found, judging.agreements(comparison) if asked.decisions else [])
    assert found is not None
    if not found.images:
        raise UsageError(f"the archive has nothing of this model since {asked.since}")
    report.close()
    return int(any(each.newly_flagged or each.newly_cleared for each in found.policies.values()))


def archive_summary(before: PolicySet, after: PolicySet, since: str = "7d") -> list[str]:
    """Return, a line a policy, what an edit would have done since then; nothing where nothing is archived."""
    archive, bundle = open_archive(), Bundle.load(load_settings(Settings).model)
    if bundle.digest not in archive.models():
        return []
    found = _Judging(archive, bundle, before, after, since_of(since)).whole().found
    changes = [each for each in found.policies.values() if each.newly_flagged or each.newly_cleared]
    lines = [
        f"{each.policy_id}: {each.newly_flagged} newly flagged, {each.newly_cleared} newly cleared, "
        f"{found.queue(each.policy_id).value:.1f} flags a day"
        for each in changes
    ]
    return [f"of {counted(found.images, 'image')} archived since {since}:", *(lines or ["no flag changes"])]


class _Judging:
    """Two sets and the archive since a time."""

    def __init__(self, archive: Archive, bundle: Bundle, before: PolicySet, after: PolicySet, since: datetime) -> None:
        self._archive, self._model, self._since = archive, bundle.digest, since
        self._before, self._after = before, after
        self._encoder = CachedTextEncoder(LocalEncoder(bundle))

    def whole(self, engine: str = THREADS) -> PolicySetComparison:
        """Judge everything, with progress."""
        comparison = self._comparison()
        if engine == THREADS:
            comparison.run(map(part_of, scanned(self._archive, self._model, COLUMNS, self._since)))
        else:
            self._over_fragments(comparison, engine)
        return comparison

    def _over_fragments(self, comparison: PolicySetComparison, engine: str) -> None:
        with models_extra("cluster"):
            from pipeline.evaluation.backtest.cluster import FragmentWork, judge_fragments
        where = from_on(self._since)
        options, fragments = self._archive.options, self._archive.fragments(self._model)
        sets = self._before, self._after
        work = FragmentWork(self._archive.address, options, self._model, where, *sets, comparison.banks)
        found = judge_fragments(work, fragments, engine)
        for each in track(found, "judging fragments", total=len(fragments), console=progress_output(), transient=True):
            comparison.found.add(each)

    def sample(self, share: float, seed: int) -> tuple[Backtest, int]:
        """Judge a plain sample; return what was found, and of how many images it is one."""
        rng = np.random.default_rng(seed)
        images, batches = self._archive.sample(self._model, COLUMNS, self._since, share, rng)
        return self._comparison().run(map(part_of, batches)), images

    def agreements(self, comparison: PolicySetComparison) -> list[Agreement]:
        """Hold what was found against what people decided."""
        decided = read_decided(self._archive, self._model, comparison.found.policies.keys(), self._since)
        return agreements(comparison, decided)

    def _comparison(self) -> PolicySetComparison:
        return PolicySetComparison(
            self._before,
            self._after,
            lambda policy_set: Judge(build_prompt_bank(policy_set, self._encoder)),
            threads=os.cpu_count() or 1,
        )


def _share(asked: Asked) -> float | None:
    if asked.sample is None:
        if asked.only_sample:
            raise UsageError("`--only-sample` goes with `--sample 1%`")
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)%", asked.sample)
    if not found or not 0 < float(found[1]) <= 100:  # noqa: PLR2004 -- per cent
        raise UsageError(f"`--sample {asked.sample}`: a share over 0% to 100%, such as `1%`")
    return float(found[1]) / 100
