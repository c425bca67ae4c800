"""Hostile archive rows, labels and decisions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.archive.rows import ArchivedEmbedding
from pipeline.evaluation.datasets.labelled_stream import read_stream
from pipeline.evaluation.datasets.labels_csv import read_policy_labels, read_rows
from pipeline.evaluation.decisions.standing import decisions, latest
from pipeline.events.records import Origin, Record
from tests.attack.children import Attack

NAN = float("nan")
D = "d" * 64


def hostile_rows() -> list[Attack]:
    """Return attacks with records of the embeddings' topic."""
    changes: dict[str, dict[str, str]] = {
        "a path for a model": {"model-digest": "../outside"},
        "a model in capitals": {"model-digest": "A" * 64},
        "a model with a line": {"model-digest": "a" * 64 + "\n"},
        "a content that is none": {"content-digest": "x' or 1=1"},
        "a set that is none": {"policy-set-digest": ""},
        "a time before the first": {"event-time": "0001-01-01T00:00:00+23:59"},
        "a time after the last": {"event-time": "9999-12-31T23:59:59-23:59"},
        "no time": {"event-time": "", "ce_time": ""},
        "a time of no zone": {"event-time": "2031-05-01T10:00:00"},
        "deep attributes": {"event-attributes": "[" * 100_000},
        "half a character": {"event-attributes": '{"a": "\\ud800"}'},
        "a huge number": {"event-attributes": '{"a": ' + "9" * 5_000 + "}"},
        "attributes of numbers": {"event-attributes": '{"a": 1}'},
        "attributes of a megabyte": {"event-attributes": json.dumps({"a": "x" * 1_000_000})},
        "attributes that are a list": {"event-attributes": "[]"},
        "an id of a megabyte": {"event-id": "x" * 1_000_000},
        "an origin of a megabyte": {"origin": "x" * 1_000_000},
        "no dimension": {"dimension": "0"},
        "a dimension below": {"dimension": "-4"},
        "a huge dimension": {"dimension": "9" * 5_000},
        "a dimension in words": {"dimension": "four"},
        "a dimension in other digits": {"dimension": "\u0664"},
        "another type": {"dtype": "float32"},
    }
    value = np.arange(4, dtype="<f2").tobytes()
    attacks = [_row(name, value, change) for name, change in changes.items()]
    infinite = np.array([1, 2, np.inf, np.nan], dtype="<f2").tobytes()
    values = {"no value": None, "an empty value": b"", "an odd value": b"abc", "not finite": infinite}
    attacks += [_row(name, each, {}) for name, each in values.items()]
    attacks += [
        _row(f"no {missing}", value, {}, missing) for missing in ("origin", "dtype", "model-digest", "event-time")
    ]
    return [*attacks, _row("fine: as it is", value, {}, refused=False)]


def _row(name: str, value: bytes | None, change: dict[str, str], missing: str = "", *, refused: bool = True) -> Attack:
    headers = {
        "dtype": "float16-le",
        "dimension": "4",
        "model-digest": "a" * 64,
        "content-digest": D,
        "event-id": "e",
        "event-source": "shop",
        "event-time": "2031-05-01T10:00:00.000Z",
        "event-attributes": '{"b": "2"}',
        "policy-set-digest": D,
        "origin": "images/0/1",
        **change,
    }
    headers.pop(missing, None)
    told = tuple((key, text.encode()) for key, text in headers.items())
    return Attack(name, lambda _: lambda: ArchivedEmbedding.of(Record(Origin("t", 0, 7), None, value, told)), refused)


