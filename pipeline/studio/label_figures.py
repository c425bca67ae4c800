"""Figures of a label session, in words for people."""

import math
from typing import Any

from pipeline.counted import counted, plural
from pipeline.evaluation.labelling.estimates import Findings, FlipEstimate, Reach
from pipeline.evaluation.stats.certification import Certified, Refused
from pipeline.evaluation.stats.intervals import Interval


def figures(found: Findings) -> list[tuple[str, str]]:
    """Return the name of each figure and its text."""
    earlier = f", {found.earlier} of them from earlier sessions" if found.earlier else ""
    return [
        ("labels", f"{found.labels}{earlier}"),
        ("precision", f"{_share(found.precision)} of {found.flagged} flagged"),
        ("newly flagged", _change(found.newly_flagged, "right to flag")),
        ("newly cleared", _change(found.newly_cleared, "should have stayed flagged")),
        ("threshold", _threshold(found)),
    ]


def gauges(found: Findings) -> dict[str, Any]:
    """Return the two large figures of the page: their texts, and the positions on their bars, from 0 to 1."""
    known, shown = not math.isnan(found.precision.value), found.threshold
    certified = isinstance(shown, Certified)
    return {
        "precision": {
            "value": f"{found.precision.value:.2f}" if known else "–",
            "note": _range(found),
            "at": found.precision.value if known else None,
            "lower": found.precision.lower,
            "upper": found.precision.upper,
            "target": found.target,
        },
        "threshold": {
            "value": f"{shown.threshold:.3f}" if isinstance(shown, Certified) else _without(found.reach),
            "note": _threshold(found),
            "done": 1.0 if certified else _progress(found),
        },
    }


def _without(reach: Reach) -> str:
    return "none yet" if reach is Reach.POSSIBLE else "not reachable"


def labels_missing(found: Findings, refused: Refused) -> int:
    """Return the minimum number of labels that a threshold needs, at most the number that the sample has left."""
    return min(refused.missing, found.left)


def _range(found: Findings) -> str:
    if math.isnan(found.precision.value):
        return f"not known yet, of {found.flagged} flagged"
    return f"{found.precision.lower:.2f} to {found.precision.upper:.2f}, of {found.flagged} flagged"


def _progress(found: Findings) -> float | None:
    """Return the share of the labels needed for a threshold that exist so far; None if the sample cannot give one."""
    if isinstance(found.threshold, Certified) or found.reach is not Reach.POSSIBLE:
        return None
    return found.labels / (found.labels + max(1, labels_missing(found, found.threshold)))


def _threshold(found: Findings) -> str:
    shown = found.threshold
    if isinstance(shown, Certified):
        over = f"{shown.hits} of {counted(shown.flags, 'label')} over it are right"
        return f"{shown.threshold:.3f} has precision {found.target:g}: {over}"
    if found.reach is Reach.POSSIBLE:
        missing = labels_missing(found, shown)
        more = f"{missing} more {plural(missing, 'label')} of images over {found.strictest:.3f}"
        return f"none yet; at least {more}, all right, would support one"
    return f"not reachable from this sample: {_unreachable(found, shown)} {_supported(found)}"


def _unreachable(found: Findings, shown: Refused) -> str:
    if found.reach is Reach.TOO_FEW:
        return (
            f"its images are too few for precision {found.target:g}, even if all were right. Draw more with `--count`, "
            "or look further back with `--since`."
        )
    if not found.flags_labelled:
        return f"{shown.reason}. Precision {found.target:g} needs other wording or a stricter threshold."
    right, labelled = found.flags_right, found.flags_labelled
    return (
        f"{right} of {labelled} labelled {plural(labelled, 'flag')} {'was' if right == 1 else 'were'} right "
        f"({100 * right / labelled:.0f} %). Precision {found.target:g} needs other wording or a stricter threshold."
    )


def _supported(found: Findings) -> str:
    if found.supported is None:
        return "No precision is supported yet."
    return f"Best supported: {found.supported.precision:.2f} at threshold {found.supported.threshold:.3f}."


def _change(change: FlipEstimate, what: str) -> str:
    if not change.images:
        return "none"
    if not change.labelled:
        return f"{counted(change.images, 'image')}, none labelled yet"
    right = change.right
    number = f"about {right.value:.0f} ({math.floor(right.lower)} to {math.ceil(right.upper)})"
    return f"{counted(change.images, 'image')}, {number} {what}; {change.labelled} labelled"


def _share(value: Interval) -> str:
    if math.isnan(value.value):
        return "not known yet"
    return f"{value.value:.2f} ({value.lower:.2f} to {value.upper:.2f})"
