"""Comparison of a new model with the current one, and pictures of the verdicts that flip."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipeline.counted import counted
from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labels_csv import read_labels, read_policy_labels
from pipeline.events.policies import PolicySet
from pipeline.ingest.folder import list_files
from pipeline.models.evaluation.compare import NO_LABELS, Labelling, ModelComparison, compare_models
from pipeline.operations.images.thumbnails import thumbnail_of_file
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """
    Two bundles, and either `images`, files and folders without labels, or `data`.

    `data` is a folder with a policy_labels.yaml and a labels.csv; one split of it is judged.
    """

    old: Path
    new: Path
    images: tuple[Path, ...] = ()
    data: Path | None = None
    split: str = "val"


@dataclass(frozen=True, slots=True)
class FlippedImage:
    """An image whose verdict by one policy flips: `newly flagged` or `cleared`. `thumbnail` is a JPEG, if any."""

    policy_id: str
    flip: str
    file: Path
    thumbnail: bytes | None


def compare_bundles(workbench: Workbench, request: ComparisonRequest, policy_set: PolicySet) -> ModelComparison:
    """Judge the images with both models, and refit the thresholds. Raises `UsageError`."""
    if bool(request.images) == (request.data is not None):
        raise UsageError("give images to compare on: either `--images`, or labelled images with `--data`")
    labelling = NO_LABELS if request.data is None else _labelling(request.data, request.split)
    files = list(labelling.categories) if labelling.categories else list_files(request.images)
    workbench.access.note(policy_set.policies, "models compare")
    workbench.progress.notify(f"judging {counted(len(files), 'file')} with both models")
    old, new = Bundle.load(request.old), Bundle.load(request.new)
    return compare_models(old, new, files, policy_set, labelling, workbench.progress)


def flipped_images(comparison: ModelComparison, *, side: int, most: int) -> list[FlippedImage]:
    """
    Return at most `most` images whose verdict flips, without those that a restricted policy flags.

    `side`: the longer side of their thumbnails, in pixels.
    """
    return [
        FlippedImage(policy_id, flip, file, thumbnail_of_file(file, side))
        for policy_id, flip, file in islice(_flips(comparison), most)
    ]


def _flips(comparison: ModelComparison) -> Iterator[tuple[str, str, Path]]:
    for change in comparison.changes:
        for flip, files in (("newly flagged", change.newly_flagged), ("cleared", change.newly_cleared)):
            yield from ((change.policy_id, flip, file) for file in files if file not in comparison.withheld)


def _labelling(data: Path, split: str) -> Labelling:
    categories = {row.path: row.category for row in read_labels(data / "labels.csv", split)}
    return Labelling(categories, read_policy_labels(data / "policy_labels.yaml"))
