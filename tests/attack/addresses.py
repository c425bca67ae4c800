"""
Addresses and URL forms that lead inside: each as a reference, as a DNS answer and as a redirect. None may be reached.

`python -m tests.attack.addresses`; exit 1 when one passes the check. Nothing leaves this host, whatever the check says.
"""

import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from pipeline.errors import RecordFault
from pipeline.events.records import Reference
from pipeline.ingest.fetch import Fetcher, FetchRules
from tests.attack.hostile import Server, reply
from tests.attack.loopback import Escapes, only_loopback

PUBLIC = "93.184.216.34"


def _words(text: str) -> list[str]:
    return text.split()


IPV4 = _words(
    """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.0.0.2
    127.255.255.254 169.254.169.254 169.254.170.2 169.254.0.23 169.254.42.42 169.254.169.253 172.16.0.1
    172.31.255.255 192.0.0.1 192.0.0.8 192.0.0.9 192.0.0.10 192.0.0.170 192.0.0.192 192.0.2.1 192.31.196.1
    192.52.193.1 192.88.99.1 192.168.0.1 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
    233.252.0.1 239.255.255.255 240.0.0.1 255.255.255.254 255.255.255.255 168.63.129.16 192.80.8.124 161.26.0.10
    166.8.0.1 166.11.255.255
    """
)

IPV6 = _words(
    """
    :: ::1 ::2 ::127.0.0.1 ::10.0.0.1 ::169.254.169.254 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
    ::ffff:7f00:1 ::ffff:168.63.129.16 ::ffff:0:127.0.0.1 ::ffff:0:10.0.0.1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1
    64:ff9b::169.254.169.254 64:ff9b::93.184.216.34 64:ff9b:1::127.0.0.1 64:ff9b:1:7f00:0:100:: 64:ff9b:1::1 100::1
    100:0:0:1::1 1000::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:3::1 2001:4:112::1 2001:10::1
    2001:20::1 2001:30::1 2001:db8::1 2002:7f00:1::1 2002:a00:1::1 2002:a9fe:a9fe::1 2002:5db8:d822::1
    2620:4f:8000::1 3ffe::1 3fff::1 3fff:fff::1 4000::1 5f00::1 8000::1 fc00::1 fd00:ec2::254 fd00:42::42
    fd00:a9fe:a9fe::1 fd20:ce::254 fd12:3456::1 fe00::1 fe80::1 fe80::5efe:127.0.0.1 febf::1 fec0::1 feff::1 ff02::1
    ff0e::1 2606:2800:220:1:0:5efe:127.0.0.1 2606:2800:220:1:200:5efe:10.0.0.1 fe80::1%1 fe80::1%lo ::1%lo
    2606:2800:220:1::1%lo
    """
)

HOSTS = _words(
    """
    2130706433 0x7f000001 017700000001 0177.0.0.1 0x7f.0.0.1 0x7f.0x0.0x0.0x1 127.1 127.0.1 0 0x0 00 0177.1
    127.0.0.01 127.000.000.001 0x7f.1 2852039166 0xa9fea9fe 0251.0376.0251.0376 169.254.43518 0xa9.254.169.254
    167772161 0xa000001 012.1 4294967295 0xffffffff 3232235521 10.1 192.168.257 127.0.0.1. 2130706433.
    1.0.0.127.in-addr.arpa. 256.0.0.1 1.1.1.1.1 %31%32%37.0.0.1 127%2e0%2e0%2e1 %6c%6f%63%61%6c%68%6f%73%74
    １２７.0.0.1 １２７。０。０。１ 127。0。0。1 127．0．0．1 127｡0｡0｡1
    ①②⑦.⓪.⓪.① ⑯⑨。②⑤④。⑯⑨。②⑤④ ⓛⓞⓒⓐⓛⓗⓞⓢⓣ localhost LOCALHOST
    localhost. foo.localhost lo\u200bcalhost 127.0.0.1%00.images.example 127.0.0.1%2f.images.example ٢١٣٠٧٠٦٤٣٣
    -127.0.0.1 a..b .images.example images.example.. [] [::1 ::1] [127.0.0.1] [::1]] [v1.127.0.0.1]
    [::ffff:127.0.0.1%25lo] [fe80::1%25lo] [::1%25] [0:0:0:0:0:0:0:1] [::0001] [0:0:0:0:0:ffff:7f00:0001] [::%31]
    xn-- xn--a xn--127-0-0-1 a_b.images.example* images.example\\@127.0.0.1 *
    """
)

