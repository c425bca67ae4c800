"""Server of the label page, for this machine alone: it sends no clear picture before the reviewer asks for it."""

import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import DependencyFault, OriginalGone, UsageError
from pipeline.evaluation.labelling.session import Answer, LabellingSession
from pipeline.http_server import BoundedServer, Reply, Request, json_reply, text_reply
from pipeline.reports.page import render
from pipeline.studio.label_figures import figures, gauges
from pipeline.visible import one_line

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Words:
    """Words of a policy that tell the reviewer when to flag an image."""

    rationale: str = ""
    prompts: Sequence[str] = ()
    contrast: Sequence[str] = ()


class LabelServer:
    """
    Serves one session until closed; `finished` is set when the reviewer finishes on the page.

    `next_command`: command line to run after the session.
    """

    def __init__(
        self,
        session: LabellingSession,
        *,
        title: str,
        about: str,
        words: Words = Words(),
        next_command: str = "",
        port: int = 0,
    ) -> None:
        self.finished = threading.Event()
        self._session = session
        self._fixed = {"title": title, "about": about, "words": words, "next_command": next_command}
        self._token, self._nonce = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        try:
            self._server = BoundedServer(HOST, port, self._respond, name="label-page")
        except OSError as error:
            raise UsageError(
                f"port {port} for the page is taken: {error.strerror}; choose another, `--port`"
            ) from error
        self.address = f"http://{self._server.address}/{self._token}/"

    def close(self) -> None:
        """Stop answering."""
        self._server.close()

    def _respond(self, request: Request) -> Reply:
        asked = self._asked(request)
        if asked is None:
            reply = _nothing()
        elif request.method == "GET":
            reply = self._get(asked)
        else:
            reply = self._post(asked, request)
        return replace(reply, headers=self._headers())

    def _headers(self) -> Mapping[str, str]:
        policy = f"default-src 'none'; img-src 'self'; connect-src 'self'; style-src 'nonce-{self._nonce}'; "
        return {
            "content-security-policy": f"{policy}script-src 'nonce-{self._nonce}'; frame-ancestors 'none'",
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }

    def _asked(self, request: Request) -> list[str] | None:
        """Return the path below the secret address; None if the request is for another address or host."""
        parts = request.path.strip("/").split("/")
        known = secrets.compare_digest(parts[0].encode(), self._token.encode())
        return parts[1:] if known and request.host == self._server.address else None

    def _get(self, asked: list[str]) -> Reply:
        match asked:
            case []:
                page = render("pipeline.studio", "label.html.jinja", **self._page())
                return Reply(200, "text/html; charset=utf-8", page.encode())
            case ["state"]:
                return json_reply(self._state())
            case ["blurred", number] if _NUMBER.fullmatch(number):
                return _picture(self._session.blurred, int(number))
            case ["clear", number] if _NUMBER.fullmatch(number):
                return _picture(self._session.clear, int(number))
        return _nothing()

    def _post(self, asked: list[str], request: Request) -> Reply:
        # A form of another site cannot send this type unasked.
        body = _object(request.body) if request.content_type == "application/json" else None
        if body is None:
            return text_reply(400, "expected JSON")
        try:
            return self._take(asked, body)
        except OSError as error:
            return text_reply(507, f"`{self._session.file}`: {error}")

    def _take(self, asked: list[str], body: Mapping[str, Any]) -> Reply:
        match asked:
            case ["answer"]:
                number, answer = body.get("number"), _ANSWERS.get(str(body.get("answer")))
                if type(number) is not int or not 0 <= number < _MOST or answer is None:
                    return text_reply(400, "expected a number and an answer")
                self._session.answer(number, answer)
            case ["undo"]:
                self._session.undo()
            case ["finish"]:
                return replace(json_reply(self._state()), then=self.finished.set)
            case _:
                return _nothing()
        return json_reply(self._state())

    def _page(self) -> dict[str, Any]:
        return {
            **self._fixed,
            "nonce": self._nonce,
            "state": self._state(),
            "policy": self._session.policy_id,
        }

    def _state(self) -> dict[str, Any]:
        session, number, found = self._session, self._session.number, self._session.findings()
        shown = session.candidates[number] if number < len(session.candidates) else None
        return {
            "number": number,
            "count": len(session.candidates),
            "event": one_line(f"{shown.event_id} of {shown.source}") if shown is not None else None,
            "answers": {answer.value: session.count(answer) for answer in Answer},
            "last": session.last_answer.value if session.last_answer else None,
            "gauges": gauges(found),
            "figures": [{"name": name, "text": text} for name, text in figures(found)],
        }


_NUMBER = re.compile("[0-9]{1,9}")
_MOST = 10**9
_ANSWERS = {answer.value: answer for answer in Answer}


def _object(body: bytes) -> Mapping[str, Any] | None:
    """Return the JSON object in a request's body; an empty one for an empty body, None for anything else."""
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _nothing() -> Reply:
    return text_reply(404, "nothing here")


def _picture(picture: Callable[[int], bytes], number: int) -> Reply:
    try:
        return Reply(200, "image/jpeg", picture(number))
    except OriginalGone as gone:
        return text_reply(410, str(gone))
    except DependencyFault as fault:
        return text_reply(503, str(fault))
