"""Embeddings computed once a test process, for tests whose fact is not the encoder's."""

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder

Vector = NDArray[np.float32]


class Embeddings:
    """Embeddings by weights and input. An embedding does not depend on its batch: tests/contract/test_encoders.py."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Vector] = {}
        self._weights: WeakKeyDictionary[LocalEncoder, Hashable] = WeakKeyDictionary()
        self._init = LocalEncoder.__init__
        self._encode_images = LocalEncoder.encode_images
        self._encode_texts = LocalEncoder.encode_texts

    @contextmanager
    def used(self, weights: Bundle | None = None) -> Iterator[None]:
        """Let every `LocalEncoder`, or those of one bundle, encode only inputs that its weights have not encoded."""
        known, only = self, None if weights is None else _weights(weights)

        def init(encoder: LocalEncoder, bundle: Bundle, **options: Any) -> None:
            known._init(encoder, bundle, **options)
            if only in {None, _weights(bundle)}:
                known._weights[encoder] = _weights(bundle)

        def encode_images(encoder: LocalEncoder, images: NDArray[np.uint8]) -> Vector:
            keys = [hashlib.sha256(image.tobytes()).digest() for image in images]
            return known._found(encoder, keys, lambda places: known._encode_images(encoder, images[places]))

        def encode_texts(encoder: LocalEncoder, texts: Sequence[str]) -> Vector:
            def encode(places: list[int]) -> Vector:
                return known._encode_texts(encoder, [texts[place] for place in places])

            return known._found(encoder, texts, encode)

        patched: dict[str, Any] = {"__init__": init, "encode_images": encode_images, "encode_texts": encode_texts}
        with mock.patch.multiple(LocalEncoder, **patched):
            yield

    @contextmanager
    def unused(self) -> Iterator[None]:
        """Let every `LocalEncoder` encode everything, within a test that else uses what is known."""
        with mock.patch.multiple(LocalEncoder, encode_images=self._encode_images, encode_texts=self._encode_texts):
            yield

    def _found(
        self, encoder: LocalEncoder, inputs: Sequence[Hashable], encode: Callable[[list[int]], Vector]
    ) -> Vector:
        weights = self._weights.get(encoder)
        if weights is None or not inputs:
            return encode(list(range(len(inputs))))
        keys = [(weights, each) for each in inputs]
        places = {key: place for place, key in enumerate(keys) if key not in self._known}
        if places:
            self._known |= zip(places, encode(list(places.values())), strict=True)
        return np.stack([self._known[key] for key in keys])


def _weights(bundle: Bundle) -> Hashable:
    return bundle.manifest.model_dump_json(exclude={"name"})
