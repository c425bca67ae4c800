"""`watchword models import`: someone else's model to a bundle, and how near it is."""

import logging
from pathlib import Path

from pipeline.cli.console import output, progress_output, require_new_folder
from pipeline.counted import counted
from pipeline.errors import RecordFault, UsageError
from pipeline.events.images import ImageLimits, PixelSpec
from pipeline.extras import models_extra
from pipeline.ingest.decode import decode
from pipeline.ingest.folder import list_files
from pipeline.models.spread import spread

MOST_IMAGES = 64


def run_import(source: str, folder: Path, images: list[Path], *, revision: str | None, name: str | None) -> None:
    """Write the bundle, or say why not."""
    with models_extra():
        from pipeline.models.importing.bundle import import_bundle
        from pipeline.models.importing.source import load_source

    require_new_folder(folder)
    quiet_exporter()
    progress = progress_output()
    files = _readable(list_files(images))
    progress.print(f"loading `{source}`")
    model = load_source(source, revision)
    progress.print(f"exporting both towers, then comparing with transformers on {counted(len(files), 'image')}")
    manifest, parity = import_bundle(model, folder, files, name=name or Path(source).name)
    output().print(
        f"{counted(parity.images, 'image')}: least cosine {parity.image_cosine_min:.7f}; "
        f"{counted(parity.texts, 'text')}: the same tokens, least cosine {parity.text_cosine_min:.7f}"
    )
    output().print(f"`{folder}`: model {manifest.digest}")


def _readable(files: list[Path]) -> list[Path]:
    """Return some of the files that are images, spread over all of them."""
    found = [file for file in spread(files, MOST_IMAGES) if _is_image(file)]
    if not found:
        raise UsageError("none of the files is an image that can be read")
    return found


def _is_image(file: Path) -> bool:
    try:
        decode(file.read_bytes(), PixelSpec(32, "squash"), ImageLimits())
    except RecordFault:
        return False
    return True


def quiet_exporter() -> None:
    """The exporter and `transformers` warn of much that the comparison afterwards settles."""
    for name in ("torch.onnx", "transformers", "onnxscript"):
        logging.getLogger(name).setLevel(logging.ERROR)
