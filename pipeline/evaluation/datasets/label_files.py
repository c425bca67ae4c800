"""Tables of labels as CSV or JSON Lines, read row by row; errors name the line."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.bounded import brief, read_regular, why
from pipeline.errors import UsageError
from pipeline.visible import one_line

MOST_BYTES = 256 << 20
LONGEST_FIELD = 131_072
MOST_COLUMNS = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """One row, and the number of its first line."""

    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Csv:
    """A CSV table: its columns, and its rows, which have a text for each column."""

    columns: tuple[str, ...]
    rows: Iterator[Row]


def mistake(path: Path, line: int, message: str, column: int = 1) -> UsageError:
    """Return an error at a line of a table."""
    return UsageError(f"{one_line(path)}:{line}:{column}: {message}")


def read_csv(path: Path) -> Csv:
    """Read a table whose first line names its columns. Raises `UsageError` with the line, also while rows are read."""
    lines = _lines(path)
    reader = csv.reader(lines, strict=True)
    columns = tuple(_next(path, reader) or ())
    if len(columns) > MOST_COLUMNS or len(set(columns)) < len(columns):
        raise mistake(path, 1, f"columns of different names, at most {MOST_COLUMNS:,}, are expected")
    return Csv(columns, _csv_rows(path, reader, columns))


def read_json_lines(path: Path) -> Iterator[Row]:
    """Yield the objects of a file, one for each line that is not empty. Raises `UsageError` with the line."""
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            yield Row(number, _object(path, number, line))


def file_named(path: Path, line: int, name: Any) -> Path:
    """Return the path of the regular file that a row names. Raises as `path_named` does, and for a missing file."""
    found = path_named(path, line, name)
    try:
        is_there = found.is_file()
    except OSError as error:
        raise mistake(path, line, f"`{brief(name)}` is not a file: {why(error)}") from error
    if not is_there:
        raise mistake(path, line, f"`{brief(name)}` does not exist")
    return found


def path_named(path: Path, line: int, name: Any) -> Path:
    """
    Return the path of the file that a row names, relative to the table's folder.

    Raises `UsageError` for a value that is not a name, and for a relative path that leads out of the folder.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise mistake(path, line, "the name of a file is expected")
    if ".." in PurePosixPath(name).parts:
        raise mistake(path, line, f"`{brief(name)}` leads out of the table's folder; write the absolute path")
    return path.parent / name


def _lines(path: Path) -> list[str]:
    """Return the lines of a table with their ends. `splitlines` would also split within values."""
    try:
        data = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise UsageError(f"`{one_line(path)}`: cannot be read: {why(error)}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise mistake(path, line, f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8") from error
    if "\0" in text:
        raise mistake(path, text.count("\n", 0, text.index("\0")) + 1, "a zero byte: this is not a table of labels")
    return text.splitlines(keepends=True) if _plain_ends(text) else [f"{line}\n" for line in text.split("\n")]


def _plain_ends(text: str) -> bool:
    return not any(end in text for end in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")


def _csv_rows(path: Path, reader: Any, columns: tuple[str, ...]) -> Iterator[Row]:
    line = reader.line_num + 1
    while (values := _next(path, reader)) is not None:
        if values:
            if len(values) > len(columns):
                raise mistake(path, line, f"{len(values)} values for {len(columns)} columns; quote values with commas")
            yield Row(line, dict(zip(columns, [*values, *[""] * (len(columns) - len(values))], strict=True)))
        line = reader.line_num + 1


def _next(path: Path, reader: Any) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        message = str(error)
        if "field limit" in message:
            message = f"a value of more than {LONGEST_FIELD:,} characters, or a quote that is not closed"
        raise mistake(path, max(1, reader.line_num), f"not CSV: {brief(message)}") from error


def _object(path: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise mistake(path, number, f"not JSON: {error.msg}", error.colno) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, half a character, deep nesting
        raise mistake(path, number, f"not JSON that can be read: {brief(error)}") from error
    if not isinstance(row, dict):
        raise mistake(path, number, "expected an object with `image` and `policies`")
    return row
