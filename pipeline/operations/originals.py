"""Originals of archived images: read from the broker, or fetched from references as the settings allow."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from pipeline.broker.configured import connection_of
from pipeline.broker.reader import OffsetReader
from pipeline.ingest.decoder import fetch_rules
from pipeline.ingest.fetch import Fetcher
from pipeline.ingest.originals import Originals
from pipeline.settings import Settings


@contextmanager
def open_originals(settings: Settings) -> Iterator[Originals]:
    """Open the connections that fetch the images of archived embeddings, and close them afterwards."""
    with closing(OffsetReader(connection_of(settings))) as reader, closing(Fetcher(fetch_rules(settings))) as fetcher:
        yield Originals(reader, fetcher)
