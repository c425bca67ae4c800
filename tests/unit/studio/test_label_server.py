"""Server of the label page: it answers only its own page, and no request makes it stop answering."""

import contextlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from pipeline.evaluation.labelling.estimates import Labelling
from pipeline.evaluation.labelling.session import Candidate, LabellingSession
from pipeline.evaluation.stats.stratified_sample import draw_sample
from pipeline.studio.label_server import LabelServer

HOSTILE = "</script><b>\x1b[2J\u202e" + "x" * 300


@pytest.fixture
def session(tmp_path: Path, revolver: bytes) -> LabellingSession:
    scores = np.arange(4, dtype=np.float64)
    strata = draw_sample(scores, scores > 2, scores > 2, 4, np.random.default_rng(1))
    labelling = Labelling(strata, scores, target=0.9, confidence=0.95, rng=np.random.default_rng(1))
    candidates = [Candidate(place, f"i/0/{place}", HOSTILE, "shop", "c", flagged=False) for place in labelling.order]
    file = tmp_path / "labels.jsonl"
    return LabellingSession("p", candidates, labelling, lambda *_: revolver, file=file, reviewer="ana")


@pytest.fixture
def server(session: LabellingSession) -> Iterator[LabelServer]:
    with contextlib.closing(LabelServer(session, title="t", about="a")) as server:
        yield server


def post(server: LabelServer, what: str, body: str, kind: str = "application/json") -> httpx.Response:
    return httpx.post(f"{server.address}{what}", content=body, headers={"content-type": kind})


@pytest.mark.parametrize(
    "body",
    [
        '{"number": ' + "1" * 4000 + ', "answer": "flag"}', '{"number": 1e999, "answer": "flag"}',
        '{"number": 0.5, "answer": "flag"}', '{"number": true, "answer": "flag"}', '{"number": "0", "answer": "flag"}',
        '{"number": NaN, "answer": "flag"}', '{"number": 0, "answer": "no such"}', '{"number": 0, "answer": [1]}',
        '{"number": 0}', "[" * 4000, '{"a":' * 800, "[]", "1", '"x"', "null", "{", "\udcff",
    ],
)  # fmt: skip
def test_what_is_no_answer_is_told_so(server: LabelServer, body: str) -> None:
    given = httpx.post(
        f"{server.address}answer",
        content=body.encode(errors="surrogateescape"),
        headers={"content-type": "application/json"},
    )
    assert given.status_code == 400
    assert httpx.get(f"{server.address}state").json()["number"] == 0


@pytest.mark.parametrize("number", ["1" * 5000, "²", "-1", "1e9", "99999999"])
def test_a_picture_that_is_not_there_is_told_so(server: LabelServer, number: str) -> None:
    assert httpx.get(f"{server.address}clear/{number}").status_code in (404, 410)


def test_forms_other_hosts_and_who_does_not_know_the_address_get_nothing(server: LabelServer) -> None:
    place = server.address.split("/")[2]
    assert post(server, "undo", "a=b", "application/x-www-form-urlencoded").status_code == 400
    assert httpx.get(server.address, headers={"host": "evil.example"}).status_code == 404
    assert httpx.get(server.address, headers={"host": "localhost:80"}).status_code == 404
    found = [httpx.get(f"http://{place}{path}") for path in ("/", "//", "/state", "//[", "/x/state", "/%00")]
    assert {each.status_code for each in found} == {404}
    assert all("default-src 'none'" in each.headers["content-security-policy"] for each in found)


def test_an_id_is_only_text_and_its_hidden_characters_are_shown(server: LabelServer) -> None:
    page = httpx.get(server.address).text
    assert "</script><b>" not in page
    event = httpx.get(f"{server.address}state").json()["event"]
    assert event.startswith("</script><b>\\x1b[2J\\u202e")


def test_undo_before_any_answer_does_nothing_and_answers_are_for_their_owner_alone(
    server: LabelServer, session: LabellingSession
) -> None:
    assert post(server, "undo", "{}").json()["number"] == 0
    assert not session.file.exists()
    assert httpx.get(f"{server.address}clear/0").status_code == 200
    assert post(server, "answer", json.dumps({"number": 0, "answer": "flag"})).json()["number"] == 1
    assert stat.S_IMODE(session.file.stat().st_mode) == 0o600
    assert post(server, "undo", "").json()["number"] == 0


def test_who_finishes_is_answered_before_the_server_ends(server: LabelServer) -> None:
    assert not server.finished.is_set()
    assert post(server, "finish", "{}").status_code == 200
    assert server.finished.wait(5)
