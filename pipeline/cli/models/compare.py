"""`watchword models compare`: what another model would change."""

from pathlib import Path
from typing import Any

from pipeline.cli.console import output, plain_table, print_json, progress_output, require_format, share
from pipeline.cli.transition import note_access
from pipeline.counted import counted
from pipeline.encode.bundle import Bundle
from pipeline.errors import RecordFault, UsageError
from pipeline.evaluation.datasets.labels_csv import read_labels, read_policy_labels
from pipeline.evaluation.stats.confusion import Confusion
from pipeline.ingest.decode import thumbnail
from pipeline.ingest.folder import list_files
from pipeline.models.evaluation.compare import ModelComparison, PolicyChange, compare_models
from pipeline.policies.load import load_policy_set
from pipeline.reports.gallery import Tile, write_gallery
from pipeline.reports.page import THUMBNAIL_SIDE

MOST_TILES = 300


def run_compare(
    old: Path,
    new: Path,
    images: list[Path],
    data: Path | None,
    split: str,
    policies: Path,
    *,
    output_format: str,
    html: Path | None,
) -> int:
    """Compare and print; returns 0, or 1 when a policy must be looked at."""
    require_format(output_format, ("table", "json"))
    if bool(images) == (data is not None):
        raise UsageError("nothing to compare on, or two things: name `--images`, or labelled ones with `--data`")
    labels: dict[Path, str] = {}
    about: dict[str, frozenset[str]] = {}
    files = list_files(images) if images else []
    if data is not None:
        labels = {row.path: row.category for row in read_labels(data / "labels.csv", split)}
        about = read_policy_labels(data / "policy_labels.yaml")
        files = list(labels)
    policy_set = load_policy_set(policies)
    note_access(policy_set.policies, "models compare")
    progress_output().print(f"judging {counted(len(files), 'file')} with both models")
    found = compare_models(Bundle.load(old), Bundle.load(new), files, policy_set, labels, about)
    if output_format == "json":
        print_json(_fields(found))
    else:
        _print_table(found)
    if html is not None:
        write_gallery(html, _tiles(found), title="Verdicts that another model changes", about=_about(found))
    return 1 if any(change.retune for change in found.changes) else 0


def _print_table(found: ModelComparison) -> None:
    console = output()
    table = plain_table("policy", "threshold", "fitted again", "flagged", "newly", "cleared", "precision", "recall")
    for change in found.changes:
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
    for change in found.changes:
        if change.retune:
            console.print(f"{change.policy_id} must be tuned again: {change.retune}")
    console.print(f"{counted(found.images, 'image')}, {found.unreadable} unreadable")


def _both(change: PolicyChange, name: str) -> str:
    if change.old is None or change.new is None:
        return "–"
    return f"{share(getattr(change.old, name))} → {share(getattr(change.new, name))}"


def _fields(found: ModelComparison) -> dict[str, Any]:
    return {
        "images": found.images,
        "unreadable": found.unreadable,
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
            for change in found.changes
        ],
    }


def _counts(found: Confusion | None) -> dict[str, float | None] | None:
    return None if found is None else {"precision": found.precision, "recall": found.recall}


def _tiles(found: ModelComparison) -> list[Tile]:
    flips = [
        (change.policy_id, what, file)
        for change in found.changes
        for what, files in (("newly flagged", change.newly_flagged), ("cleared", change.newly_cleared))
        for file in files
        if file not in found.withheld
    ]
    return [Tile(str(file), _small(file), ((f"{policy}: {what}", None),)) for policy, what, file in flips[:MOST_TILES]]


def _small(file: Path) -> bytes | None:
    try:
        return thumbnail(file.read_bytes(), THUMBNAIL_SIDE)
    except (OSError, RecordFault):
        return None  # it was read a moment ago


def _about(found: ModelComparison) -> str:
    flips = sum(len(change.newly_flagged) + len(change.newly_cleared) for change in found.changes)
    shown = f" The first {MOST_TILES} are shown." if flips > MOST_TILES else ""
    verdicts = counted(found.images * len(found.changes), "verdict")
    return f"{flips} of {verdicts}, once every threshold was fitted again.{shown}"
