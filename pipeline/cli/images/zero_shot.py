"""`watchword classify` and `watchword search`: what one tries first with a CLIP."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from pipeline.cli.console import output, plain_table, print_json, progress_output, require_format
from pipeline.counted import counted
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.errors import RecordFault, UsageError
from pipeline.evaluation.offline.embed import Embedded, embed_files
from pipeline.evaluation.search.zero_shot import label_probabilities, label_vectors, nearest
from pipeline.ingest.decode import thumbnail
from pipeline.ingest.folder import list_files, unreadable_reason
from pipeline.policies.schema import DEFAULT_TEMPLATES
from pipeline.reports.gallery import Tile, write_gallery
from pipeline.reports.page import THUMBNAIL_SIDE
from pipeline.settings import Settings, load_settings

FORMATS = ("table", "jsonl")


def run_classify(
    images: list[Path], labels: str, *, model: Path | None, top: int, output_format: str, html: Path | None
) -> int:
    """Print each image's best labels; returns 0, or 2 when a file could not be read."""
    names = _labels(labels)
    model_in_use = _Model(model, output_format)
    found, unreadable = model_in_use.embed(images, "classifying")
    vectors = label_vectors(names, DEFAULT_TEMPLATES, model_in_use.encoder.encode_texts)
    embeddings = np.stack([each.embedding for each in found])
    best = [
        [(names[place], float(row[place])) for place in np.argsort(-row, kind="stable")[:top]]
        for row in label_probabilities(embeddings, vectors, model_in_use.encoder.logit_scale)
    ]
    rows = [(each.file, lines) for each, lines in zip(found, best, strict=True)]
    _show(rows, "label", "probability", output_format)
    if html is not None:
        about = f"{counted(len(found), 'image')} among {len(names)} labels, model {model_in_use.bundle.digest[:12]}."
        write_gallery(html, _tiles(rows), title=f"Which of: {', '.join(names)}", about=about)
    return 2 if unreadable else 0


def run_search(
    text: str, images: list[Path], *, model: Path | None, top: int, output_format: str, html: Path | None
) -> int:
    """Print the images nearest to a sentence; returns 0, or 2 when a file could not be read."""
    model_in_use = _Model(model, output_format)
    found, unreadable = model_in_use.embed(images, "searching")
    vector = model_in_use.encoder.encode_texts([text])[0]
    hits = nearest(np.stack([each.embedding for each in found]), vector, top)
    rows = [(found[place].file, [(text, cosine)]) for place, cosine in hits]
    _show(rows, "text", "cosine", output_format)
    if html is not None:
        about = f"The nearest {len(hits)} of {counted(len(found), 'image')}, model {model_in_use.bundle.digest[:12]}."
        write_gallery(html, _tiles(rows), title=f"Nearest to “{text}”", about=about)
    return 2 if unreadable else 0


Row = tuple[Path, Sequence[tuple[str, float]]]


class _Model:
    """The bundle that was asked for, in process."""

    def __init__(self, model: Path | None, output_format: str) -> None:
        require_format(output_format, FORMATS)
        self.settings = load_settings(Settings)
        self.bundle = Bundle.load(model or self.settings.model)
        self.encoder = LocalEncoder(self.bundle)

    def embed(self, paths: list[Path], doing: str) -> tuple[list[Embedded], int]:
        """Embed what can be read, say what cannot, and return how many that were."""
        console, found = progress_output(), list[Embedded]()
        listed = list_files(paths)
        faults = {file: fault for file in listed if (fault := unreadable_reason(file))}
        for file, fault in faults.items():
            console.print(f"`{file}`: {fault}")
        files, unreadable = [file for file in listed if file not in faults], len(faults)
        each = embed_files(files, self.encoder, self.bundle.pixels, self.settings.image_limits)
        for outcome in track(each, doing, total=len(files), console=console, transient=True):
            if isinstance(outcome, Embedded):
                found.append(outcome)
            else:
                unreadable += 1
                console.print(f"`{outcome.file}`: {outcome.reason}")
        if not found:
            raise UsageError("there is no image to look at")
        return found, unreadable


def _labels(labels: str) -> list[str]:
    names = list(dict.fromkeys(name for part in labels.split(",") if (name := part.strip())))
    if len(names) < 2:  # noqa: PLR2004 -- a choice needs two
        raise UsageError(f"`--labels {labels}`: give at least two different labels, with commas between")
    return names


def _show(rows: Sequence[Row], what: str, value: str, output_format: str) -> None:
    if output_format == "jsonl":
        for file, lines in rows:
            print_json({"path": str(file), f"{what}s": dict(lines)})
        return
    table = plain_table("path", what, value)
    for file, lines in rows:
        for text, number in lines:
            table.add_row(str(file), text, f"{number:.3f}")
    output().print(table)


def _tiles(rows: Sequence[Row]) -> list[Tile]:
    return [Tile(str(file), _small(file), tuple(lines)) for file, lines in rows]


def _small(file: Path) -> bytes | None:
    try:
        return thumbnail(file.read_bytes(), THUMBNAIL_SIDE)
    except (OSError, RecordFault):
        return None  # it was read a moment ago
