"""Import of a source as a model bundle, which must compute the same embeddings as `transformers`."""

from collections.abc import Sequence
from pathlib import Path

import torch

from pipeline.digests import file_digest
from pipeline.encode.bundle import Bundle, Manifest
from pipeline.errors import UsageError
from pipeline.models.golden import write_golden
from pipeline.models.importing.check import PROBES, ImportParity, check_import
from pipeline.models.importing.source import Source
from pipeline.models.importing.tokens import worker_tokenizer
from pipeline.models.importing.towers import ImageGraph, TextGraph
from pipeline.models.onnx_export import export_tower
from pipeline.models.whole_folder import whole_folder
from pipeline.progress import NO_PROGRESS, Progress

MINIMUM_COSINE = 0.9999


def import_bundle(
    source: Source,
    folder: Path,
    files: Sequence[Path],
    *,
    name: str,
    cosine: float = MINIMUM_COSINE,
    progress: Progress = NO_PROGRESS,
) -> tuple[Manifest, ImportParity]:
    """
    Write `source` to `folder` as a bundle, checked on the images `files`.

    Raises `UsageError`, and leaves no bundle, when the cosine of an embedding to that of `transformers` for the same
    file or text is below `cosine`.
    """
    with whole_folder(folder) as new:
        manifest = _write(source, new, name, progress)
        parity = check_import(source, Bundle.load(new), files, PROBES, progress)
        if refusals := parity.refusals(cosine):
            raise UsageError(f"`{source.name}` is refused: " + "; ".join(refusals))
        write_golden(new)
    return manifest, parity


def _write(source: Source, folder: Path, name: str, progress: Progress) -> Manifest:
    with progress.working("exporting the image tower"):
        files = _export_images(source, folder / "image.onnx")
    with progress.working("exporting the text tower"):
        files += _export_texts(source, folder / "text.onnx")
    worker_tokenizer(source).save(str(folder / "tokenizer.json"))
    manifest = Manifest(
        name=name,
        image_size=source.pixels.size,
        resize=source.pixels.mode,
        resample=source.pixels.resample,
        exact_pixels=source.pixels.exact,
        dimension=_dimension(source),
        context=source.context,
        logit_scale=source.logit_scale,
        logit_bias=source.logit_bias,
        files={file.name: file_digest(file) for file in [*files, folder / "tokenizer.json"]},
    )
    manifest.write(folder)
    return manifest


def _export_images(source: Source, path: Path) -> list[Path]:
    return export_tower(ImageGraph(source), _blank(source, 2), "images", "image_embeds", path)


def _export_texts(source: Source, path: Path) -> list[Path]:
    # Real texts, since some towers look for the token that ends one.
    tokenizer = worker_tokenizer(source)
    input_ids = torch.tensor([tokenizer.encode(text).ids for text in PROBES[:2]])
    return export_tower(TextGraph(source), input_ids, "input_ids", "text_embeds", path)


def _dimension(source: Source) -> int:
    with torch.inference_mode():
        return int(ImageGraph(source)(_blank(source, 1)).shape[1])


def _blank(source: Source, count: int) -> torch.Tensor:
    return torch.zeros(count, source.pixels.size, source.pixels.size, 3, dtype=torch.uint8)
