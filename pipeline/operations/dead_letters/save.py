"""Dead letters saved to a folder: the original bytes of each record, and a manifest that says which file is which."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.bounded import why
from pipeline.errors import UsageError
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.operations.dead_letters.fields import letter_fields
from pipeline.operations.dead_letters.letters import Letter, LetterSummary, read_letters
from pipeline.operations.dead_letters.selection import LetterSelection
from pipeline.operations.workbench import Workbench
from pipeline.private import OWNER_ONLY
from pipeline.visible import json_text

COMMAND = "dead-letters save"
MANIFEST = "letters.jsonl"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_NAME_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class SavedLetters:
    """Number of `letters` in the manifest, and number and size of the files beside it."""

    letters: int
    files: int
    size_bytes: int


def save_letters(workbench: Workbench, selection: LetterSelection, folder: Path) -> SavedLetters:
    """
    Write the values of the selected letters to a new or empty folder, for its owner alone, with a manifest.

    No policy has judged these bytes, so they may be anything: the access is recorded first, and nothing is written
    where it cannot be. Raises `UsageError` when the folder has files or cannot be written, and the errors of
    `read_letters`.
    """
    _require_empty(folder)
    with workbench.progress.working("reading dead letters"):
        planned = [LetterSummary.of(letter) for letter in read_letters(workbench, selection)]
    workbench.access.note_letters([str(each.id.origin) for each in planned], COMMAND)
    chosen = {each.place for each in planned}
    letters = (each for each in read_letters(workbench, selection) if each.place in chosen)
    try:
        return _write(folder, workbench.progress.track(letters, "saving", len(planned)))
    except OSError as error:
        raise UsageError(f"`{folder}`: the letters cannot be written: {why(error)}") from error


def _require_empty(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        has_files = any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"`{folder}`: {why(error)}") from error
    if has_files:
        raise UsageError(f"`{folder}` is not empty; name a new folder")


def _write(folder: Path, letters: Iterable[Letter]) -> SavedLetters:
    count, files, size = 0, 0, 0
    with os.fdopen(_created(folder / MANIFEST), "w", encoding="utf-8") as manifest:
        for count, letter in enumerate(letters, 1):
            name = file_name(count, letter.record) if "value" not in letter.record.absent else None
            if name is not None:
                with os.fdopen(_created(folder / name), "wb") as file:
                    file.write(letter.record.value)
                files, size = files + 1, size + len(letter.record.value)
            manifest.write(f"{json_text({'file': name, **letter_fields(letter)})}\n")
    return SavedLetters(count, files, size)


def file_name(number: int, record: DeadLetterRecord) -> str:
    """Return the name of a letter's file: its number and its position, in characters that every file system has."""
    origin = record.origin
    topic = _UNSAFE.sub("_", origin.topic)[:_NAME_CHARACTERS]
    return f"{number:06d}-{topic}-{origin.partition}-{origin.offset}.bin"


def _created(path: Path) -> int:
    """Create a file that did not exist, for its owner alone. Raises `OSError`."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