URLS = [
    "http://images.example@127.0.0.1/",
    "http://images.example:80@127.0.0.1/",
    "http://images.example%40127.0.0.1/",
    "http://127.0.0.1%23@10.0.0.1/",
    "http://images.example#@127.0.0.1:8080@10.0.0.1:81/",
    "http://a:b@c@127.0.0.1/",
    "http://images.example\\@127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http:/127.0.0.1/",
    "http:127.0.0.1/",
    "http:///127.0.0.1/",
    "http:////127.0.0.1/",
    "http://",
    "http://:80/",
    "http://@/",
    "http://127.0.0.1:80\t/",
    "http://127.0.0.1\n/",
    "ht\ntp://127.0.0.1/",
    " http://127.0.0.1/",
    "HTTP://127.0.0.1/",
    "hTTps://[::1]/",
    "//127.0.0.1/",
    "127.0.0.1/",
    "ftp://127.0.0.1/",
    "gopher://127.0.0.1:6379/_INFO",
    "dict://127.0.0.1:11211/",
    "ldap://127.0.0.1/",
    "unix:/var/run/docker.sock",
    "http+unix://%2fvar%2frun%2fdocker.sock/",
    "http://unix:/var/run/docker.sock:/",
    "jar:http://127.0.0.1!/",
    "url:http://127.0.0.1/",
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "file:/etc/passwd",
    "file:etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "file:///proc/self/environ",
    "file:////etc/passwd",
    "data:text/plain,hello",
    "javascript:alert(1)",
    "http://images.example:0/",
    "http://images.example:22/",
    "http://images.example:81/",
    "http://images.example:8080/",
    "http://images.example:6379/",
    "http://images.example:65535/",
    "http://images.example:65536/",
    "http://images.example:65616/",
    "http://images.example:99999999999999999999/",
    "http://images.example:-80/",
    "http://images.example:80:81/",
    "http://images.example:0x51/",
    "http://images.example:８１/",
    "https://images.example:22/",
    f"http://{PUBLIC}:22/",
    "http://[2606:2800:220:1::1]:9200/",
]

ANSWERS: list[list[str]] = [
    [],
    [PUBLIC, "10.0.0.1"],
    ["10.0.0.1", PUBLIC],
    [PUBLIC] * 50 + ["127.0.0.1"],
    [PUBLIC, "::1"],
    [PUBLIC, "fe80::1%1"],
    ["2606:2800:220:1::1", "::ffff:127.0.0.1"],
    [PUBLIC, "not an address"],
    [""],
    ["127.1"],
]

# Kinds whose every form must be refused, not only kept away from what is inside.
STRICT = {"literal address", "literal address, https", "DNS answer", "mixed or odd DNS answers", "redirect, DNS answer"}

# References that must be fetched, or the harness would prove nothing.
OPEN = [
    f"http://{PUBLIC}/image",
    "http://images.example/image",
    "http://images.example:80/image",
    "http://user:secret@images.example./image",
    "http://images.example/to?http://images.example/image",
    "http://images.example/to?/image",
]


@dataclass(frozen=True)
class Form:
    """One way in: a reference, and what names resolve to while it is fetched, answer by answer."""

    kind: str
    uri: str
    answers: tuple[list[str], ...] = ()

    def resolve(self) -> Callable[[str, int], list[str]]:
        """Return a resolver that knows three names, and numbers, as `inet_aton` reads them."""
        answers = iter(self.answers)

        def find(host: str, port: int) -> list[str]:
            if host == "inside.example":
                return next(answers)
            if host == "images.example":
                return [PUBLIC]
            if host.endswith("localhost"):
                return ["127.0.0.1", "::1"]
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            return [str(place[0]) for *_, place in found]

        return find


