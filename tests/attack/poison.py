"""Malformed records that every reader must survive: one of each kind, and any number at random."""

import gzip
import io
import json
import random
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from pipeline.broker.producer import Message
from pipeline.events.records import Headers

JSON: tuple[str, bytes] = ("content-type", b"application/json")
NAMED: Headers = (("ce_id", b"1"), ("ce_source", b"s"))
MIB = 1 << 20


class RawName(str):
    """A header name whose bytes are not UTF-8. The broker accepts it."""

    __slots__ = ()

    def encode(self, *_: object, **__: object) -> bytes:
        return b"ce_\xff\xfe"


def picture(mode: str = "RGB", side: int = 32, kind: str = "PNG", seed: int = 0) -> bytes:
    channels = {"RGB": (side, side, 3), "L": (side, side)}[mode]
    pixels = np.random.default_rng(seed).integers(0, 255, channels, dtype=np.uint8)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, kind)
    return made.getvalue()


def reference(uri: object) -> tuple[bytes, Headers]:
    return json.dumps({"uri": uri}).encode(), (JSON,)


def poison(server: str) -> dict[str, tuple[bytes | None, Headers]]:
    """Return value and headers of each kind, by name. `server` is a loopback server of hostile answers."""
    good = picture()

    def headed(*headers: tuple[str, bytes], value: bytes | None = good) -> tuple[bytes | None, Headers]:
        return value, headers

    def in_json(text: bytes) -> tuple[bytes | None, Headers]:
        return text, (JSON,)

    times = {
        "year one": b"0001-01-01T00:00:00+23:59",
        "last year": b"9999-12-31T23:59:59-23:59",
        "year zero": b"0000-01-01T00:00:00Z",
        "month thirteen": b"2026-13-01T00:00:00Z",
        "leap second": b"2016-12-31T23:59:60Z",
        "leap second at the end": b"9999-12-31T23:59:60Z",
        "small letters": b"2026-01-02t03:04:05z",
        "no zone": b"2026-01-02T03:04:05",
        "zone of a day": b"2026-01-02T03:04:05+24:00",
        "many digits": b"2026-01-02T03:04:05." + b"9" * 5000 + b"Z",
        "other digits": "２０２６-01-02T03:04:05Z".encode(),
        "long": b"2" * 100_000,
        "empty": b"",
        "binary": b"\xff\x00\xfe",
    }
    found: dict[str, tuple[bytes | None, Headers]] = {
        **{f"time: {name}": headed(*NAMED, ("ce_time", text)) for name, text in times.items()},
        "json: deep lists": in_json(b"[" * 100_000),
        "json: deep objects": in_json(b'{"uri":' * 20_000),
        "json: lone surrogate": in_json(b'{"uri":"\\ud800"}'),
        "json: surrogates in the wrong order": in_json(b'{"uri":"http://\\udc00\\ud800/"}'),
        "json: number": in_json(b"1"),
        "json: huge number": in_json(b"1" * 5000),
        "json: nan": in_json(b'{"uri": NaN}'),
        "json: utf-16": in_json('{"uri": "file:///x"}'.encode("utf-16")),
        "json: byte order mark": in_json(b"\xef\xbb\xbf" + b'{"uri": "file:///x"}'),
        "json: twice the key": in_json(b'{"uri": "a", "uri": "b"}'),
        "json: other keys": in_json(b'{"url": "x"}'),
        "json: list": in_json(b'["uri"]'),
        "json: null": in_json(b'{"uri": null}'),
        "json: nothing": in_json(b" "),
        "json: large": in_json(b'{"uri": "' + b"a" * (2 * MIB) + b'"}'),
        "json: a picture": in_json(good),
        "json: nul": in_json(b'{"uri": "file:///\\u0000"}'),
        "reference: empty": reference(""),
        "reference: no scheme": reference("x"),
        "reference: file name of 300": reference("file:///tmp/" + "a" * 300),
        "reference: path of 6,000": reference("file:///" + "a/" * 3000),
        "reference: folder": reference("file:///tmp"),
        "reference: device": reference("file:///dev/zero"),
        "reference: up and out": reference("file:///tmp/../etc/passwd"),
        "reference: percent": reference("file:///tmp/%2e%2e/etc/passwd%00"),
        "reference: port": reference("http://127.0.0.1:99999/"),
        "reference: bracket": reference("http://[::1/"),
        "reference: idna": reference("http://" + "ü" * 300 + "/"),
        "reference: metadata": reference("http://169.254.169.254/latest"),
        "reference: private": reference("http://10.0.0.1/"),
        "reference: ftp": reference("ftp://127.0.0.1/"),
        "reference: data": reference("data:image/png;base64,AAAA"),
        "reference: gzip of something else": reference(f"{server}/bad-gzip"),
        "reference: unknown encoding": reference(f"{server}/encoding"),
        "reference: no such page": reference(f"{server}/missing"),
        "reference: redirect to itself": reference(f"{server}/loop"),
        "reference: redirect inside": reference(f"{server}/inside"),
        "reference: empty body": reference(f"{server}/empty"),
        "reference: broken chunks": reference(f"{server}/chunks"),
        "reference: nothing but a status": reference(f"{server}/status"),
        "headers: name not utf-8": headed((RawName("x"), b"1")),
        "headers: value not utf-8": headed(*NAMED, ("ce_region", b"\xff")),
        "headers: id not utf-8": headed(("ce_id", b"\xff"), ("ce_source", b"s")),
        "headers: id without source": headed(("ce_id", b"1")),
        "headers: source without id": headed(("ce_source", b"1")),
        "headers: id of 1.2 MB": headed(("ce_id", b"i" * 1_200_000), ("ce_source", b"s")),
        "headers: source of 1.2 MB": headed(("ce_id", b"1"), ("ce_source", b"s" * 1_200_000)),
        "headers: attribute of 1.5 MB": headed(*NAMED, ("ce_caption", b"c" * 1_500_000)),
        "headers: attribute of 3 MB of nul": headed(*NAMED, ("ce_caption", b"\0" * (3 * MIB))),
        "headers: attribute at the limit, of nul": headed(*NAMED, ("ce_caption", b"\0" * 16_000)),
        "headers: attribute of 9 MB": headed(*NAMED, ("ce_caption", b"c" * (9 * MIB))),
        "headers: plain one of 9 MB": headed(("x", b"c" * (9 * MIB))),
        "headers: 2,000 attributes": headed(*NAMED, *((f"ce_a{n}", b"1") for n in range(2000))),
        "headers: 200,000": headed(*(("x", b"") for _ in range(200_000))),
        "headers: one name 500 times": headed(*NAMED, *(("ce_a", b"%d" % n) for n in range(500))),
        "headers: control characters": headed(*NAMED, ("ce_\x1b[2J", b"\x1b[31m\r\n")),
        "headers: nul id": headed(("ce_id", b"\0"), ("ce_source", b"\0")),
        "headers: our own": headed(("watchword-reason", b"x"), ("watchword-offset", b"-1"), value=b"no image"),
        "value: none": headed(value=None),
        "value: empty": headed(value=b""),
        "value: zeros": headed(value=b"\0" * MIB),
        "value: over the limit": headed(value=b"\xff\xd8" + b"\0" * (10 * MIB + 5)),
        "value: 43 MB in a small batch": headed(value=b"BM" + b"\0" * (43 * MIB)),
        "value: half a picture": headed(value=good[: len(good) // 2]),
        "value: compressed picture": headed(value=gzip.compress(good)),
        "value: a page": headed(value=b"<html><script>alert(1)</script></html>"),
        "type: odd": headed(("content-type", b"\xff/\xfe; q=1")),
        "type: json in capitals": headed(("Content-Type", b"Application/JSON ; x"), value=b"{"),
    }
    return found


def fuzzed(seed: int, count: int, seeds: list[bytes]) -> Iterator[tuple[bytes | None, Headers]]:
    """Yield records made at random from pieces that have meant something somewhere."""
    chance = random.Random(seed)
    makers: tuple[Callable[[random.Random, list[bytes]], tuple[bytes | None, Headers]], ...] = (
        _random_bytes,
        _mutated_image,
        _mutated_image,
        _random_json,
        _random_json,
        _random_headers,
        _random_headers,
    )
    for _ in range(count):
        yield chance.choice(makers)(chance, seeds)


def _random_bytes(chance: random.Random, _: list[bytes]) -> tuple[bytes | None, Headers]:
    starts = (b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"BM", b"II*\0", b"MM\0*")
    return chance.choice(starts) + chance.randbytes(chance.randrange(200)), ()


def _mutated_image(chance: random.Random, seeds: list[bytes]) -> tuple[bytes | None, Headers]:
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randrange(1, 8)):
        place = chance.randrange(len(data))
        cut = chance.randrange(4)
        if cut == 0:
            data[place] = chance.randrange(256)
        elif cut == 1:
            del data[place : place + chance.randrange(1, 40)]
        elif cut == 2:
            data[place:place] = chance.randbytes(chance.randrange(1, 40))
        else:
            data = data[: place + 1]
        data = data or bytearray(b"\0")
    return bytes(data), ()


def _random_json(chance: random.Random, _: list[bytes]) -> tuple[bytes | None, Headers]:
    text = "".join(chance.choice(_JSON_PIECES) for _ in range(chance.randrange(1, 12)))
    return text.encode("utf-8", "surrogatepass"), (JSON,)


def _random_headers(chance: random.Random, seeds: list[bytes]) -> tuple[bytes | None, Headers]:
    names = ("ce_id", "ce_source", "ce_time", "ce_type", "content-type", "ce_", "CE_ID", "x", "ce_a\0", "\u202e", "")
    headers = []
    for _ in range(chance.randrange(8)):
        value = chance.choice(_HEADER_VALUES)
        headers.append(
            (chance.choice(names), value if chance.random() < 0.7 else chance.randbytes(chance.randrange(60)))
        )
    return chance.choice(seeds), tuple(headers)


_JSON_PIECES = (
    '{"uri":',
    '"file:///',
    '"http://[',
    "}",
    "{",
    "[",
    "]",
    '"',
    "\\ud800",
    "\\u0000",
    "null",
    "1e999",
    "NaN",
    ",",
    ":",
    "..",
    "%2e",
    "\ud800",
    " ",
    "//",
    "@",
    "#",
    "?",
    "file:",
    '"ftp://x"',
    '"data:,"',
    "-",
    "0" * 400,
    "é",
)
_HEADER_VALUES = (
    b"",
    b"1",
    b"application/json",
    b"image/png",
    b"\xff",
    b"0001-01-01T00:00:00+23:59",
    b"9999-12-31T23:59:60Z",
    b"2026-01-02T03:04:05Z",
    b"-1",
    b"\0" * 50,
    b"a" * 1025,
    b"\xed\xa0\x80",
    "é".encode(),
    b"{}",
    b"2026-02-30T00:00:00Z",
)


def message(topic: str, value: bytes | None, headers: Headers, *, partition: int | None = None) -> Message:
    return Message(topic, b"k", value, headers, partition)
