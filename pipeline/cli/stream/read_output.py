"""Outcomes of a stream as JSON lines and as table rows, printed as they are read."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.text import Text

from pipeline.cli.console import output, print_line
from pipeline.events.records import Record
from pipeline.events.wire.raw import json_fields, json_value
from pipeline.operations.stream.outcomes import dead_letter_fields, shown_bytes
from pipeline.operations.stream.read import DEAD_LETTERS, FLAGS, VERDICTS
from pipeline.visible import json_text, safe_json

# Longer values are printed in full, and shift the rest of their row.
_TIME, _POLICY, _SCORE, _REASON = 19, 28, 9, 20


def print_json_line(record: Record, kind: str) -> None:
    """Print an outcome as one line of JSON."""
    print_line(json_line(record, kind))


def json_line(record: Record, kind: str) -> str:
    """Return an outcome as it was sent, on one line. A record that is not JSON becomes an object that says so."""
    if kind == DEAD_LETTERS:
        return json_text(dead_letter_fields(record))
    fields, value = json_value(record), record.value or b""
    if fields is None:
        return json_text({"error": "not JSON", "record": str(record.origin), "value": shown_bytes(value)})
    return safe_json(value.decode()) if b"\n" not in value and b"\r" not in value else json_text(fields)


class OutcomeTable:
    """A table of outcomes of one kind, whose rows are printed one by one."""

    def __init__(self, kind: str) -> None:
        self._columns, self._row = _TABLES[kind]

    def print(self, outcomes: Iterable[Record]) -> None:
        """Print the header before the first outcome, and a row for each outcome."""
        console = output()
        for number, record in enumerate(outcomes):
            if not number:
                console.print(Text(self._line([name for name, _ in self._columns]), style="bold"))
            console.print(self._line(self._row(record)))

    def _line(self, cells: Sequence[str]) -> str:
        widths = [width for _, width in self._columns]
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _flag_row(record: Record) -> tuple[str, ...]:
    fields = json_fields(record)
    scores = (_number(_at(fields, "score")), _number(_at(fields, "threshold")))
    return _time(fields), _text(fields, "policy", "id"), *scores, _event(record, fields)


def _verdict_row(record: Record) -> tuple[str, ...]:
    fields = json_fields(record)
    answers = fields.get("policies")
    flagging = [_text(each, "id") for each in answers if _at(each, "flagged")] if isinstance(answers, list) else []
    return _time(fields), ", ".join(flagging) or "–", _event(record, fields)


def _dead_letter_row(record: Record) -> tuple[str, ...]:
    fields = dead_letter_fields(record)
    event = _text(fields, "headers", "ce_id") or str(record.origin)
    return _text(fields, "reason"), event, _text(fields, "detail")


_TABLES: dict[str, tuple[tuple[tuple[str, int], ...], Callable[[Record], tuple[str, ...]]]] = {
    FLAGS: (
        (("time", _TIME), ("policy", _POLICY), ("score".rjust(_SCORE), _SCORE), ("threshold", _SCORE), ("event", 0)),
        _flag_row,
    ),
    VERDICTS: ((("time", _TIME), ("flagged by", _POLICY), ("event", 0)), _verdict_row),
    DEAD_LETTERS: ((("reason", _REASON), ("event", _POLICY), ("detail", 0)), _dead_letter_row),
}


def _at(fields: Any, *names: str) -> Any:
    for name in names:
        fields = fields.get(name) if isinstance(fields, dict) else None
    return fields


def _text(fields: Any, *names: str) -> str:
    found = _at(fields, *names)
    return "" if found is None else str(found)


def _time(fields: Any) -> str:
    return _text(fields, "time")[:_TIME].replace("T", " ")


def _event(record: Record, fields: Any) -> str:
    return _text(fields, "event", "id") or f"not an outcome: {record.origin}"


def _number(value: Any) -> str:
    return f"{value:9.3f}" if isinstance(value, int | float) else ""
