"""Encoders, as the stream and the tools ask them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class ImageEncoder(Protocol):
    """
    A model's image tower. Called by several threads.

    `encode_images` maps uint8 [N, H, W, 3] to float32 [N, D], unit length; it may block on a server and raises
    `EncoderFault` when that did not answer: the caller must try the same images again.
    """

    model_digest: str

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]: ...


class TextEncoder(Protocol):
    """
    A model's text tower.

    `encode_texts` maps N texts to float32 [N, D], unit length; it may block on a server and raises `EncoderFault`
    when that did not answer: try again later. `logit_scale` and `model_digest` are the bundle's.
    """

    model_digest: str
    logit_scale: float

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]: ...
