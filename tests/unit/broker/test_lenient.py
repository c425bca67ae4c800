"""Records that the client refuses become unreadable records at their offsets; good records next to them are intact."""

import gzip
from collections.abc import Sequence

import pytest
from kafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c
from kafka.structs import TopicPartition

from pipeline.broker import lenient
from pipeline.broker.consumer import to_record
from pipeline.broker.lenient import LenientRecords
from pipeline.events.records import Record

PLACE = TopicPartition("images", 0)


class RawName(str):
    __slots__ = ()

    def encode(self, *_: object, **__: object) -> bytes:
        return b"\xff\xfe"


def batch(
    values: Sequence[bytes],
    *,
    base: int = 0,
    compression: int = 0,
    headers: dict[int, list[tuple[str, bytes]]] | None = None,
) -> bytearray:
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 64 << 20)
    for offset, value in enumerate(values):
        builder.append(offset, 1000, b"k", value, (headers or {}).get(offset, []))
    made = bytearray(builder.build())
    made[:8] = base.to_bytes(8, "big")
    return made


def resealed(made: bytearray) -> bytearray:
    """Return the batch with a corrected checksum."""
    made[17:21] = calc_crc32c(memoryview(made)[21:]).to_bytes(4, "big")
    return made


def read(*stored: tuple[int, bytes | bytearray]) -> list[Record]:
    """
    Read as the client does: fetch from the end of the last fetch until no records are left.

    `stored`: each batch with its last offset, by which a broker finds the first batch of a fetch.
    """
    found: list[Record] = []
    start = 0
    for _ in range(50):
        fetched = b"".join(data for last, data in stored if last >= start)
        if not fetched:
            return found
        records = LenientRecords(start, PLACE, MemoryRecords(fetched))
        found += [to_record(each) for each in records.take(1000)]
        start = records.next_fetch_offset
    raise AssertionError("reading does not end")


def test_good_records_are_read_unchanged() -> None:
    headers: dict[int, list[tuple[str, bytes]]] = {1: [("ce_id", b"1"), ("x", b"")]}
    found = read((1, batch([b"a", b"b"], headers=headers)))
    assert [(each.value, each.headers, each.unreadable) for each in found] == [
        (b"a", (), None),
        (b"b", (("ce_id", b"1"), ("x", b"")), None),
    ]


def test_a_header_name_that_is_not_utf_8_loses_only_its_record() -> None:
    found = read((2, batch([b"a", b"b", b"c"], headers={1: [(RawName("x"), b"1")]})))
    assert [each.origin.offset for each in found] == [0, 1, 2]
    assert [each.unreadable is None for each in found] == [True, False, True]
    assert type(found[1].value) is bytes
    assert b"b" in (found[1].value or b"")


def test_a_batch_with_a_wrong_checksum_is_skipped_one_offset_at_a_time() -> None:
    damaged = batch([b"a", b"b"], base=0)
    damaged[-1] ^= 0xFF
    found = read((1, damaged), (2, batch([b"c"], base=2)))
    assert [(each.origin.offset, each.unreadable is None) for each in found] == [(0, False), (1, False), (2, True)]
    assert "crc" in str(found[0].unreadable)


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_every_compression_is_read(codec: int) -> None:
    assert [each.value for each in read((1, batch([b"a" * 500, b"b" * 500], compression=codec)))] == [
        b"a" * 500,
        b"b" * 500,
    ]


@pytest.mark.parametrize(("codec", "pack"), [(1, gzip_encode), (2, snappy_encode), (3, lz4_encode), (4, zstd_encode)])
def test_a_batch_that_unpacks_to_more_than_the_limit_is_not_unpacked(
    codec: int, pack: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lenient, "LARGEST_BATCH_BYTES", 1 << 20)
    found = read((1, batch([b"\0" * (3 << 20), b"x"], compression=codec)))
    assert [(each.origin.offset, each.value) for each in found] == [(0, b""), (1, b"")]
    assert all("unpacks to more" in str(each.unreadable) for each in found)


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_a_compressed_batch_of_garbage_is_one_unreadable_record_for_each_offset(codec: int) -> None:
    made = batch([b"a" * 500, b"b" * 500], compression=codec)
    made[70:] = b"\x13" * len(made[70:])
    found = read((1, resealed(made)))
    assert [each.origin.offset for each in found] == [0, 1]
    assert all(each.unreadable for each in found)


def test_a_gzip_batch_that_ends_early_is_unreadable() -> None:
    made = batch([b"a" * 500], compression=1)
    packed = gzip.compress(b"x" * 500)[:-4]
    cut = made[:61] + packed
    cut[8:12] = (len(cut) - 12).to_bytes(4, "big")
    assert [bool(each.unreadable) for each in read((0, resealed(bytearray(cut))))] == [True]


def test_a_record_with_too_many_headers_is_not_parsed() -> None:
    [found] = read((0, batch([b"a"], headers={0: [("x", b"")] * 20_000})))
    assert "20000 headers" in str(found.unreadable)
