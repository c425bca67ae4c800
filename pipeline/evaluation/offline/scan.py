"""Judging in one process, with the steps of a worker: records in, outcomes out, in order."""

import collections
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice

from pipeline.encode.ports import ImageEncoder
from pipeline.events.images import DecodedImage
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.records import Record
from pipeline.ingest.decoder import Decoder, stack_pixels
from pipeline.judge.score import Judge
from pipeline.judge.verdicts import judge_images

Outcome = Verdict | DeadLetter

# Number of batches that are decoded ahead of the one that is being encoded.
BATCHES_AHEAD = 3


def scan(
    records: Iterable[Record], *, decoder: Decoder, encoder: ImageEncoder, judge: Judge, batch_size: int, threads: int
) -> Iterator[Outcome]:
    """
    Yield one outcome for each record, in order.

    The next batches are decoded while one is encoded; at most a few batches are in memory.
    """
    with ThreadPoolExecutor(threads, "decode") as pool:
        source = iter(records)
        ahead = collections.deque(pool.submit(decoder, record) for record in islice(source, BATCHES_AHEAD * batch_size))
        while ahead:
            outcomes = [ahead.popleft().result() for _ in range(min(batch_size, len(ahead)))]
            ahead.extend(pool.submit(decoder, record) for record in islice(source, batch_size))
            yield from judge_batch(outcomes, encoder, judge)


def judge_batch(
    outcomes: Iterable[DecodedImage | DeadLetter], encoder: ImageEncoder, judge: Judge
) -> Iterator[Outcome]:
    """Encode and judge the decoded images, and yield every outcome in its order."""
    outcomes = list(outcomes)
    images = [outcome for outcome in outcomes if isinstance(outcome, DecodedImage)]
    embeddings = encoder.encode_images(stack_pixels(images)) if images else None
    verdicts = iter(judge_images(images, embeddings, judge, datetime.now(UTC)) if embeddings is not None else ())
    for outcome in outcomes:
        yield outcome if isinstance(outcome, DeadLetter) else next(verdicts)
