"""Decoding of records to pixels for one encoder."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np
import structlog
from numpy.typing import NDArray

from pipeline.errors import DeadLetterReason, DependencyFault, RecordFault
from pipeline.events.images import Decoded, DecodedImage, PixelSpec
from pipeline.events.outcomes import DeadLetter
from pipeline.events.records import Record, Reference
from pipeline.ingest.decode import decode_here
from pipeline.ingest.event import parse_event
from pipeline.ingest.fetch import Fetcher, FetchRules
from pipeline.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Decoder:
    """
    Decodes records to pixels for one encoder. Several threads may call it.

    `decode` maps an image's bytes to pixels and raises `RecordFault`. Any other exception in reading, fetching or
    decoding a record makes it a dead letter too: its reason names the step, and the traceback is logged. The only
    exception that is raised is `DependencyFault`: try the same record again.
    """

    decode: Callable[[bytes], Decoded]
    fetcher: Fetcher

    def __call__(self, record: Record) -> DecodedImage | DeadLetter:
        """Return the decoded image of a record, or the record as a dead letter."""
        step = DeadLetterReason.BAD_EVENT
        try:
            event = parse_event(record)
            step = DeadLetterReason.FETCH_FAILED
            data = self.fetcher.fetch(event.content) if isinstance(event.content, Reference) else event.content
            step = DeadLetterReason.CORRUPT_IMAGE
            decoded = self.decode(data)
        except RecordFault as fault:
            return DeadLetter(record, fault.reason, fault.detail, datetime.now(UTC))
        except DependencyFault:
            raise
        except Exception as error:
            origin = record.origin
            log.exception("record_refused", topic=origin.topic, partition=origin.partition, offset=origin.offset)
            return DeadLetter(record, step, f"{type(error).__name__}: {error}", datetime.now(UTC))
        return DecodedImage(event, decoded.picture, hashlib.sha256(data).hexdigest(), decoded.thumbnail)


def stack_pixels(images: Sequence[DecodedImage]) -> NDArray[np.uint8]:
    """Return a batch, uint8 [N, H, W, 3]."""
    return np.stack([image.picture.pixels for image in images])


def build_decoder(settings: Settings, pixels: PixelSpec) -> Decoder:
    """Return a decoder that works in this process, for an encoder's `pixels` and with the configured limits."""
    decode = partial(
        decode_here,
        spec=pixels,
        limits=settings.image_limits,
        thumbnail_side=settings.archive_thumbnails,
    )
    return Decoder(decode, Fetcher(fetch_rules(settings)))


def fetch_rules(settings: Settings) -> FetchRules:
    """Return the configured rules for fetching references."""
    return FetchRules(
        file_roots=settings.file_roots,
        http=settings.http_references,
        max_bytes=settings.max_image_bytes,
        timeout_s=settings.fetch_timeout_s,
        tries=settings.fetch_tries,
        redirects=settings.fetch_redirects,
        allow_loopback=settings.fetch_allow_loopback,
        ports=settings.fetch_ports,
    )
