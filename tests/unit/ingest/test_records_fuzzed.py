"""Any record becomes an image, or a dead letter that fits its topic."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.emit.dead_letters import dead_letter_record
from pipeline.errors import DeadLetterReason
from pipeline.events.images import Decoded, DecodedImage, ImageLimits, PixelSpec
from pipeline.events.outcomes import DeadLetter
from pipeline.events.records import Headers, Origin, Record
from pipeline.ingest.decode import decode_here
from pipeline.ingest.decoder import Decoder
from pipeline.ingest.event import parse_event
from pipeline.ingest.fetch import Fetcher, FetchRules
from tests.attack.loopback import only_loopback
from tests.attack.poison import fuzzed, picture, poison

LIMIT = 4096
LARGEST = 4 << 20
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPEC = PixelSpec(16, "squash")
NAMES = st.sampled_from(["ce_id", "ce_source", "ce_time", "content-type", "ce_a", "CE_B", ""]) | st.text(max_size=20)
VALUES = st.binary(max_size=60) | st.sampled_from([b"application/json", b"0001-01-01T00:00:00+23:59", b"1"])
CONTENTS = (
    st.none() | st.binary(max_size=200) | st.sampled_from([b"[" * 5000, b'{"uri":"\\ud800"}', b'{"uri":"http://["}'])
)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with closing(Fetcher(FetchRules(timeout_s=0.2), pause=lambda _: None)) as fetcher:
        yield Decoder(lambda data: decode_here(data, SPEC, ImageLimits()), fetcher)


def ends(decoder: Decoder, record: Record) -> None:
    outcome = decoder(record)
    if isinstance(outcome, DeadLetter):
        letter = dead_letter_record(outcome, LIMIT)
        assert letter.size_bytes <= LIMIT
        assert dict(letter.headers)["watchword-reason"].decode() in set(DeadLetterReason)
    else:
        assert isinstance(outcome, DecodedImage)


@settings(max_examples=300, deadline=None)
@given(
    value=CONTENTS,
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=6),
    timestamp_ms=st.none() | st.integers(-(2**63), 2**63 - 1),
    key=st.none() | st.binary(max_size=20),
)
def test_any_record_has_an_outcome(
    decoder: Decoder, value: bytes | None, headers: list[tuple[str, bytes]], timestamp_ms: int | None, key: bytes
) -> None:
    with only_loopback():
        ends(decoder, Record(Origin("images", 0, 1), key, value, tuple(headers), timestamp_ms))


def test_every_kind_of_poison_has_an_outcome(decoder: Decoder) -> None:
    with only_loopback(loopback=False):
        for value, headers in poison("http://127.0.0.1:9").values():
            if len(value or b"") > LARGEST:
                continue  # those are sent through the whole stream, in tests/attack
            ends(decoder, Record(Origin("images", 0, 1), b"k", value, headers))
        for value, headers in fuzzed(3, 300, [picture()]):
            ends(decoder, Record(Origin("images", 0, 1), None, value, headers))


def test_an_unforeseen_error_is_a_dead_letter_that_names_it() -> None:
    def broken(_: bytes) -> Decoded:
        raise KeyError("a bug")

    outcome = Decoder(broken, Fetcher(FetchRules()))(Record(Origin("images", 0, 1), None, b"x"))
    assert isinstance(outcome, DeadLetter)
    assert (outcome.reason, outcome.detail) == (DeadLetterReason.CORRUPT_IMAGE, "KeyError: 'a bug'")


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ((("ce_id", b"i" * 1025), ("ce_source", b"s")), "ce_id: 1025 bytes, the limit is 1024"),
        ((("ce_id", b"i"), ("ce_source", b"s" * 2049)), "ce_source: 2049 bytes, the limit is 2048"),
        ((("ce_a", b"x" * 20_000),), "the attributes together: 20001 bytes, the limit is 16384"),
        (tuple((f"ce_a{n}", b"") for n in range(65)), "65 attributes, the limit is 64"),
    ],
)
def test_fields_repeated_in_outputs_are_bounded(decoder: Decoder, headers: Headers, detail: str) -> None:
    outcome = decoder(Record(Origin("images", 0, 1), None, picture(), headers))
    assert isinstance(outcome, DeadLetter)
    assert (outcome.reason, outcome.detail) == (DeadLetterReason.BAD_EVENT, detail)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-01-02t03:04:05z", "2026-01-02T03:04:05+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2026-01-02 03:04:05.123456789+01:00", "2026-01-02T02:04:05.123456+00:00"),
    ],
)
def test_every_time_of_rfc_3339_is_read(text: str, iso: str) -> None:
    record = Record(Origin("images", 0, 1), None, b"x", (("ce_time", text.encode()),))
    time = parse_event(record).time
    assert time is not None
    assert time.isoformat() == iso


def test_a_cut_dead_letter_keeps_the_digest_and_the_size() -> None:
    record = Record(Origin("images", 0, 1), b"k", b"v" * 10_000, (("a", b"1"), ("large", b"h" * 9000), ("b", b"2")))
    letter = dead_letter_record(DeadLetter(record, DeadLetterReason.EMPTY, "\ud800", NOW), LIMIT)
    told = dict(letter.headers)
    assert letter.size_bytes <= LIMIT
    assert told["watchword-truncated"] == b"headers,value"
    assert told["watchword-value-bytes"] == b"10000"
    assert len(told["watchword-value-sha256"]) == 64
    assert (told["a"], told["b"], "large" in told) == (b"1", b"2", False)
    assert letter.value == b"v" * len(letter.value)
    assert len(letter.value) > 2000
    assert told["watchword-detail"] == b"\\ud800"


def test_a_dead_letter_that_fits_is_not_cut() -> None:
    record = Record(Origin("images", 0, 1), b"k", b"v" * 100, (("a", b"1"),))
    letter = dead_letter_record(DeadLetter(record, DeadLetterReason.EMPTY, "x", NOW), LIMIT)
    assert (letter.key, letter.value, "watchword-truncated" in dict(letter.headers)) == (b"k", b"v" * 100, False)
