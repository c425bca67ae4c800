"""A worker whose image encoder costs nothing: only its own CPU time is measured, with all outputs on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.events.images import ImageLimits
from pipeline.ingest.decode import decode
from pipeline.probes.golden import golden_images
from pipeline.settings import Settings, load_settings
from pipeline.stream import build, run
from pipeline.telemetry.logs import configure_logging
from pipeline.telemetry.metrics import Metrics


class StubEncoder:
    """The real text tower, the real embeddings of the golden images, and one fixed embedding for every other image."""

    answering, problem = True, ""

    def __init__(self, bundle: Bundle) -> None:
        self._local = LocalEncoder(bundle, threads=1)
        self.model_digest, self.logit_scale = bundle.digest, bundle.manifest.logit_scale
        self._embedding = np.full((1, bundle.manifest.dimension), bundle.manifest.dimension**-0.5, dtype=np.float32)
        golden = [decode(data, bundle.pixels, ImageLimits()).pixels for data in golden_images().values()]
        self._corners = [_corner(pixels[None]) for pixels in golden]
        self._known = self._local.encode_images(np.stack(golden))

    def check(self) -> None:
        """Nothing to ask."""

    def free_abandoned_regions(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing to close."""

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        found, corners = np.repeat(self._embedding, len(images), axis=0), _corner(images)
        for known, corner in zip(self._known, self._corners, strict=True):
            found[(corners == corner).all(axis=1)] = known
        return found

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._local.encode_texts(texts)


def _corner(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the first pixels of each image, which tell the golden ones apart."""
    return images[:, 0, :16].reshape(len(images), -1)


def build_stub(settings: Settings, bundle: Bundle, metrics: Metrics) -> StubEncoder:
    return StubEncoder(bundle)


if __name__ == "__main__":
    vars(build)["build_encoder"] = build_stub
    settings = load_settings(Settings)
    configure_logging("json", "info")
    run.run_worker(settings)
