"""Import of a published CLIP, SigLIP or SigLIP 2 as a model bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.counted import counted
from pipeline.errors import RecordFault, UsageError
from pipeline.events.images import ImageLimits, PixelSpec
from pipeline.extras import models_extra
from pipeline.ingest.decode import decode
from pipeline.ingest.folder import list_files
from pipeline.models.spread import spread
from pipeline.models.whole_folder import require_new_folder
from pipeline.progress import NO_PROGRESS, Progress

if TYPE_CHECKING:
    from pipeline.models.importing.check import ImportParity

MOST_IMAGES = 64
_SMALL = PixelSpec(32, "squash")


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """The digest of an imported bundle, and its comparison with `transformers`."""

    digest: str
    parity: "ImportParity"


def import_model(
    source: str,
    folder: Path,
    images: Sequence[Path],
    *,
    revision: str | None = None,
    name: str | None = None,
    progress: Progress = NO_PROGRESS,
) -> ImportedModel:
    """
    Write the bundle of a model, given as a folder or a Hugging Face id, and compare it with `transformers`.

    `images`: files and folders, of which at most `MOST_IMAGES` files are compared. Raises `UsageError`, and leaves
    nothing behind, when the model is not supported or an embedding differs.
    """
    with models_extra():
        from pipeline.models.importing.bundle import import_bundle
        from pipeline.models.importing.source import load_source

    require_new_folder(folder)
    files = _readable(list_files(images))
    progress.notify(f"loading `{source}`")
    with progress.working(f"loading `{source}`"):
        model = load_source(source, revision)
    compared = counted(len(files), "image")
    progress.notify(f"exporting both towers, then comparing with transformers on {compared}")
    manifest, parity = import_bundle(model, folder, files, name=name or Path(source).name, progress=progress)
    return ImportedModel(manifest.digest, parity)


def _readable(files: Sequence[Path]) -> list[Path]:
    """Return images among evenly spaced files. Raises `UsageError` when there is none."""
    readable = [file for file in spread(files, MOST_IMAGES) if _is_image(file)]
    if not readable:
        raise UsageError("none of the files is an image that can be read")
    return readable


def _is_image(file: Path) -> bool:
    try:
        decode(file.read_bytes(), _SMALL, ImageLimits())
    except RecordFault:
        return False
    return True
