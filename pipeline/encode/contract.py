"""Encoder contract: model names, serving versions, and the checks that every answer must pass."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EncoderFault

IMAGE_MODEL, TEXT_MODEL = "clip_image", "clip_text"

# Half precision changes the length of a unit vector by less than a thousandth. Zeros, noise and logits are far off.
LENGTH_TOLERANCE = 1e-2

_VERSION_DIGITS = 12


def serving_version(model_digest: str) -> int:
    """
    Return the version under which Triton serves a model: the first 48 bits of the model's digest.

    Requests name the version, so a server with another model cannot answer them.
    """
    return int(model_digest[:_VERSION_DIGITS], 16)


def checked_embeddings(found: NDArray[np.float32], shape: tuple[int, int], source: str) -> NDArray[np.float32]:
    """
    Return `found` as float32 [N, D] after checking that it holds unit vectors in this shape.

    `source` names the encoder in the message. Raises `EncoderFault`.
    """
    if found.shape != shape or found.dtype != np.float32:
        raise EncoderFault(f"{source} answered {found.dtype} {list(found.shape)}, expected float32 {list(shape)}")
    if not np.isfinite(found).all():
        raise EncoderFault(f"{source} answered embeddings that are not finite")
    lengths = np.sqrt(np.einsum("nd,nd->n", found, found))
    if found.size and (off := float(np.abs(lengths - 1.0).max())) > LENGTH_TOLERANCE:
        raise EncoderFault(f"{source} answered embeddings whose length is off by {off:.3g} from 1")
    return found
