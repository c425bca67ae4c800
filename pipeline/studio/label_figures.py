"""What is known after so many labels, in words for people."""

import math

from pipeline.counted import counted, plural
from pipeline.evaluation.labelling.estimates import Findings, FlipEstimate
from pipeline.evaluation.stats.certification import Certified
from pipeline.evaluation.stats.intervals import Interval


def figures(found: Findings) -> list[tuple[str, str]]:
    """Return the name of each figure and what it is."""
    return [
        ("labels", str(found.labels)),
        ("precision", f"{_share(found.precision)} of {found.flagged} flagged"),
        ("newly flagged", _change(found.newly_flagged, "right to flag")),
        ("newly cleared", _change(found.newly_cleared, "should have stayed flagged")),
        ("threshold", _threshold(found)),
    ]


def _threshold(found: Findings) -> str:
    if isinstance(found.threshold, Certified):
        shown = found.threshold
        return f"{shown.threshold:.3f} is shown: {shown.hits} of {counted(shown.flags, 'label')} over it are right"
    missing = found.threshold.missing
    more = f"{missing} more {plural(missing, 'label')} of flagged images"
    return f"none is shown yet; at least {more}, all right, would show one"


def _change(change: FlipEstimate, what: str) -> str:
    if not change.images:
        return "none"
    if not change.labelled:
        return f"{counted(change.images, 'image')}, none labelled yet"
    right = change.right
    told = f"about {right.value:.0f} ({math.floor(right.lower)} to {math.ceil(right.upper)})"
    return f"{counted(change.images, 'image')}, {told} {what}; {change.labelled} labelled"


def _share(value: Interval) -> str:
    if math.isnan(value.value):
        return "not known yet"
    return f"{value.value:.2f} ({value.lower:.2f} to {value.upper:.2f})"
