"""Originals of archived images, read from the broker and fetched by the settings' rules for references."""

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
    """Hold the connections that fetch the images of archived embeddings."""
    with closing(OffsetReader(connection_of(settings))) as reader, closing(Fetcher(fetch_rules(settings))) as fetcher:
        yield Originals(reader, fetcher)
