"""
Records that kafka-python cannot read, handed on as such.

kafka-python 3.0.12 raises for a record it refuses and then polls for ever without another: one such record would end a
partition. Here it comes out like any other, with its raw bytes for a value and the problem beside them.
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

# A batch that unpacks to more is not unpacked: a few kilobytes can hold gigabytes.
LARGEST_BATCH_BYTES = 256 << 20
# A header costs hundreds of bytes in memory and three on the wire.
MOST_HEADERS = 10_000
# A damaged batch may claim to begin anywhere.
PLAUSIBLE_GAP = 1_000_000
_PIECE = 1 << 20
_XERIAL, _XERIAL_HEADER_BYTES = b"\x82SNAPPY\x00", 16


class Unreadable(bytes):
    """The raw bytes of a record that cannot be read, as far as they are known, and the problem with them."""

    problem: str

    @classmethod
    def of(cls, raw: bytes, problem: object) -> "Unreadable":
        """Return raw bytes with what is wrong with them."""
        found = cls(raw)
        found.problem = str(problem) or type(problem).__name__
        return found


def read_leniently(consumer: KafkaConsumer) -> KafkaConsumer:
    """Have a consumer hand out records it cannot read as `Unreadable` values, and return it."""
    consumer._fetcher.PartitionRecords = LenientRecords  # noqa: SLF001 -- the client has no other place for it
    return consumer


class LenientRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """The fetched records of one partition."""

    next_fetch_offset: int

    def _unpack_records(self, tp: Any, records: Any, *deserializers: Any) -> Iterator[Any]:
        """
        Yield every record; one whose batch cannot be read at all is passed by its offset.

        The batch's extent is then not known. The next fetch begins one further, and if that is in the same batch it is
        passed in the same way: the broker's index says where it ends.
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
    """The batches of one fetch, each wrapped."""

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
    """A batch whose records come out one by one, readable or not."""

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
            except Exception as error:  # noqa: BLE001 -- where one record ends is where the next begins
                yield from (self._unreadable(each, b"", error) for each in self._offsets_from(offset + 1))
                return
            found = self._record(buffer, start, end, offset + 1)
            offset, position = found.offset, end
            yield found

    def _record(self, buffer: bytearray, start: int, end: int, expected: int) -> DefaultRecord:
        offset = expected
        try:
            _, place = decode_varint(buffer, start)
            elapsed_ms, place = decode_varint(buffer, place)
            delta, place = decode_varint(buffer, place)
            offset = self._batch.base_offset + delta
            key, place = _bytes(buffer, place, end)
            value, place = _bytes(buffer, place, end)
            headers = _headers(buffer, place, end)
        except Exception as error:  # noqa: BLE001 -- whatever is wrong, it is this record's fault
            return self._unreadable(offset, bytes(buffer[start:end]), error)
        kind = self._batch.timestamp_type
        timestamp = self._batch.max_timestamp if kind else self._batch.first_timestamp + elapsed_ms
        return DefaultRecord(end - start, offset, timestamp, kind, key, value, headers)

    def _offsets_from(self, first: int) -> range:
        return range(first, self._batch.last_offset + 1)

    def _unreadable(self, offset: int, raw: bytes, problem: object) -> DefaultRecord:
        return DefaultRecord(len(raw), offset, self._batch.max_timestamp, 0, None, Unreadable.of(raw, problem), [])


def _extent(buffer: bytearray, position: int) -> tuple[int, int]:
    """Return where a record's content starts and ends."""
    length, start = decode_varint(buffer, position)
    if length <= 0 or start + length > len(buffer):
        raise CorruptRecordError(f"a record of {length} bytes in a batch of {len(buffer)}")
    return start, start + length


def _bytes(buffer: bytearray, place: int, end: int) -> tuple[bytes | None, int]:
    length, place = decode_varint(buffer, place)
    if length < 0:
        return None, place
    if place + length > end:
        raise CorruptRecordError(f"a field of {length} bytes where {end - place} are left")
    return bytes(buffer[place : place + length]), place + length


def _headers(buffer: bytearray, place: int, end: int) -> list[tuple[str, bytes | None]]:
    count, place = decode_varint(buffer, place)
    if not 0 <= count <= MOST_HEADERS:
        raise CorruptRecordError(f"{count} headers, {MOST_HEADERS} are read at most")
    headers = []
    for _ in range(count):
        name, place = _bytes(buffer, place, end)
        value, place = _bytes(buffer, place, end)
        if name is None:
            raise CorruptRecordError("a header without a name")
        headers.append((name.decode(), value))
    if place != end:
        raise CorruptRecordError(f"{end - place} bytes after the last header")
    return headers


def _unpacked(batch: DefaultRecordBatch) -> bytearray:
    """Unpack a batch in place, up to the limit, and return its buffer. Raises what its codec does."""
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
            unpacked += _snappy_size(block)  # said before it is done: a block unpacks at once
            if unpacked > LARGEST_BATCH_BYTES:
                raise CorruptRecordError(f"a batch that unpacks to more than {LARGEST_BATCH_BYTES} bytes")
            yield snappy_decode(block)

    return _gathered(pieces())


def _xerial_blocks(packed: bytes) -> Iterator[bytes]:
    place = _XERIAL_HEADER_BYTES
    while place < len(packed):
        size = int.from_bytes(packed[place : place + 4], "big")
        yield packed[place + 4 : place + 4 + size]
        place += 4 + size


def _snappy_size(block: bytes) -> int:
    """Return the size that a raw snappy block unpacks to: a varint of seven bits a byte."""
    size = 0
    for place, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << (7 * place)
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
