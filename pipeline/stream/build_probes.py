"""Golden probes of a worker, built from its parts."""

from collections.abc import Callable
from random import Random

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.ports import ImageEncoder
from pipeline.encode.triton_pool import TritonPool
from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.images import ImageLimits, PixelSpec
from pipeline.ingest.decode import decode_here
from pipeline.ingest.decode_processes import DecodeProcesses
from pipeline.probes.golden import GoldenFile
from pipeline.probes.guarded import GuardedEncoder
from pipeline.probes.probes import GoldenProbes
from pipeline.stream.probe_gate import ProbeGate
from pipeline.telemetry.metrics import Metrics

# Reasons that follow from the configured limits, which may be smaller than a golden photograph.
LIMITS = frozenset({DeadLetterReason.TOO_LARGE, DeadLetterReason.TOO_MANY_PIXELS, DeadLetterReason.TOO_COSTLY})


def build_probes(
    bundle: Bundle, processes: DecodeProcesses, encoder: TritonPool, batch_size: int
) -> GoldenProbes | None:
    """Return the golden probes of a worker's path, None for a bundle without a golden file. Raises `BundleError`."""
    golden = GoldenFile.read(bundle.folder, bundle.digest)
    decode = pixels_of(processes, bundle.pixels)
    return GoldenProbes(golden, decode, encoder, _random(), batch_size) if golden is not None else None


def build_guarded_encoder(
    bundle: Bundle, processes: DecodeProcesses, encoder: TritonPool, gate: ProbeGate, metrics: Metrics
) -> ImageEncoder:
    """Return the encoder with golden images among its requests, or itself for a bundle without a golden file."""
    golden = GoldenFile.read(bundle.folder, bundle.digest)
    if golden is None:
        return encoder
    decode = pixels_of(processes, bundle.pixels)
    return GuardedEncoder(encoder, golden, decode, _random(), gate.close, metrics.probe_canaries.inc)


def pixels_of(processes: DecodeProcesses, spec: PixelSpec) -> Callable[[bytes], NDArray[np.uint8]]:
    """Return a function that decodes a golden image to uint8 [H, W, 3] as records are, without their size limits."""

    def pixels(data: bytes) -> NDArray[np.uint8]:
        try:
            return processes.decode(data).picture.pixels
        except RecordFault as fault:
            if fault.reason not in LIMITS:
                raise
            return decode_here(data, spec, ImageLimits()).picture.pixels

    return pixels


def _random() -> Random:
    return Random()  # noqa: S311 -- samples texts and places; nobody gains by guessing them
