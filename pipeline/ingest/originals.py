"""Original images of archived embeddings, from the input record or its reference while these are available."""

import hashlib
import threading
from typing import Protocol

from pipeline.errors import OriginalGone, RecordFault
from pipeline.events.records import Origin, Record, Reference
from pipeline.ingest.event import parse_event
from pipeline.ingest.fetch import Fetcher


class RecordReader(Protocol):
    """Reads one record by its origin; None if it is no longer retained. Raises `BrokerFault`."""

    def read(self, origin: Origin) -> Record | None: ...


class Originals:
    """Fetches images by the origins of their records. Several threads may call it; they wait for each other."""

    def __init__(self, reader: RecordReader, fetcher: Fetcher) -> None:
        self._reader = reader
        self._fetcher = fetcher
        self._lock = threading.Lock()

    def fetch(self, key: str, content: str, reference: str = "") -> bytes:
        """
        Return the bytes of an image.

        `key`: topic/partition/offset of its record; `reference`: the image's address, if it is not in the record;
        `content`: the SHA-256 of the bytes that were judged. Raises `OriginalGone` when the image is not available or
        has changed, and `BrokerFault`.
        """
        try:
            data = self._fetcher.fetch(Reference(reference)) if reference else self._recorded(key)
        except RecordFault as fault:
            raise OriginalGone(f"`{key}`: {fault.detail}") from fault
        if hashlib.sha256(data).hexdigest() != content:
            raise OriginalGone(f"`{key}` leads to an image other than the judged one")
        return data

    def _recorded(self, key: str) -> bytes:
        with self._lock:
            record = self._reader.read(_origin(key))
        if record is None:
            raise OriginalGone(f"`{key}` is no longer retained")
        found = parse_event(record).content
        return self._fetcher.fetch(found) if isinstance(found, Reference) else found


def _origin(key: str) -> Origin:
    try:
        topic, partition, offset = key.rsplit("/", 2)
        return Origin(topic, int(partition), int(offset))
    except ValueError as error:
        raise OriginalGone(f"`{key}` is not the position of a record") from error
