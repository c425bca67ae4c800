"""Checks of the model: its bundle, each Triton with its digest, and the golden probes through each Triton."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.triton import TritonEncoder
from pipeline.encode.triton_pool import resolver_of
from pipeline.encode.triton_tls import triton_tls_of
from pipeline.errors import DependencyFault, UsageError
from pipeline.events.images import ImageLimits
from pipeline.ingest.decode import decode_here
from pipeline.operations.doctor.findings import Finding, failed, fine, skipped, warning
from pipeline.operations.workbench import Workbench
from pipeline.probes.golden import GoldenFile
from pipeline.probes.probes import GoldenProbes
from pipeline.settings import Settings
from pipeline.tls import Tls

_GOLDEN_IMAGES = 16


def check_model(workbench: Workbench) -> Iterator[Finding]:
    """Yield whether the bundle loads and has a golden file. Raises `UsageError`."""
    bundle = workbench.bundle
    if GoldenFile.read(bundle.folder, bundle.digest) is None:
        yield warning(
            "model",
            f"`{bundle.folder}` has no golden file: nothing is probed",
            f"make it with `watchword models golden {bundle.folder}`",
        )
        return
    yield fine("model", f"`{bundle.folder.name}`, digest {bundle.digest[:12]}…")


def check_triton(workbench: Workbench) -> Iterator[Finding]:
    """Yield the state of each Triton behind the address, and of the golden probes through it. Raises `UsageError`."""
    settings, bundle = workbench.settings, workbench.bundle
    tls = triton_tls_of(settings)
    golden = GoldenFile.read(bundle.folder, bundle.digest)
    addresses = resolver_of(settings.triton_url, resolved=tls is None)()
    with ThreadPoolExecutor(len(addresses), "doctor-triton") as threads:
        asked = [threads.submit(_examine, settings, bundle, golden, tls, each) for each in addresses]
        for each in asked:
            yield from each.result()


def _examine(
    settings: Settings, bundle: Bundle, golden: GoldenFile | None, tls: Tls | None, address: str
) -> list[Finding]:
    encoder = TritonEncoder(
        bundle,
        address,
        timeout_s=settings.triton_timeout_s,
        batch_size=max(_GOLDEN_IMAGES, settings.batch_size),
        slots=1,
        shared_memory=settings.triton_shared_memory,
        on_error=lambda _: None,
        tls=tls,
    )
    try:
        encoder.check()
        found = [fine("triton", f"`{address}` is ready and serves the model {bundle.digest[:12]}…")]
    except (DependencyFault, UsageError) as error:
        advice = "check WATCHWORD_TRITON_URL, and that Triton serves the bundle of WATCHWORD_MODEL"
        found = [failed("triton", f"`{address}`: {error}", advice), skipped("probes", f"`{address}`: not probed")]
    else:
        if golden is not None:
            found += _probe(bundle, golden, encoder, address)
    finally:
        encoder.close()
    return found


def _probe(bundle: Bundle, golden: GoldenFile, encoder: TritonEncoder, address: str) -> list[Finding]:
    def decode(data: bytes) -> NDArray[np.uint8]:
        return decode_here(data, bundle.pixels, ImageLimits()).picture.pixels

    probes = GoldenProbes(golden, decode, encoder, Random(0))  # noqa: S311 -- no policy set is sampled here
    try:
        failures = probes.failures(())
    except DependencyFault as fault:
        return [failed("probes", f"`{address}`: {fault}", "see the finding about Triton")]
    if failures:
        seen = "; ".join(map(str, failures))
        return [failed("probes", f"`{address}`: {seen}", "docs/probes.md says what each probe means")]
    return [fine("probes", f"`{address}`: {len(golden.images)} images, their texts and scores come out as known")]
