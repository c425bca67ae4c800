"""Sentences of `watchword policies label` about its sample, for the page and the terminal."""

from collections.abc import Sequence

from pipeline.counted import counted, plural
from pipeline.evaluation.stats.stratified_sample import Kind, Stratum
from pipeline.operations.policies.earlier_decisions import EarlierDecisions
from pipeline.reports.page import human_time


def sample_text(strata: Sequence[Stratum], since: str, precision: float) -> str:
    """Return the size of the sample, the number of flips of the edit, and the target precision."""
    drawn, images = sum(len(each.drawn) for each in strata), sum(len(each.members) for each in strata)
    flips = sum(len(each.members) for each in strata if each.kind in (Kind.NEWLY_FLAGGED, Kind.NEWLY_CLEARED))
    edit = f"; the edit flips {flips}" if flips else ""
    sample = f"{drawn} of {counted(images, 'image')} since {since}"
    return f"{sample}{edit}. A threshold is wanted with precision {precision:g}."


def earlier_text(earlier: EarlierDecisions) -> str:
    """Return the number of earlier decisions that count, their reviewers and the last one's time; empty for none."""
    if not earlier.labels:
        return ""
    number = f"{len(earlier.labels)} earlier {plural(len(earlier.labels), 'decision')}"
    who = ", ".join(earlier.reviewers) or "no reviewer named"
    last = human_time(earlier.decisions[-1].time)
    return f"{number} counted ({who}; the last {last}). Decided images are not shown again."
