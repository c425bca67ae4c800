"""An encoder whose process is killed while its regions are registered. Takes Triton's address."""

import os
import signal
import sys

import numpy as np

from pipeline.encode.bundle import Bundle
from pipeline.encode.triton import TritonEncoder
from pipeline.settings import BUNDLED_MODEL


def main(url: str) -> None:
    bundle = Bundle.load(BUNDLED_MODEL)
    encoder = TritonEncoder(
        bundle, url, timeout_s=10, batch_size=32, slots=1, shared_memory="on", on_error=lambda _: None
    )
    side = bundle.manifest.image_size
    encoder.encode_images(np.zeros((1, side, side, 3), np.uint8))
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
