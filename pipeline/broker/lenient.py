"""
Lenient reading: records that kafka-python refuses are returned with their raw bytes and the problem.

kafka-python 3.0.12 raises for a record it refuses, and later polls never get past that record: it would block the
partition for ever.
"""

import io
import zlib
from collections.abc import Iterator
from typing import Any

import zstandard
from kafka import KafkaConsumer
from kafka.codec import snappy_decode
from kafka.consumer.fetcher import ConsumerRecord, Fetcher
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint
from lz4.frame import LZ4FrameDecompressor

# A batch that unpacks to more is not unpacked: a few kilobytes can unpack to gigabytes.
LARGEST_BATCH_BYTES = 256 << 20
# A header costs hundreds of bytes in memory and three on the wire.
MOST_HEADERS = 10_000
# A damaged batch may claim any base offset. One this far from the expected offset is not believed.
PLAUSIBLE_GAP = 1_000_000
_PIECE = 1 << 20
_XERIAL, _XERIAL_HEADER_BYTES = b"\x82SNAPPY\x00", 16


class Unreadable(bytes):
    """An unreadable record: the bytes of it that are known, and the reason why it cannot be read."""

    problem: str

    @classmethod
    def of(cls, raw: bytes, problem: object) -> "Unreadable":
        """Return raw bytes together with their problem."""
        found = cls(raw)
        found.problem = str(problem) or type(problem).__name__
        return found


def read_leniently(consumer: KafkaConsumer) -> KafkaConsumer:
    """Make a consumer return an `Unreadable` value for each record that it cannot read. Returns the consumer."""
    consumer._fetcher.PartitionRecords = LenientRecords  # noqa: SLF001 -- the client has no public hook for it
    return consumer


class LenientRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """The fetched records of one partition."""

    next_fetch_offset: int

    def _unpack_records(self, tp: Any, records: Any, *deserializers: Any) -> Iterator[Any]:
        """
        Yield every record; for a batch that cannot be read at all, yield one unreadable record and skip its offset.

        The number of records in such a batch is not known. The next fetch starts at the next offset. If the broker
        returns the same batch, that offset is skipped in the same way, until the broker returns the next batch.
        """
        batches = _Batches(records)
        try:
            yield from super()._unpack_records(tp, batches, *deserializers)
        except Exception as error:  # noqa: BLE001 -- the client raises anything on damaged bytes
            base = batches.last_base_offset
            offset = base if 0 <= base - self.next_fetch_offset < PLAUSIBLE_GAP else self.next_fetch_offset
            self.next_fetch_offset = offset + 1
            yield _consumer_record(tp, offset, error)
            self.drain()


class _Batches:
    """The batches of one fetch, each wrapped in a `_Batch`."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.last_base_offset = -1

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        if not isinstance(batch, DefaultRecordBatch):
            return batch
        self.last_base_offset = batch.base_offset
        return _Batch(batch)


class _Batch:
    """A batch that yields its records one by one, readable or not."""

    def __init__(self, batch: DefaultRecordBatch) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[DefaultRecord]:
        batch = self._batch
        try:
            buffer = _unpacked(batch)
        except Exception as error:  # noqa: BLE001 -- every codec has errors of its own
            yield from (self._unreadable(offset, b"", error) for offset in self._offsets_from(batch.base_offset))
            return
        position, offset = batch._pos, batch.base_offset - 1  # noqa: SLF001
        for _ in range(batch.records_count):
            try:
                start, end = _extent(buffer, position)
            except Exception as error:  # noqa: BLE001 -- without this record's end, the next one's start is unknown
                yield from (self._unreadable(each, b"", error) for each in self._offsets_from(offset + 1))
                return
            found = self._record(buffer, start, end, offset + 1)
            offset, position = found.offset, end
            yield found

    def _record(self, buffer: bytearray, start: int, end: int, expected: int) -> DefaultRecord:
        offset = expected
        try:
            _, position = decode_varint(buffer, start)
            elapsed_ms, position = decode_varint(buffer, position)
            delta, position = decode_varint(buffer, position)
            offset = self._batch.base_offset + delta
            key, position = _bytes(buffer, position, end)
            value, position = _bytes(buffer, position, end)
            headers = _headers(buffer, position, end)
        except Exception as error:  # noqa: BLE001 -- any error here is a fault of this record
            return self._unreadable(offset, bytes(buffer[start:end]), error)
        kind = self._batch.timestamp_type
        timestamp = self._batch.max_timestamp if kind else self._batch.first_timestamp + elapsed_ms
        return DefaultRecord(end - start, offset, timestamp, kind, key, value, headers)

    def _offsets_from(self, first: int) -> range:
        return range(first, self._batch.last_offset + 1)

    def _unreadable(self, offset: int, raw: bytes, problem: object) -> DefaultRecord:
        return DefaultRecord(len(raw), offset, self._batch.max_timestamp, 0, None, Unreadable.of(raw, problem), [])


def _extent(buffer: bytearray, position: int) -> tuple[int, int]:
    """Return the start and the end of a record's content."""
    length, start = decode_varint(buffer, position)
    if length <= 0 or start + length > len(buffer):
        raise CorruptRecordError(f"a record of {length} bytes in a batch of {len(buffer)}")
    return start, start + length


