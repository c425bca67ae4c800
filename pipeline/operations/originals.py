"""Originals of archived images, by the broker and the rules for references of the settings."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from pipeline.broker.reader import OffsetReader
from pipeline.broker.topology import connection_of
from pipeline.ingest.decoder import fetch_rules
from pipeline.ingest.fetch import Fetcher
from pipeline.ingest.originals import Originals
from pipeline.settings import Settings


@contextmanager
def open_originals(settings: Settings) -> Iterator[Originals]:
    """Hold what fetches the images of archived embeddings."""
    with closing(OffsetReader(connection_of(settings))) as reader, closing(Fetcher(fetch_rules(settings))) as fetcher:
        yield Originals(reader, fetcher)
