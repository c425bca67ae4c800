"""Golden files: the recorded outside of the program, as JSON, and recorded Kafka records, as JSON Lines."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.events.records import Origin, Record

GOLDEN = Path(__file__).parents[2] / "golden"
POLICIES = GOLDEN / "policies"
RECORDS = GOLDEN / "records"


def read_facts(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def write_facts(name: str, facts: Any) -> None:
    (GOLDEN / f"{name}.json").write_text(_indented(facts, "") + "\n")


def read_lines(name: str) -> list[str]:
    # Not `splitlines`: a value may hold other line separators, which JSON leaves as they are.
    return (RECORDS / f"{name}.jsonl").read_text().split("\n")[:-1]


def read_records(name: str) -> list[Record]:
    return [_record(json.loads(line)) for line in read_lines(name)]


def write_lines(name: str, lines: Iterable[str]) -> None:
    (RECORDS / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))


def record_line(record: Record) -> str:
    """Return a captured record with its place and time."""
    origin = record.origin
    place = {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset}
    content = content_fields(record.key, record.headers, record.value)
    return json.dumps({**place, "timestamp_ms": record.timestamp_ms, **content}, ensure_ascii=False)


def content_fields(
    key: bytes | None, headers: Iterable[tuple[str, bytes | None]], value: bytes | None
) -> dict[str, Any]:
    """Return key, headers and value: text where the bytes are UTF-8, base64 where they are not."""
    return {"key": _told(key), "headers": [[name, _told(each)] for name, each in headers], "value": _told(value)}


def _indented(facts: Any, indent: str) -> str:
    """Return JSON with one line for each object that holds no other object."""
    if not isinstance(facts, dict) or not any(isinstance(value, dict) for value in facts.values()):
        return json.dumps(facts, sort_keys=True, ensure_ascii=False)
    inner = indent + "  "
    lines = [f"{inner}{json.dumps(key)}: {_indented(value, inner)}" for key, value in sorted(facts.items())]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _record(fields: dict[str, Any]) -> Record:
    headers = tuple((name, _bytes(value)) for name, value in fields["headers"])
    origin = Origin(fields["topic"], fields["partition"], fields["offset"])
    return Record(origin, _bytes(fields["key"]), _bytes(fields["value"]), headers, fields["timestamp_ms"])  # type: ignore[arg-type]


def _told(content: bytes | None) -> Any:
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(content).decode()}


def _bytes(told: Any) -> bytes | None:
    if told is None:
        return None
    return told.encode() if isinstance(told, str) else b64decode(told["base64"])
