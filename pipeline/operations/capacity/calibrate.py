"""Short measurement of the costs of one image on this machine, without Kafka and Triton."""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.emit.formats import embedding_record, flag_record, verdict_record
from pipeline.encode.local import LocalEncoder
from pipeline.errors import UsageError
from pipeline.events.images import DecodedImage
from pipeline.events.outcomes import Verdict
from pipeline.events.policies import PolicySet
from pipeline.events.records import Origin, Record
from pipeline.ingest.decoder import Decoder, build_decoder, stack_pixels
from pipeline.ingest.folder import list_files, read_files
from pipeline.judge.verdicts import judge_images
from pipeline.operations.capacity.costs import Costs
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import load_policy_set
from pipeline.probes.golden import golden_images
from pipeline.releases.control_topic import read_published

BATCH = 32
ROUNDS = 3
MOST_IMAGES = 256
LEAST_IMAGES = 64


def measure_costs(workbench: Workbench, images: Sequence[Path], encode_ms: float | None = None) -> Costs:
    """
    Return the costs of an image: the median of several rounds over `images` (files and folders), in CPU time.

    Without images, the photographs of the golden probes are used. With `encode_ms`, the encoder is not measured. The
    policies are those of the settings. Raises `UsageError` when no image can be decoded, and `PolicyError`.
    """
    records = _records(images, workbench.settings.max_image_bytes)
    decoder = build_decoder(workbench.settings, workbench.bundle.pixels)
    decoded = [each for each in map(decoder, records) if isinstance(each, DecodedImage)]
    if not decoded:
        raise UsageError("`--images` has no image that can be decoded")
    judge = workbench.judge(_policy_set(workbench))
    with workbench.progress.working("measuring the costs of an image"):
        encoder = LocalEncoder(workbench.bundle, threads=1)
        embeddings = _encoded(encoder, decoded)
        verdicts = judge_images(decoded, embeddings, judge, datetime.now(UTC))
        return Costs(
            decode_ms=_cost_ms(lambda: _decode(decoder, records), len(records)),
            encode_ms=encode_ms or _cost_ms(lambda: _encoded(encoder, decoded), len(decoded)),
            judge_ms=_cost_ms(lambda: judge_images(decoded, embeddings, judge, datetime.now(UTC)), len(decoded)),
            records_ms=_cost_ms(lambda: _write(verdicts), len(verdicts)),
            image_bytes=statistics.mean(each.size_bytes for each in records),
        )


def _cost_ms(work: Callable[[], object], images: int) -> float:
    """Return the CPU time of `work` on this thread for one image: the median of some rounds, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        work()
        times.append((time.thread_time() - started) * 1e3 / images)
    return statistics.median(times)


def _records(images: Sequence[Path], max_bytes: int) -> list[Record]:
    """Return the images as records, repeated so that a round lasts long enough to be timed."""
    if images:
        files = list_files(images)
        found = list(read_files(files[:: max(1, len(files) // MOST_IMAGES)][:MOST_IMAGES], max_bytes=max_bytes))
    else:
        found = [Record(Origin(name, 0, n), None, data) for n, (name, data) in enumerate(golden_images().items())]
    if not found:
        raise UsageError("`--images` has no file")
    return list(itertools.islice(itertools.cycle(found), max(LEAST_IMAGES, len(found))))


def _policy_set(workbench: Workbench) -> PolicySet:
    settings = workbench.settings
    if settings.policy_source == "folder":
        return load_policy_set(settings.policies)
    published = read_published(workbench.connection, settings.topic_policies)
    if published.current is None:
        raise UsageError(f"`{settings.topic_policies}` has no policy set yet; publish one")
    return published.policy_set(published.current.digest)


def _decode(decoder: Decoder, records: Sequence[Record]) -> None:
    for record in records:
        decoder(record)


def _encoded(encoder: LocalEncoder, images: Sequence[DecodedImage]) -> NDArray[np.float32]:
    batches = [images[first : first + BATCH] for first in range(0, len(images), BATCH)]
    return np.concatenate([encoder.encode_images(stack_pixels(batch)) for batch in batches])


def _write(verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        verdict_record(verdict)
        embedding_record(verdict)
        for flag in verdict.flags:
            flag_record(verdict, flag)
