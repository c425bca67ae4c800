"""Golden file of a bundle, computed by its own towers in this process."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.events.images import ImageLimits
from pipeline.ingest.decode import decode
from pipeline.probes.golden import GoldenFile, measure_golden


def write_golden(folder: Path) -> GoldenFile:
    """Write the golden file of the bundle in `folder` and return it. Raises `BundleError`."""
    bundle = Bundle.load(folder)
    spec, limits = bundle.pixels, ImageLimits()

    def pixels(data: bytes) -> NDArray[np.uint8]:
        return decode(data, spec, limits).pixels

    golden = measure_golden(pixels, LocalEncoder(bundle))
    golden.write(folder)
    return golden
