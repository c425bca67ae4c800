"""A source to a model bundle, let through only when it computes what `transformers` does."""

from collections.abc import Sequence
from pathlib import Path

import torch

from pipeline.encode.bundle import Bundle, Manifest, file_digest
from pipeline.errors import UsageError
from pipeline.models.importing.check import PROBES, ImportParity, check_import
from pipeline.models.importing.source import Source
from pipeline.models.importing.tokens import worker_tokenizer
from pipeline.models.importing.towers import ImageGraph, TextGraph
from pipeline.models.onnx_export import export_tower
from pipeline.models.whole_folder import whole_folder

LEAST_COSINE = 0.9999


def import_bundle(
    source: Source, folder: Path, files: Sequence[Path], *, name: str, cosine: float = LEAST_COSINE
) -> tuple[Manifest, ImportParity]:
    """
    Write `source` to `folder` as a bundle, checked on the images `files`.

    Raises `UsageError`, and leaves no bundle, when any embedding's cosine to what `transformers` makes of the same
    file or text is below `cosine`.
    """
    with whole_folder(folder) as made:
        manifest = _write(source, made, name)
        parity = check_import(source, Bundle.load(made), files, PROBES)
        if refusals := parity.refusals(cosine):
            raise UsageError(f"`{source.name}` is refused: " + "; ".join(refusals))
    return manifest, parity


def _write(source: Source, folder: Path, name: str) -> Manifest:
    size, context = source.pixels.size, source.context
    images = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    # Tokens of a text, so that what looks for the end of one finds it.
    tokenizer = worker_tokenizer(source)
    input_ids = torch.tensor([tokenizer.encode(text).ids for text in PROBES[:2]])
    files = export_tower(ImageGraph(source), images, "images", "image_embeds", folder / "image.onnx")
    files += export_tower(TextGraph(source), input_ids, "input_ids", "text_embeds", folder / "text.onnx")
    tokenizer.save(str(folder / "tokenizer.json"))
    with torch.inference_mode():
        dimension = ImageGraph(source)(images[:1]).shape[1]
    manifest = Manifest(
        name=name,
        image_size=size,
        resize=source.pixels.mode,
        resample=source.pixels.resample,
        exact_pixels=source.pixels.exact,
        dimension=dimension,
        context=context,
        logit_scale=source.logit_scale,
        logit_bias=source.logit_bias,
        files={file.name: file_digest(file) for file in [*files, folder / "tokenizer.json"]},
    )
    manifest.write(folder)
    return manifest
