"""Engines of a bundle in fewer bits, which must judge like the bundle."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.digests import file_digest
from pipeline.encode.bundle import Bundle, Derivation, Manifest
from pipeline.errors import RecordFault, UsageError
from pipeline.events.images import ImageLimits
from pipeline.events.policies import PolicySet
from pipeline.ingest.decode import decode
from pipeline.models.engines.half import write_half
from pipeline.models.engines.parity import Limits, Parity, compare
from pipeline.models.engines.quantise import quantise_convolutions, quantise_weights
from pipeline.models.engines.quantise_linear import count_products, quantise_products
from pipeline.models.golden import write_golden
from pipeline.models.spread import spread
from pipeline.models.whole_folder import whole_folder
from pipeline.progress import NO_PROGRESS, Progress

Reduced = Literal["fp16", "int8"]

CARD = "CARD.md"
# More photographs hardly change the scales; with fewer, outliers are a matter of chance.
CALIBRATION_IMAGES = 256
# A convolutional tower has one product, at its head; a transformer has six in each layer.
MOST_PRODUCTS_OF_CONVOLUTIONS = 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """The files that fix an engine's scales, other files that it is judged on, the policies, and the limits."""

    calibration: Sequence[Path]
    held_out: Sequence[Path]
    policy_set: PolicySet
    limits: Limits


def write_engine_bundle(
    parent: Bundle,
    folder: Path,
    precision: Reduced,
    evidence: Evidence,
    *,
    small_texts: bool = False,
    progress: Progress = NO_PROGRESS,
) -> tuple[Manifest, Parity]:
    """
    Write an engine of `parent`'s image tower to `folder` as a separate bundle.

    The text tower does not change: it runs once for each policy set, and its vectors decide every score. `small_texts`
    stores its weights in int8. Raises `UsageError`, and leaves no bundle, when the engine exceeds the limits.
    """
    with whole_folder(folder) as new:
        with progress.working(f"making the {precision} engine"):
            engine = _write_towers(parent, new, precision, evidence, small_texts=small_texts)
        parity = compare(parent, Bundle(new, engine), evidence.held_out, evidence.policy_set, progress=progress)
        if refusals := parity.refusals(evidence.limits):
            raise UsageError(f"the {precision} engine is refused: " + "; ".join(refusals))
        manifest = engine.model_copy(update={"derived": _derivation(parent, precision, evidence, parity)})
        manifest.write(new)
        write_golden(new)
        if (parent.folder / CARD).exists():
            shutil.copy(parent.folder / CARD, new / CARD)
    return manifest, parity


def _write_towers(
    parent: Bundle, folder: Path, precision: Reduced, evidence: Evidence, *, small_texts: bool
) -> Manifest:
    """Write towers and tokenizer, and return a manifest that lists them."""
    names = parent.manifest
    shutil.copy(parent.tokenizer, folder / names.tokenizer)
    images, texts = _MAKERS[precision](parent, folder, evidence), _texts(parent, folder, small=small_texts)
    files = [*images, *texts, folder / names.tokenizer]
    return names.model_copy(update={"files": {file.name: file_digest(file) for file in files}})


def _derivation(parent: Bundle, precision: Reduced, evidence: Evidence, parity: Parity) -> Derivation:
    return Derivation(
        parent=parent.digest,
        precision=precision,
        policy_set=evidence.policy_set.digest,
        images=parity.images,
        cosine_p1=round(parity.cosine_p1, 5),
        flip_rate=round(parity.flip_rate, 6),
    )


def _int8(parent: Bundle, folder: Path, evidence: Evidence) -> list[Path]:
    image = folder / parent.manifest.image_tower
    pixels = _pixels(parent, evidence.calibration)
    if count_products(parent.image_tower) > MOST_PRODUCTS_OF_CONVOLUTIONS:
        quantise_products(parent.image_tower, image, pixels)
    else:
        quantise_convolutions(parent.image_tower, image, pixels)
        quantise_weights(image, image)  # the product at its head
    return [image]


def _fp16(parent: Bundle, folder: Path, _: Evidence) -> list[Path]:
    return write_half(parent.image_tower, folder / parent.manifest.image_tower)


def _texts(parent: Bundle, folder: Path, *, small: bool) -> list[Path]:
    if small:
        quantise_weights(parent.text_tower, folder / parent.manifest.text_tower)
        return [folder / parent.manifest.text_tower]
    text = [name for name in parent.manifest.files if Path(name).stem == Path(parent.manifest.text_tower).stem]
    for name in text:
        shutil.copy(parent.folder / name, folder / name)
    return [folder / name for name in text]


_MAKERS: dict[Reduced, Callable[[Bundle, Path, Evidence], list[Path]]] = {"int8": _int8, "fp16": _fp16}


def _pixels(bundle: Bundle, files: Sequence[Path]) -> NDArray[np.uint8]:
    """Return decoded images of a sample of the files, uint8 [N, H, W, 3]."""
    found = []
    for file in spread(files, CALIBRATION_IMAGES):
        try:
            found.append(decode(file.read_bytes(), bundle.pixels, ImageLimits()).pixels)
        except RecordFault:
            continue
    if not found:
        raise UsageError("none of the calibration files is an image that can be read")
    return np.stack(found)
