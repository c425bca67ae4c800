"""Read topics from their beginning to their present end, as any reader at `read_committed` sees them."""

from collections.abc import Iterator, Sequence

from kafka import KafkaConsumer

from pipeline.broker.connection import Connection, translated
from pipeline.broker.consumer import to_record
from pipeline.broker.topics import partitions_of
from pipeline.errors import BrokerFault
from pipeline.events.records import Record


def read_topics(connection: Connection, topics: Sequence[str], *, patience_s: float = 30.0) -> Iterator[Record]:
    """
    Yield every committed record of `topics`, up to where each partition ended when the call was made.

    Raises `BrokerFault` when nothing more arrives for `patience_s` before the end.
    """
    places = partitions_of(connection, topics)
    if not places:
        return
    with translated():
        consumer = KafkaConsumer(
            **connection.client_options(),
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )
        try:
            ends = consumer.end_offsets(places)
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            while any((consumer.position(place) or 0) < ends[place] for place in places):
                polled = consumer.poll(timeout_ms=int(patience_s * 1000), max_records=1000)
                if not polled and any((consumer.position(place) or 0) < ends[place] for place in places):
                    raise BrokerFault(f"nothing arrived for {patience_s} s before the end of {', '.join(topics)}")
                for place, found in polled.items():
                    yield from (to_record(each) for each in found if each.offset < ends[place])
        finally:
            consumer.close()