def forms() -> Iterator[Form]:
    """Every form of the attack."""
    inside = [*IPV4, *(f"[{each}]" for each in IPV6)]
    yield from (Form("literal address", f"http://{each}/") for each in inside)
    yield from (Form("literal address, https", f"https://{each}/") for each in inside[::7])
    yield from (Form("written host", f"http://{each}/") for each in HOSTS)
    yield from (Form("odd URL", each) for each in URLS)
    yield from (Form("DNS answer", "http://inside.example/", ([each],)) for each in (*IPV4, *IPV6))
    yield from (Form("mixed or odd DNS answers", "http://inside.example/", (each,)) for each in ANSWERS)
    yield from (Form("redirect", f"http://images.example/to?http://{each}/") for each in (*inside, *HOSTS))
    yield from (
        Form("redirect to an odd URL", f"http://images.example/to?{each}") for each in URLS if _fits_a_head(each)
    )
    to_inside = "http://images.example/to?http://inside.example/"
    yield from (Form("redirect, DNS answer", to_inside, ([each],)) for each in (*IPV4, *IPV6))
    again = "http://inside.example/to?http://inside.example/"
    yield from (Form("rebinding", again, ([PUBLIC], [each])) for each in (*IPV4[::5], *IPV6[::5]))


def attack_addresses(say: Callable[[str], object] = print) -> bool:
    """Try every form; tell whether none passed the check and every open reference was fetched."""
    tried: dict[str, int] = {}
    passed: list[str] = []
    with Server(_shop, host="127.0.0.2") as server:
        place = ("127.0.0.2", server.port)
        with only_loopback({(PUBLIC, 80): place}, loopback=False) as escapes:
            for form in forms():
                tried[form.kind] = tried.get(form.kind, 0) + 1
                if problem := _problem(form, escapes):
                    passed.append(f"{form.kind}: {form.uri!r} {form.answers}: {problem}")
            closed = [uri for uri in OPEN if _fetched(Form("open", uri)) != b"image"]
    for kind, count in tried.items():
        say(f"{kind:28} {count:4} tried")
    for each in (*passed, *(f"not fetched: {uri}" for uri in closed)):
        say(f"FAILED {each}")
    say(f"{sum(tried.values())} forms tried, {len(passed)} passed the check")
    say(f"{len(OPEN)} open references tried, {len(closed)} not fetched")
    return not passed and not closed


def _problem(form: Form, escapes: Escapes) -> str | None:
    try:
        content = _fetched(form)
    except RecordFault as error:
        clean = error.detail.isprintable() and len(error.detail) <= 1000
        problem = None if clean else f"detail {error.detail!r}"
    except Exception as error:  # noqa: BLE001 -- what escapes is what this looks for
        problem = f"raised {error!r}"
    else:
        # Other forms may name the public stand-in after all, such as a redirect that is relative.
        problem = f"returned {content!r}" if content != b"image" or form.kind in STRICT else None
    if places := escapes.taken():
        problem = f"connected to {places}"
    return problem


def _fetched(form: Form) -> bytes:
    rules, tls = FetchRules(timeout_s=2, tries=1), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with closing(Fetcher(rules, pause=lambda s: None, resolve=form.resolve(), tls=tls)) as fetcher:
        return fetcher.fetch(Reference(form.uri))


def _shop(head: bytes) -> Iterator[bytes | float]:
    target = head.split(b" ")[1]
    if target.startswith(b"/to?"):
        yield reply(b"", b"location: " + target.removeprefix(b"/to?"), status=b"302 Found")
    else:
        yield reply(b"image")


def _fits_a_head(uri: str) -> bool:
    return not any(character in uri for character in "\t\n#") and not uri.startswith(" ")


if __name__ == "__main__":
    sys.exit(0 if attack_addresses() else 1)