def hostile_labels() -> list[Attack]:
    """Return attacks with files of labels."""
    tables: dict[str, str | bytes] = {
        "a field of 200000": "image,policies\na.jpg," + "x" * 200_000 + "\n",
        "an open quote": 'image,policies\na.jpg,"x\n' * 3,
        "a long open quote": 'image,policies\na.jpg,"' + "x\n" * 200_000,
        "not UTF-8": b"image,policies\na.jpg,\xff\n",
        "utf-16": "image,policies\na.jpg,x\n".encode("utf-16"),
        "a zero byte": b"image,policies\na\0.jpg,x\n",
        "more values than columns": "image,policies\na.jpg,x,y,z\n",
        "a column twice": "image,image\na.jpg,b.jpg\n",
        "10000 columns": ",".join(f"c{n}" for n in range(10_000)) + "\n",
        "a file above": "image,policies\n../a.jpg,x\n",
        "a device": "image,policies\n/dev/zero,x\n",
        "a long name": "image,policies\n" + "x" * 5_000 + ".jpg,x\n",
        "a name that steers": "image,policies\n\x1b[2J.jpg,x\n",
        "no rows": "image,policies\n",
        "nothing": "",
        "a probability of nothing": "image,policies,probability\na.jpg,x,nan\n",
        "a probability that is tiny": "image,policies,probability\na.jpg,x,1e-320\n",
    }
    attacks = [_labels(f"csv: {name}", "l.csv", text) for name, text in tables.items()]
    image = '{"image": "a.jpg", "policies": '
    lines: dict[str, str | bytes] = {
        "deep": "[" * 100_000,
        "a huge number": image + "9" * 5_000 + "}",
        "half a character": image + '"\\ud800"}',
        "a list": "[1]",
        "policies in lists": image + "[[1]]}",
        "policies in keys": image + '{"a": 1}}',
        "an image that is a list": '{"image": [1], "policies": "x"}',
        "an image that is a number": '{"image": 1, "policies": "x"}',
        "a zero byte": '{"image": "a\\u0000.jpg", "policies": "x"}',
        "a huge probability": image + '"x", "probability": 1' + "0" * 400 + "}",
        "no policies": '{"image": "a.jpg"}',
        "policies in one row only": image + '"x"}\n{"image": "a.jpg", "policies": 7}',
        "not UTF-8": b'{"image": "\xff"}',
    }
    attacks += [_labels(f"json: {name}", "l.jsonl", text) for name, text in lines.items()]
    kinds = {"a list": "- a", "a bomb": "a: &a [x]\nb: [*a, *a]\n", "a word": "p: ant\n", "no YAML": "p: ["}
    attacks += [_kinds(f"kinds: {name}", text) for name, text in kinds.items()]
    fine = {"a byte order mark": b"\xef\xbb\xbfimage,policies\na.jpg,x\n", "CRLF": b"image,policies\r\na.jpg,x\r\n"}
    fine |= {
        "a line within quotes": b'image,policies,note\na.jpg,x,"one\ntwo"\n',
        "fewer values": b"image,policies\na.jpg\n",
    }
    return attacks + [_labels(f"fine: {name}", "l.csv", text, refused=False) for name, text in fine.items()]


def _labels(name: str, file: str, text: str | bytes, *, refused: bool = True) -> Attack:
    def make(folder: Path) -> Callable[[], object]:
        (folder / "a.jpg").write_bytes(b"x")
        (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        if file.endswith(".csv") and not refused:
            return lambda: read_stream(folder / file)
        return lambda: (read_stream(folder / file), read_rows(folder / file, None, "category"))

    return Attack(name, make, refused)


def _kinds(name: str, text: str) -> Attack:
    def make(folder: Path) -> Callable[[], object]:
        (folder / "policy_labels.yaml").write_text(text)
        return lambda: read_policy_labels(folder / "policy_labels.yaml")

    return Attack(name, make)


def hostile_decisions() -> list[Attack]:
    """Return attacks with records of the decisions' topic: each is left out, and the others are read."""
    good = {"ruling": "upheld", "policy": "p", "source": "s", "event_id": "e", "time": "2031-05-01T10:00:00Z"}
    changes: dict[str, dict[str, Any]] = {
        "an unknown ruling": {"ruling": "maybe"},
        "a time before the first": {"time": "0001-01-01T00:00:00+23:59"},
        "a time after the last": {"time": "9999-12-31T23:59:59-23:59"},
        "a time of no zone": {"time": "2031-05-01T10:00:00"},
        "a tiny probability": {"probability": 1e-320},
        "a probability that is none": {"probability": NAN},
        "a policy of a megabyte": {"policy": "x" * 1_000_000},
        "a ruling that steers": {"ruling": "\x1b[2J\n"},
        "100000 keys": {f"a{n}": 1 for n in range(100_000)},
        "a huge number": {"probability": int("9" * 4_000)},
        "a list for a text": {"event_id": ["e"]},
    }
    values = {name: json.dumps({**good, **change}).encode() for name, change in changes.items()}
    values |= {"nothing": b"", "no json": b"{", "deep": b"[" * 100_000, "not UTF-8": b'"\xff"', "a list": b"[]"}
    values |= {"half a character": json.dumps({**good, "note": "x"}).replace('"x"', '"\\ud800"').encode()}
    return [_decision(name, value, json.dumps(good).encode()) for name, value in values.items()]


def _decision(name: str, value: bytes, good: bytes) -> Attack:
    records = [Record(Origin("d", 0, n), b"k", each) for n, each in enumerate((good, value, None, good))]

    def read() -> None:
        assert len(list(decisions(records))) == 2, "what is none is left out"
        assert len(latest(decisions(records))) == 1

    return Attack(name, lambda _: read, refused=False)
