"""Dead letters on a terminal and as JSON lines."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rich.text import Text

from pipeline.cli.console import output, plain_table, print_json
from pipeline.counted import counted
from pipeline.errors import DeadLetterReason
from pipeline.operations.dead_letters.fields import letter_fields
from pipeline.operations.dead_letters.letters import Letter, LetterSummary

# Longer values are printed in full, and shift the rest of their row.
_COLUMNS = (("reason", 20), ("origin", 16), ("time", 19), ("attempt", 7), ("bytes", 10), ("event", 28))
_STATE, _DETAIL = ("state", 8), ("detail", 0)
_TIME = 19
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_KIB = 1024


def print_letter_line(letter: Letter) -> None:
    """Print a letter as one line of JSON."""
    print_json(letter_fields(letter))


def print_letters(letters: Iterable[Letter], *, states: bool) -> None:
    """Print a row for each letter, with its state if `states`, and then their numbers by reason."""
    columns = (*_COLUMNS, *((_STATE,) if states else ()), _DETAIL)
    console, reasons = output(), Counter[DeadLetterReason]()
    for letter in letters:
        if not reasons:
            console.print(Text(_line(columns, [name for name, _ in columns]), style="bold"))
        reasons[letter.record.own.reason] += 1
        console.print(_line(columns, _cells(letter, states=states)))
    console.print(counts_text(reasons))


def count_reasons(letters: Iterable[Letter | LetterSummary]) -> Counter[DeadLetterReason]:
    """Return the number of letters by reason."""
    return Counter(each.reason if isinstance(each, LetterSummary) else each.record.own.reason for each in letters)


def print_counts(reasons: Mapping[DeadLetterReason, int], *, as_table: bool) -> None:
    """Print the numbers of letters by reason, the most frequent first."""
    ordered = Counter(reasons).most_common()
    if not as_table:
        for reason, count in ordered:
            print_json({"reason": reason.value, "count": count})
        return
    table = plain_table("reason", "count")
    for reason, count in ordered:
        table.add_row(reason.value, str(count))
    output().print(table)


def counts_text(reasons: Mapping[DeadLetterReason, int]) -> str:
    """Return the number of letters, and of each reason, in one line."""
    total = sum(reasons.values())
    by_reason = ", ".join(f"{count} {reason.value}" for reason, count in Counter(reasons).most_common())
    return f"{counted_letters(total)}: {by_reason}" if total else "no dead letters"


def counted_letters(count: int) -> str:
    """Return a number of dead letters in words."""
    return "1 dead letter" if count == 1 else f"{count} dead letters"


def print_letter(letter: Letter) -> None:
    """Print a letter in full, a field a line, and then its headers and what was done with it."""
    fields = letter_fields(letter)
    headers, handled = fields.pop("headers"), fields.pop("handled")
    console = output()
    for name, value in fields.items():
        console.print(f"{name.replace('_', ' '):<14}{_shown(value)}")
    for name, value in headers.items():
        console.print(f"{'header':<14}{name}: {value}")
    for each in handled:
        note = f": {each['note']}" if each["note"] else ""
        console.print(f"{each['action']:<14}{each['time']} by {each['by']}{note}")


def size_text(size_bytes: int) -> str:
    """Return a size for people, for example `3.2 MiB`."""
    size, unit = float(size_bytes), 0
    while size >= _KIB and unit < len(_UNITS) - 1:
        size, unit = size / _KIB, unit + 1
    return counted(size_bytes, "byte") if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def _cells(letter: Letter, *, states: bool) -> Sequence[str]:
    record = letter.record
    size = "–" if "value" in record.absent else str(record.size_bytes)
    time = record.own.time[:_TIME].replace("T", " ")
    cells = (record.own.reason.value, str(record.origin), time, str(record.attempt), size, record.event_id or "–")
    return (*cells, *((letter.state.value,) if states else ()), record.own.detail)


def _line(columns: Sequence[tuple[str, int]], cells: Sequence[str]) -> str:
    return "  ".join(cell.ljust(width) for cell, (_, width) in zip(cells, columns, strict=True)).rstrip()


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None or value == "" else str(value)
