"""Bad habits of servers, and how a fetch from each must end."""

import gzip
import random
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat

from tests.attack.hostile import Script, reply

Steps = Iterator[bytes | float]

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
CLOSED = OK + b"connection: close\r\n\r\n"
BLOCK = bytes(64 << 10)
FAILED, LARGE, BYTES = "fetch_failed", "too_large", "bytes"


@dataclass(frozen=True)
class Behaviour:
    """
    One hostile server. `wanted`: the outcomes allowed, with spaces between.

    `tickets`: session tickets that TLS sends of its own; `silent` speaks before it is asked; `busy` keeps a core busy,
    so it runs alone; `measured` runs again with its memory traced; the outcome of the last of `times` fetches counts.
    """

    name: str
    script: Script
    wanted: str = FAILED
    tls: bool = False
    tickets: int = 2
    asks_tls: bool = False
    silent: bool = False
    accepts: bool = True
    busy: bool = False
    measured: bool = False
    times: int = 1
    host: str = "127.0.0.1"
    resolve: Callable[[str, int], list[str]] = lambda host, port: ["127.0.0.1"]


def said(*pieces: bytes | float) -> Script:
    """A script that ignores the request."""
    return lambda head: iter(pieces)


def dripped(data: bytes, every_s: float = 0.05, *, before: bytes = b"", size: int = 1) -> Script:
    """A script that sends `before`, then `data` piece by piece, again and again."""

    def script(head: bytes) -> Steps:
        yield before
        while True:
            for start in range(0, len(data), size):
                yield data[start : start + size]
                yield every_s

    return script


def flooded(data: bytes, before: bytes = b"") -> Script:
    """A script that sends `before`, then `data` without end."""

    def script(head: bytes) -> Steps:
        yield before
        yield from repeat(data)

    return script


def late(data: bytes, after_s: float = 60.0, before: bytes = b"") -> Script:
    """A script that sends `before`, waits, and sends `data`."""
    return said(before, after_s, data)


def encoded(coding: bytes, body: bytes) -> Script:
    return said(reply(body, b"content-encoding: " + coding))


def redirecting(to: bytes, after_s: float = 0.0) -> Script:
    return said(after_s, reply(b"", b"location: " + to, status=b"302 Found"))


def bomb(layers: int, size: int = 32 << 20) -> bytes:
    data = bytes(size)
    for _ in range(layers):
        data = gzip.compress(data, 9)
    return data


def noise(seed: int, size: int = 4096) -> Script:
    return said(random.Random(seed).randbytes(size))


def bent(seed: int) -> Script:
    """A script that sends a good response with a few bytes of its head changed."""
    draw = random.Random(seed)
    good = bytearray(reply(b"image", b"content-type: image/png", b"x: y"))
    for _ in range(3):
        good[draw.randrange(len(good) - 5)] = draw.randrange(256)
    return said(bytes(good))


def slow_name(host: str, port: int) -> list[str]:
    time.sleep(6)
    return ["127.0.0.1"]


def no_name(host: str, port: int) -> list[str]:
    raise OSError(-2, "Name or service not known")


def no_address(host: str, port: int) -> list[str]:
    return []


def reset(head: bytes) -> Steps:
    yield OK + b"content-length: 100\r\n\r\nabc"
    raise ConnectionResetError  # the server closes with data unread where it can


def counted_to(good: int) -> Script:
    """A script whose answers after the first `good` hang, over one script's life."""
    asked = iter(range(1_000_000))

    def script(head: bytes) -> Steps:
        if next(asked) >= good:
            yield 60.0
        yield reply(b"image")

    return script


def cookies(head: bytes) -> Steps:
    if b"\r\ncookie:" in head.lower():
        yield reply(b"", status=b"400 Bad Request")
    yield reply(b"image", *(b"set-cookie: c%d=%s; path=/" % (n, b"x" * 800) for n in range(90)))


def fragmented_hello() -> bytes:
    """A TLS record announced as 16 KiB, for a handshake message that never ends."""
    return b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"


GZIP = gzip.compress(b"image")
ANY = f"{FAILED} {LARGE} {BYTES}"
SLOW = "slow.example"

