"""Protocols of the image encoder and the text encoder."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class ImageEncoder(Protocol):
    """
    A model's image tower. Several threads call it.

    `encode_images` maps uint8 [N, H, W, 3] to float32 [N, D], unit length. It may block on a server. It raises
    `EncoderFault` when the server does not answer; the caller must try the same images again.
    """

    model_digest: str

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]: ...


class TextEncoder(Protocol):
    """
    A model's text tower.

    `encode_texts` maps N texts to float32 [N, D], unit length. It may block on a server. It raises `EncoderFault` when
    the server does not answer; try again later. `logit_scale` and `model_digest` are the bundle's.
    """

    model_digest: str
    logit_scale: float

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]: ...