def _bytes(buffer: bytearray, position: int, end: int) -> tuple[bytes | None, int]:
    length, position = decode_varint(buffer, position)
    if length < 0:
        return None, position
    if position + length > end:
        raise CorruptRecordError(f"a field of {length} bytes where {end - position} are left")
    return bytes(buffer[position : position + length]), position + length


def _headers(buffer: bytearray, position: int, end: int) -> list[tuple[str, bytes | None]]:
    count, position = decode_varint(buffer, position)
    if not 0 <= count <= MOST_HEADERS:
        raise CorruptRecordError(f"{count} headers, {MOST_HEADERS} are read at most")
    headers = []
    for _ in range(count):
        name, position = _bytes(buffer, position, end)
        value, position = _bytes(buffer, position, end)
        if name is None:
            raise CorruptRecordError("a header without a name")
        headers.append((name.decode(), value))
    if position != end:
        raise CorruptRecordError(f"{end - position} bytes after the last header")
    return headers


def _unpacked(batch: DefaultRecordBatch) -> bytearray:
    """Unpack a batch in place, up to the limit, and return its buffer. Raises the errors of its codec."""
    if not batch._decompressed:  # noqa: SLF001
        codec = batch.compression_type
        if codec in _UNPACKERS:
            packed = bytes(memoryview(batch._buffer)[batch._pos :])  # noqa: SLF001
            batch._buffer, batch._pos = bytearray(_UNPACKERS[codec](packed)), 0  # noqa: SLF001
            batch._decompressed = True  # noqa: SLF001
        else:
            batch._maybe_uncompress()  # noqa: SLF001
    return bytearray(batch._buffer) if not isinstance(batch._buffer, bytearray) else batch._buffer  # noqa: SLF001


def _gathered(pieces: Iterator[bytes]) -> bytes:
    whole = bytearray()
    for piece in pieces:
        whole += piece
        if len(whole) > LARGEST_BATCH_BYTES:
            raise CorruptRecordError(f"a batch that unpacks to more than {LARGEST_BATCH_BYTES} bytes")
    return bytes(whole)


def _gunzip(packed: bytes) -> bytes:
    def pieces() -> Iterator[bytes]:
        left = packed
        while left:
            member = zlib.decompressobj(wbits=31)
            while left and not member.eof:
                yield member.decompress(left, _PIECE)
                left = member.unconsumed_tail
            if not member.eof:
                raise CorruptRecordError("a gzip member that ends early")
            left = member.unused_data

    return _gathered(pieces())


def _unlz4(packed: bytes) -> bytes:
    def pieces() -> Iterator[bytes]:
        left: bytes | None = packed
        while left:
            frame = LZ4FrameDecompressor()
            yield frame.decompress(left, _PIECE)
            while not frame.eof:
                piece = frame.decompress(b"", _PIECE)
                if not piece and frame.needs_input:
                    raise CorruptRecordError("an lz4 frame that ends early")
                yield piece
            left = frame.unused_data

    return _gathered(pieces())


def _unzstd(packed: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed), read_across_frames=True) as reader:
        return _gathered(iter(lambda: reader.read(_PIECE), b""))


def _unsnappy(packed: bytes) -> bytes:
    blocks = _xerial_blocks(packed) if packed.startswith(_XERIAL) else iter([packed])

    def pieces() -> Iterator[bytes]:
        unpacked = 0
        for block in blocks:
            unpacked += _snappy_size(block)  # checked first, because a block can only be unpacked whole
            if unpacked > LARGEST_BATCH_BYTES:
                raise CorruptRecordError(f"a batch that unpacks to more than {LARGEST_BATCH_BYTES} bytes")
            yield snappy_decode(block)

    return _gathered(pieces())


def _xerial_blocks(packed: bytes) -> Iterator[bytes]:
    position = _XERIAL_HEADER_BYTES
    while position < len(packed):
        size = int.from_bytes(packed[position : position + 4], "big")
        yield packed[position + 4 : position + 4 + size]
        position += 4 + size


def _snappy_size(block: bytes) -> int:
    """Return the unpacked size of a raw snappy block, a varint with seven bits per byte."""
    size = 0
    for position, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:  # noqa: PLR2004 -- the varint's last byte
            return size
    raise CorruptRecordError("a snappy block without a size")


_UNPACKERS = {
    DefaultRecordBatch.CODEC_SNAPPY: _unsnappy,
    DefaultRecordBatch.CODEC_GZIP: _gunzip,
    DefaultRecordBatch.CODEC_LZ4: _unlz4,
    DefaultRecordBatch.CODEC_ZSTD: _unzstd,
}


def _consumer_record(tp: Any, offset: int, problem: object) -> ConsumerRecord:
    value = Unreadable.of(b"", problem)
    return ConsumerRecord(tp.topic, tp.partition, -1, offset, -1, 0, None, value, [], None, -1, 0, -1)
