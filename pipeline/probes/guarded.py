"""An image encoder that sends a golden image along every few images, and believes no answer that gets it wrong."""

import threading
from collections.abc import Callable
from random import Random

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.ports import ImageEncoder
from pipeline.errors import EncoderFault, ProbeFault
from pipeline.probes.golden import Decode, GoldenFile, golden_images
from pipeline.probes.probes import MAX_IMAGE_DISTANCE

# The most sensitive of the golden images: each planted fault moves it.
CANARY = "ibis"

# With at most 32 images a request, no more than 95 go between two golden images.
IMAGES_BETWEEN = 64


class GuardedEncoder:
    """
    Puts a golden image at a random place into every request that would take the images since the last one past 64.

    `on_failure` is called when its embedding is not the known one, before `ProbeFault` is raised. Several threads may
    call it. A request has at most `batch_size` images less one.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        golden: GoldenFile,
        decode: Decode,
        random: Random,
        on_failure: Callable[[str], None],
        on_pass: Callable[[], None] = lambda: None,
    ) -> None:
        self.model_digest = encoder.model_digest
        self._encoder, self._random = encoder, random
        self._on_failure, self._on_pass = on_failure, on_pass
        self._pixels = decode(golden_images()[CANARY])
        self._known = np.array(golden.images[CANARY])
        self._lock = threading.Lock()
        self._since = IMAGES_BETWEEN

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [N, H, W, 3], RGB, to float32 [N, D], unit length. Raises `ProbeFault` and `EncoderFault`."""
        if not self._due(len(images)):
            return self._ask(images)
        place = self._random.randint(0, len(images))
        found = self._ask(np.insert(images, place, self._pixels, axis=0))
        distance = 1.0 - float(found[place].astype(np.float64) @ self._known)
        if distance > MAX_IMAGE_DISTANCE:
            detail = f"the embedding of the golden image `{CANARY}` is {distance:.4f} from the known one"
            self._expect_golden()
            self._on_failure(detail)
            raise ProbeFault(detail)
        self._on_pass()
        return np.delete(found, place, axis=0)

    def _ask(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode images. After a fault the server may be another one, so the next request has a golden image."""
        try:
            return self._encoder.encode_images(images)
        except EncoderFault:
            self._expect_golden()
            raise

    def _expect_golden(self) -> None:
        with self._lock:
            self._since = IMAGES_BETWEEN

    def _due(self, count: int) -> bool:
        with self._lock:
            self._since += count
            due = self._since > IMAGES_BETWEEN
            if due:
                self._since = count
            return due
