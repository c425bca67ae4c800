"""The label page, on this machine alone: nothing that can be recognised is sent before it is asked for."""

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from pipeline.emit.page import render
from pipeline.errors import DependencyFault, OriginalGone, UsageError
from pipeline.studio.label_figures import figures
from pipeline.studio.labelling_session import Answer, LabellingSession

HOST = "127.0.0.1"
_LARGEST_BODY = 4096

Reply = tuple[int, str, bytes]


class LabelServer:
    """Serves one session until closed; `finished` is set when someone says so on the page."""

    def __init__(self, session: LabellingSession, *, title: str, about: str, port: int = 0) -> None:
        self.finished = threading.Event()
        self._finishing = False
        self._session = session
        self._title, self._about = title, about
        self._token, self._nonce = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        try:
            self._server = ThreadingHTTPServer((HOST, port), _handler(self._get, self._post, self._headers, self._sent))
        except OSError as error:
            raise UsageError(
                f"port {port} for the page is taken: {error.strerror}; choose another, `--port`"
            ) from error
        self._place = f"{HOST}:{self._server.server_address[1]}"
        self.address = f"http://{self._place}/{self._token}/"
        self._thread = threading.Thread(target=self._server.serve_forever, name="label-page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def _headers(self) -> Mapping[str, str]:
        policy = f"default-src 'none'; img-src 'self'; connect-src 'self'; style-src 'nonce-{self._nonce}'; "
        return {
            "content-security-policy": f"{policy}script-src 'nonce-{self._nonce}'; frame-ancestors 'none'",
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }

    def _asked(self, host: str, path: str) -> list[str] | None:
        """Return what was asked for under the secret address; None for who does not know it or uses another name."""
        parts = urlsplit(path).path.strip("/").split("/")
        known = secrets.compare_digest(parts[0].encode(), self._token.encode())
        return parts[1:] if known and host == self._place else None

    def _get(self, host: str, path: str) -> Reply:
        match self._asked(host, path):
            case []:
                page = render("pipeline.studio", "label.html.jinja", **self._page())
                return 200, "text/html; charset=utf-8", page.encode()
            case ["state"]:
                return _json(self._state())
            case ["blurred", number] if number.isdecimal():
                return _picture(self._session.blurred, int(number))
            case ["clear", number] if number.isdecimal():
                return _picture(self._session.clear, int(number))
        return 404, "text/plain", b"nothing here\n"

    def _post(self, host: str, path: str, body: Any) -> Reply:
        try:
            return self._take(host, path, body)
        except OSError as error:
            return 507, "text/plain; charset=utf-8", f"`{self._session.file}`: {error}\n".encode()

    def _take(self, host: str, path: str, body: Any) -> Reply:
        match self._asked(host, path):
            case ["answer"]:
                try:
                    self._session.answer(int(body["number"]), Answer(body["answer"]))
                except (KeyError, TypeError, ValueError):
                    return 400, "text/plain", b"expected a number and an answer\n"
            case ["undo"]:
                self._session.undo()
            case ["finish"]:
                self._finishing = True
            case _:
                return 404, "text/plain", b"nothing here\n"
        return _json(self._state())

    def _sent(self) -> None:
        """Finish only once the page has heard that it is so."""
        if self._finishing:
            self.finished.set()

    def _page(self) -> dict[str, Any]:
        return {
            "title": self._title,
            "about": self._about,
            "nonce": self._nonce,
            "state": self._state(),
            "policy": self._session.policy_id,
        }

    def _state(self) -> dict[str, Any]:
        session, number = self._session, self._session.number
        more = number < len(session.candidates)
        return {
            "number": number,
            "count": len(session.candidates),
            "event": f"{session.candidates[number].event_id} of {session.candidates[number].source}" if more else None,
            "answers": {answer.value: session.count(answer) for answer in Answer},
            "figures": [{"name": name, "text": text} for name, text in figures(session.findings())],
        }


def _picture(picture: Callable[[int], bytes], number: int) -> Reply:
    try:
        return 200, "image/jpeg", picture(number)
    except OriginalGone as gone:
        return 410, "text/plain; charset=utf-8", f"{gone}\n".encode()
    except DependencyFault as fault:
        return 503, "text/plain; charset=utf-8", f"{fault}\n".encode()


def _json(value: Any) -> Reply:
    return 200, "application/json", json.dumps(value).encode()


def _handler(
    get: Callable[[str, str], Reply],
    post: Callable[[str, str, Any], Reply],
    headers: Callable[[], Mapping[str, str]],
    sent: Callable[[], None],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(get(self.headers.get("host", ""), self.path))

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "0")
            size = int(length) if length.isdecimal() else 0
            try:
                # A form of another site cannot send this type unasked.
                given = self.headers.get("content-type") == "application/json" and size <= _LARGEST_BODY
                body = json.loads(self.rfile.read(size)) if given and size else {}
            except ValueError:
                given = False
            if not given:
                self._send((400, "text/plain", b"expected JSON\n"))
                return
            self._send(post(self.headers.get("host", ""), self.path, body))
            sent()

        def _send(self, reply: Reply) -> None:
            status, kind, body = reply
            self.send_response(status)
            for name, value in {**headers(), "content-type": kind, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Keep requests out of the terminal."""

    return Handler
