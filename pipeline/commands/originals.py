"""Originals of archived images, by the broker and the rules for references of the settings."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from pipeline.broker.reader import PlaceReader
from pipeline.ingest.fetch import Fetcher
from pipeline.settings import Settings
from pipeline.stream.build import fetch_rules
from pipeline.stream.originals import Originals
from pipeline.stream.topics import connection_of


@contextmanager
def open_originals(settings: Settings) -> Iterator[Originals]:
    """Hold what fetches the images of archived embeddings."""
    with closing(PlaceReader(connection_of(settings))) as reader, closing(Fetcher(fetch_rules(settings))) as fetcher:
        yield Originals(reader, fetcher)
