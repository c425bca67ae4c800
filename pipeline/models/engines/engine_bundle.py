"""A bundle to its int8 engine, let through only when it judges as the bundle does."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.encode.bundle import Bundle, Derivation, Manifest, file_digest
from pipeline.errors import RecordFault, UsageError
from pipeline.events.images import ImageLimits
from pipeline.events.policies import PolicySet
from pipeline.ingest.decode import decode
from pipeline.models.engines.parity import Limits, Parity, compare
from pipeline.models.engines.quantise import quantise_image_tower, quantise_weights

CARD = "CARD.md"
# More photographs do not change the scales much; fewer leave outliers to chance.
CALIBRATION_IMAGES = 256


def write_int8_bundle(
    parent: Bundle,
    folder: Path,
    *,
    calibration: Sequence[Path],
    held_out: Sequence[Path],
    policy_set: PolicySet,
    limits: Limits,
) -> tuple[Manifest, Parity]:
    """
    Write an int8 engine of `parent` to `folder`, scales from `calibration`, checked on `held_out`.

    Raises `UsageError`, and leaves no bundle, when the engine does not hold `limits`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = parent.manifest
    quantise_image_tower(parent.image_tower, folder / names.image_tower, _pixels(parent, calibration))
    quantise_weights(parent.text_tower, folder / names.text_tower)
    shutil.copy(parent.tokenizer, folder / names.tokenizer)
    files = {file: file_digest(folder / file) for file in (names.image_tower, names.text_tower, names.tokenizer)}
    engine = names.model_copy(update={"files": files})
    parity = compare(parent, Bundle(folder, engine), held_out, policy_set)
    if refusals := parity.refusals(limits):
        shutil.rmtree(folder)
        raise UsageError("the int8 engine is refused: " + "; ".join(refusals))
    derived = Derivation(
        parent=parent.digest,
        precision="int8",
        policy_set=policy_set.digest,
        images=parity.images,
        cosine_p1=round(parity.cosine_p1, 5),
        flip_rate=round(parity.flip_rate, 6),
    )
    manifest = engine.model_copy(update={"derived": derived})
    manifest.write(folder)
    if (parent.folder / CARD).exists():
        shutil.copy(parent.folder / CARD, folder / CARD)
    return manifest, parity


def _pixels(bundle: Bundle, files: Sequence[Path]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return what the image tower takes for a sample of the files, uint8 [N, H, W, 3]."""
    found = []
    for file in files[:: max(1, len(files) // CALIBRATION_IMAGES)]:
        try:
            found.append(decode(file.read_bytes(), bundle.pixels, ImageLimits()).pixels)
        except RecordFault:
            continue
    if not found:
        raise UsageError("none of the calibration files is an image that can be read")
    return np.stack(found)
