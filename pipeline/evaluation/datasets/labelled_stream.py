"""Labelled streams: images with their events' attributes and the policies that should flag them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.bounded import brief
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.label_files import Row, file_named, mistake, read_csv, read_json_lines
from pipeline.evaluation.datasets.labels_csv import read_policy_labels
from pipeline.ingest.folder import FileEvent, file_id, list_files

POLICY_LABELS = "policy_labels.yaml"
LABELS = "labels.csv"
# Name of the folder of images that no policy should flag.
NONE = "none"
# A smaller probability is a mistake, and its inverse, the weight, may overflow.
_LEAST_PROBABILITY = 1e-12
_KNOWN = frozenset({"image", "file", "id", "source", "policies", "category", "cluster", "split", "probability"})


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """
    One image of a stream. `right`: the policies that should flag it; `cluster`: equal for near-duplicates.

    `probability`: the chance (0 < p <= 1) that the image was sampled from the stream for labelling; None if unknown.
    """

    id: str
    image: Path
    source: str
    attributes: Mapping[str, str]
    right: frozenset[str]
    cluster: str
    probability: float | None = None

    @property
    def event(self) -> FileEvent:
        """The event to judge."""
        return FileEvent(self.id, self.image, self.source, self.attributes)


@dataclass(frozen=True, slots=True)
class LabelledStream:
    """A stream, and the policies that its labels cover; for other policies it has no labels."""

    images: tuple[LabelledImage, ...]
    policies: frozenset[str]


def labels_file(path: Path) -> Path:
    """Return the labels file; its digest is stored with every fit. Raises `UsageError` when there is none."""
    table = path / LABELS if path.is_dir() else path
    if not table.is_file():
        raise UsageError(f"`{path}`: a fit stores the digest of its labels file; give a CSV or JSON Lines file")
    return table


def policy_ids(text: str | None) -> list[str]:
    """Return the policy ids in a cell, separated by spaces or commas."""
    return (text or "").replace(",", " ").split()


def read_stream(path: Path, split: str | None = None) -> LabelledStream:
    """
    Read a labelled stream.

    A CSV or JSON Lines file has the column `image` (or `file`), a path relative to the file's folder, and `policies`,
    the ids of the policies that should flag it. Instead of `policies` it may have `category`, with a
    `policy_labels.yaml` next to it that maps policies to categories. The columns `id`, `source`, `cluster`, `split` and
    `probability` are optional; any other column is an attribute of the event.

    A folder has a `labels.csv`, or a folder of images for each policy that should flag them, and one called `none`.
    Raises `UsageError`.
    """
    if path.is_dir() and (path / LABELS).exists():
        path = path / LABELS
    if path.is_dir():
        return _folders(path)
    if not path.exists():
        raise UsageError(f"`{path}`: not found; give a CSV or JSON Lines file, or a folder of labelled images")
    rows = [row for row in _rows(path) if split is None or row.values.get("split") == split]
    if not rows:
        raise UsageError(f"`{path}`: no rows" + (f" of the split `{split}`" if split else ""))
    kinds = read_policy_labels(path.parent / POLICY_LABELS) if "policies" not in rows[0].values else None
    images = tuple(_image(path, row, kinds) for row in rows)
    named = kinds.keys() if kinds is not None else {policy for image in images for policy in image.right}
    return LabelledStream(images, frozenset(named))


def _rows(path: Path) -> Iterator[Row]:
    return read_csv(path).rows if path.suffix == ".csv" else read_json_lines(path)


def _image(path: Path, row: Row, kinds: Mapping[str, frozenset[str]] | None) -> LabelledImage:
    line, values = row.line, row.values
    name = values.get("image") or values.get("file")
    if not name:
        raise mistake(path, line, "no `image`")
    image = file_named(path, line, name)
    event_id = str(values.get("id") or name)
    return LabelledImage(
        id=event_id,
        image=image,
        source=str(values.get("source") or "replay"),
        attributes={key: str(value) for key, value in values.items() if key not in _KNOWN and value not in (None, "")},
        right=_right(path, row, kinds),
        cluster=str(values.get("cluster") or event_id),
        probability=read_probability(path, line, values.get("probability")),
    )


def _right(path: Path, row: Row, kinds: Mapping[str, frozenset[str]] | None) -> frozenset[str]:
    """Return the ids of the policies that should flag a row's image."""
    if kinds is not None:
        category = row.values.get("category")
        if not category or not isinstance(category, str):
            raise mistake(path, row.line, "neither `policies` nor `category`")
        return frozenset(policy for policy, categories in kinds.items() if category in categories)
    given = row.values.get("policies")
    named = given if isinstance(given, list) else policy_ids(given) if isinstance(given, str | None) else [given]
    if not all(isinstance(each, str) for each in named):
        raise mistake(path, row.line, "`policies` must name policies, in one text or a list of texts")
    return frozenset(named)


def read_probability(path: Path, line: int, value: Any) -> float | None:
    """Return the sampling probability of a row, None where it has none. Raises `UsageError` for another value."""
    if value in (None, ""):
        return None
    try:
        probability = float(value)
    except (TypeError, ValueError, OverflowError):
        probability = 0.0
    if not _LEAST_PROBABILITY <= probability <= 1:
        raise mistake(path, line, f"`probability` is `{brief(value)}`, not a number above 0 and up to 1")
    return probability


def _folders(folder: Path) -> LabelledStream:
    kinds = sorted(inner for inner in folder.iterdir() if inner.is_dir() and not inner.name.startswith("."))
    if not kinds:
        raise UsageError(f"`{folder}`: has neither a labels.csv nor folders named after policies")
    images = tuple(
        LabelledImage(
            id=file_id(file.relative_to(folder)),
            image=file,
            source="replay",
            attributes={},
            right=frozenset() if kind.name == NONE else frozenset({kind.name}),
            cluster=file_id(file.relative_to(folder)),
        )
        for kind in kinds
        for file in list_files([kind])
    )
    return LabelledStream(images, frozenset(kind.name for kind in kinds if kind.name != NONE))