BEHAVIOURS = [
    # controls
    Behaviour("good", said(reply(b"image")), BYTES),
    Behaviour("good, chunked", said(CHUNKED + b"5\r\nimage\r\n0\r\n\r\n"), BYTES),
    Behaviour("good, until close", said(CLOSED + b"image"), BYTES),
    Behaviour("good, HTTP/1.0", said(b"HTTP/1.0 200 OK\r\n\r\nimage"), BYTES),
    Behaviour("good over TLS", said(reply(b"image")), BYTES, tls=True, host="images.example"),
    Behaviour("good over TLS by address", said(reply(b"image")), BYTES, tls=True),
    Behaviour(
        "good, dripped in time", said(*(piece for byte in reply(b"image") for piece in (bytes([byte]), 0.001))), BYTES
    ),
    Behaviour("good after one 1xx", said(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", reply(b"image")), BYTES),
    Behaviour("identity named", said(reply(b"image", b"content-encoding: identity")), BYTES),
    Behaviour("empty coding", said(reply(b"image", b"content-encoding:")), BYTES),
    # time
    Behaviour("never accepts", said(), accepts=False),
    Behaviour("silent after accept", said(60.0), silent=True),
    Behaviour("silent after the request", said(60.0)),
    Behaviour("head by byte", dripped(OK + b"x: " + b"y" * 1000)),
    Behaviour("head by byte, quick", dripped(OK + b"x: " + b"y" * 100_000, 0.001)),
    Behaviour("head by line", dripped(b"x: y\r\n", 0.3, before=OK, size=6)),
    Behaviour("status line by byte", dripped(b"H", 0.2, before=b"HTTP/1.1 200 ")),
    Behaviour("half a head, then nothing", late(b"\r\n\r\n", before=OK + b"content-length: 5\r\n")),
    Behaviour("100 every 0.3 s", dripped(b"HTTP/1.1 100 Continue\r\n\r\n", 0.3, size=25)),
    Behaviour("100 by byte", dripped(b"HTTP/1.1 100 Continue\r\n\r\n", 0.01)),
    Behaviour("flood of 100", flooded(b"HTTP/1.1 100 Continue\r\n\r\n" * 100), busy=True),
    Behaviour("flood of 103", flooded(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 100), busy=True),
    Behaviour("body of a byte a second", dripped(b"x", 1.0, before=OK + b"content-length: 1000\r\n\r\n")),
    Behaviour("body by byte, quick", dripped(b"x", 0.01, before=OK + b"content-length: 100000\r\n\r\n")),
    Behaviour("body until close, by byte", dripped(b"x", 0.1, before=CLOSED)),
    Behaviour("body stops short, open", late(b"x", before=OK + b"content-length: 10\r\n\r\nabc")),
    Behaviour("chunks of a byte", dripped(b"1\r\nx\r\n", 0.1, before=CHUNKED, size=6)),
    Behaviour("chunk size by digit", dripped(b"0", 0.1, before=CHUNKED)),
    Behaviour("chunk extension by byte", dripped(b"x", 0.05, before=CHUNKED + b"5;a=")),
    Behaviour("chunk without end", late(b"x", before=CHUNKED + b"ffff\r\nabc")),
    Behaviour("trailers by line", dripped(b"x: y\r\n", 0.3, before=CHUNKED + b"5\r\nimage\r\n0\r\n", size=6)),
    Behaviour("last chunk withheld", late(b"0\r\n\r\n", before=CHUNKED + b"5\r\nimage\r\n")),
    Behaviour("flood of chunks of a byte", flooded(b"1\r\nx\r\n" * 1000, CHUNKED), f"{FAILED} {LARGE}", busy=True),
    Behaviour(
        "flood of chunk extensions",
        flooded(b"1;" + b"x" * 4000 + b"\r\nx\r\n", CHUNKED),
        f"{FAILED} {LARGE}",
        busy=True,
    ),
    Behaviour("slow redirects", redirecting(b"/again", 0.7)),
    Behaviour(
        "redirect to silence",
        lambda head: iter([60.0] if b"/quiet" in head else [reply(b"", b"location: /quiet", status=b"301 Moved")]),
    ),
    Behaviour("slow 503", said(0.7, reply(b"", status=b"503 Busy"))),
    Behaviour("silent keep-alive connection", counted_to(1), times=2),
    Behaviour("slow name", said(reply(b"image")), host=SLOW, resolve=slow_name),
    Behaviour("unknown name", said(reply(b"image")), host=SLOW, resolve=no_name),
    Behaviour("name without address", said(reply(b"image")), host=SLOW, resolve=no_address),
    Behaviour(
        "first address refuses",
        said(reply(b"image")),
        BYTES,
        host=SLOW,
        resolve=lambda h, p: ["127.0.0.9", "127.0.0.1"],
    ),
    Behaviour(
        "a thousand addresses, none listens",
        said(),
        host=SLOW,
        resolve=lambda h, p: [f"127.1.{n // 250}.{n % 250 + 1}" for n in range(1000)],
    ),
    # TLS
    Behaviour("TLS: silent", said(60.0), asks_tls=True, silent=True),
    Behaviour("TLS: handshake by byte", dripped(fragmented_hello() + bytes(16000), 0.05), asks_tls=True, silent=True),
    Behaviour(
        "TLS: flood of warnings", flooded(b"\x15\x03\x03\x00\x02\x01\x5a" * 500), asks_tls=True, silent=True, busy=True
    ),
    Behaviour(
        "TLS: flood of empty records", flooded(b"\x16\x03\x03\x00\x00" * 500), asks_tls=True, silent=True, busy=True
    ),
    Behaviour("TLS: flood of session tickets", said(reply(b"image")), tls=True, tickets=3_000_000, busy=True),
    Behaviour("TLS: flood of zeros", flooded(BLOCK), asks_tls=True, silent=True),
    Behaviour("TLS: plain HTTP", said(reply(b"image")), asks_tls=True, silent=True),
    Behaviour("TLS: hangs up", said(), asks_tls=True, silent=True),
    Behaviour("TLS: certificate of another host", said(reply(b"image")), tls=True, host="other.example"),
    Behaviour("TLS: body by byte", dripped(b"x", 0.1, before=CLOSED), tls=True),
    Behaviour("TLS: head by byte", dripped(OK, 0.1), tls=True),
    Behaviour("TLS: silent after the handshake", said(60.0), tls=True),
    Behaviour("TLS: body without end", flooded(BLOCK, CLOSED), LARGE, tls=True, measured=True),
    # size
    Behaviour(
        "length over the limit", late(b"x", before=OK + b"content-length: 99999999\r\n\r\n"), LARGE, measured=True
    ),
    Behaviour("length of 19 digits", late(b"x", before=OK + b"content-length: 9999999999999999999\r\n\r\n"), LARGE),
    Behaviour("length of 5,000 digits", said(OK + b"content-length: " + b"9" * 5000 + b"\r\n\r\n")),
    Behaviour("body without end", flooded(BLOCK, CLOSED), LARGE, measured=True),
    Behaviour("chunks without end", flooded(b"10000\r\n" + BLOCK + b"\r\n", CHUNKED), LARGE, measured=True),
    Behaviour("chunk of 2^60", flooded(BLOCK, CHUNKED + b"1000000000000000\r\n"), LARGE, measured=True),
    Behaviour("chunk size of 100 digits", said(CHUNKED + b"f" * 100 + b"\r\n", 60.0)),
    Behaviour("body at the limit", said(reply(bytes(1 << 20))), BYTES),
    Behaviour("one byte over the limit", said(CLOSED + bytes((1 << 20) + 1)), LARGE),
    Behaviour("default limit, whole", said(CLOSED, *repeat(BLOCK, 160)), f"{BYTES} {LARGE}", measured=True),
    Behaviour("head line without end", flooded(BLOCK.replace(b"\0", b"x"), OK + b"x: "), measured=True),
    Behaviour("head fields without end", flooded(b"x: y\r\n" * 1000, OK), busy=True, measured=True),
    Behaviour("folded field without end", flooded(b" y\r\n" * 1000, OK + b"x: y\r\n"), busy=True),
    Behaviour("status line without end", flooded(BLOCK.replace(b"\0", b"x"), b"HTTP/1.1 200 "), measured=True),
    Behaviour("trailers without end", flooded(b"x: y\r\n" * 1000, CHUNKED + b"0\r\n"), busy=True, measured=True),
    Behaviour("chunk extension without end", flooded(BLOCK.replace(b"\0", b"x"), CHUNKED + b"5;"), measured=True),
    Behaviour(
        "redirect with a body without end", flooded(BLOCK, b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n"), measured=True
    ),
    Behaviour("404 with a body without end", flooded(BLOCK, b"HTTP/1.1 404 No\r\n\r\n"), measured=True),
    # codings
    Behaviour("gzip", encoded(b"gzip", GZIP)),
    Behaviour("gzip bomb", encoded(b"gzip", bomb(1)), measured=True),
    Behaviour("gzip bomb, two layers", encoded(b"gzip, gzip", bomb(2)), measured=True),
    Behaviour("gzip bomb, three layers", encoded(b"gzip, gzip, gzip", bomb(3)), measured=True),
    Behaviour("gzip in two fields", said(reply(GZIP, b"content-encoding: identity", b"Content-Encoding: GZIP"))),
    Behaviour("deflate", encoded(b"deflate", zlib.compress(b"image"))),
    Behaviour("not gzip", encoded(b"gzip", b"image")),
    Behaviour("br", encoded(b"br", b"image")),
    Behaviour("zstd", encoded(b"zstd", b"image")),
    Behaviour("unknown coding, hostile name", encoded(b"\xff\x9bx" * 500, b"image")),
    Behaviour("gzip as transfer coding", said(OK + b"transfer-encoding: gzip, chunked\r\n\r\n5\r\nimage\r\n0\r\n\r\n")),
    Behaviour(
        "gzip redirect", said(reply(bomb(2), b"content-encoding: gzip, gzip", b"location: /", status=b"302 Found"))
    ),
    # protocol
    Behaviour("hangs up at once", said(), silent=True),
    Behaviour("hangs up after the request", said()),
    Behaviour("hangs up in the head", said(OK)),
    Behaviour("hangs up in the body", said(OK + b"content-length: 10\r\n\r\nabc")),
    Behaviour("hangs up in a chunk", said(CHUNKED + b"10\r\nabc")),
    Behaviour("resets in the body", reset),
    Behaviour("speaks before it is asked", said(reply(b"image"), 0.3), ANY, silent=True),
    Behaviour("HTTP/0.9", said(b"image")),
    Behaviour("HTTP/2 preface", said(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18))),
    Behaviour("SSH", said(b"SSH-2.0-OpenSSH_9.6\r\n", 60.0), silent=True),
    Behaviour("HTTP/9.9", said(b"HTTP/9.9 200 OK\r\ncontent-length: 5\r\n\r\nimage"), ANY),
    Behaviour("status 000", said(reply(b"image", status=b"000 No"))),
    Behaviour("status 199", said(reply(b"image", status=b"199 No"))),
    Behaviour("status 999", said(reply(b"image", status=b"999 No"))),
    Behaviour("status 99999", said(reply(b"image", status=b"99999 No"))),
    Behaviour("101 without being asked", said(reply(b"image", b"upgrade: x", status=b"101 Switching Protocols"), 60.0)),
    Behaviour("204 with a body", said(reply(b"image", status=b"204 No Content")), ANY),
    Behaviour("304", said(reply(b"", status=b"304 Not Modified"))),
    Behaviour("two lengths", said(OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nimage!")),
    Behaviour("negative length", said(OK + b"content-length: -5\r\n\r\nimage")),
    Behaviour("length of words", said(OK + b"content-length: five\r\n\r\nimage")),
    Behaviour(
        "length and chunks",
        said(OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nimage\r\n0\r\n\r\n"),
        ANY,
    ),
    Behaviour("negative chunk", said(CHUNKED + b"-5\r\nimage\r\n0\r\n\r\n")),
    Behaviour("NUL in the head", said(OK + b"x: a\0b\r\ncontent-length: 5\r\n\r\nimage"), ANY),
    Behaviour("escape sequences in the reason", said(reply(b"", status=b"404 \x1b[2J\x1b]0;x\x07")), FAILED),
    Behaviour("reason of other letters", said(reply(b"", status=b"404 \xff\xfe\xf0")), FAILED),
    Behaviour("garbage of 90,000 letters", said(b"\x1b\xff<" * 30_000), FAILED),
    Behaviour("cookies", cookies, BYTES, times=40),
    Behaviour("answer behind the answer", said(reply(b"image") + reply(b"other"), 0.1), f"{BYTES} {FAILED}", times=2),
    # redirects
    Behaviour("redirects to itself", redirecting(b"/image")),
    Behaviour(
        "redirect without end",
        lambda head: iter([reply(b"", b"location: " + head.split()[1] + b"x", status=b"307 On")]),
    ),
    Behaviour("redirect to nowhere", redirecting(b"http://[")),
    Behaviour("redirect to no host", redirecting(b"http://")),
    Behaviour("redirect to a bad port", redirecting(b"http://127.0.0.1:99999/")),
    Behaviour("redirect to bad IDNA", redirecting("http://xn--\u00fc\u0300..\u2260/".encode())),
    Behaviour("redirect in latin-1", redirecting(b"http://\xe9\xff/")),
    Behaviour("redirect of 60,000 letters", redirecting(b"/" + b"x" * 60_000)),
    Behaviour("redirect to a file", redirecting(b"file:///etc/passwd"), "reference_forbidden"),
    Behaviour("redirect to ftp", redirecting(b"ftp://127.0.0.1/"), "reference_forbidden"),
    Behaviour("redirect inside", redirecting(b"http://10.0.0.1/"), "reference_forbidden"),
    Behaviour("redirect without location", said(reply(b"", status=b"302 Found"))),
    Behaviour("redirect, empty location", redirecting(b"")),
    Behaviour("300 with choices", said(reply(b"choose", b"location: /a", status=b"300 Choose"))),
    # noise
    *(Behaviour(f"noise {seed}", noise(seed)) for seed in range(5)),
    *(
        Behaviour(f"noise in chunks {seed}", said(CHUNKED + random.Random(seed).randbytes(2000)), ANY)
        for seed in range(5)
    ),
    *(
        Behaviour(
            f"noise in TLS records {seed}",
            said(struct.pack("!BHH", 22, 0x303, 900) + random.Random(seed).randbytes(900)),
            asks_tls=True,
            silent=True,
        )
        for seed in range(3)
    ),
    *(Behaviour(f"bent head {seed}", bent(seed), ANY) for seed in range(15)),
]
