"""Output of `watchword models compare`: a table, JSON, and a page with the flips."""

from pathlib import Path
from typing import Any

from pipeline.cli.console import output, plain_table, print_json, share
from pipeline.counted import counted
from pipeline.evaluation.stats.confusion import Confusion
from pipeline.models.evaluation.compare import ModelComparison, PolicyChange
from pipeline.operations.models.compare import flipped_images
from pipeline.reports.gallery import Tile, write_gallery
from pipeline.reports.page import THUMBNAIL_SIDE

MOST_TILES = 300


def print_comparison(comparison: ModelComparison, output_format: str) -> None:
    """Print the effect of the new model on each policy, as a table or as JSON."""
    if output_format == "json":
        print_json(_fields(comparison))
    else:
        _print_table(comparison)


def write_flips(path: Path, comparison: ModelComparison) -> None:
    """Write a page with pictures of the images whose verdict flips."""
    images = flipped_images(comparison, side=THUMBNAIL_SIDE, most=MOST_TILES)
    tiles = [Tile(str(each.file), each.thumbnail, ((f"{each.policy_id}: {each.flip}", None),)) for each in images]
    write_gallery(path, tiles, title="Verdicts that the new model changes", about=_about(comparison))


def _print_table(comparison: ModelComparison) -> None:
    console = output()
    table = plain_table("policy", "threshold", "fitted again", "flagged", "newly", "cleared", "precision", "recall")
    for change in comparison.changes:
        table.add_row(
            change.policy_id,
            f"{change.old_threshold:.2f}",
            f"{change.new_threshold:.2f}",
            str(change.flagged),
            str(len(change.newly_flagged)),
            str(len(change.newly_cleared)),
            _both(change, "precision"),
            _both(change, "recall"),
        )
    console.print(table)
    for change in comparison.changes:
        if change.retune:
            console.print(f"{change.policy_id} must be tuned again: {change.retune}")
    console.print(f"{counted(comparison.images, 'image')}, {comparison.unreadable} unreadable")


def _both(change: PolicyChange, name: str) -> str:
    if change.old is None or change.new is None:
        return "–"
    return f"{share(getattr(change.old, name))} → {share(getattr(change.new, name))}"


def _fields(comparison: ModelComparison) -> dict[str, Any]:
    return {
        "images": comparison.images,
        "unreadable": comparison.unreadable,
        "policies": [
            {
                "id": change.policy_id,
                "threshold": change.old_threshold,
                "fitted_again": change.new_threshold,
                "flagged": change.flagged,
                "newly_flagged": list(change.newly_flagged),
                "newly_cleared": list(change.newly_cleared),
                "before": _counts(change.old),
                "after": _counts(change.new),
                "retune": change.retune,
            }
            for change in comparison.changes
        ],
    }


def _counts(counts: Confusion | None) -> dict[str, float | None] | None:
    return None if counts is None else {"precision": counts.precision, "recall": counts.recall}


def _about(comparison: ModelComparison) -> str:
    flips = sum(len(change.newly_flagged) + len(change.newly_cleared) for change in comparison.changes)
    shown = f" The first {MOST_TILES} are shown." if flips > MOST_TILES else ""
    verdicts = counted(comparison.images * len(comparison.changes), "verdict")
    return f"{flips} of {verdicts}, after every threshold was fitted again.{shown}"
