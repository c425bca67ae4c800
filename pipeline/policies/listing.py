"""Listing of a policy folder: its policy files, and errors for files whose name is only similar."""

import os
from functools import partial
from pathlib import Path

from pipeline.bounded import brief, why
from pipeline.errors import PolicyError
from pipeline.policies.diagnostics import Diagnostics
from pipeline.visible import one_line

SUFFIX = ".yaml"
MOST_FILES = 10_000
_MOST_ENTRIES = 100_000
# Similar endings, in any case of letters. A file with such a name would never be read.
_ALIKE = (".yml", ".yaml", ".yaml.txt", ".yml.txt")


def list_policy_files(folder: Path, diagnostics: Diagnostics) -> list[Path]:
    """
    Return the `*.yaml` files of a folder, sorted, and add an error for each file with a similar ending.

    Raises `PolicyError` when the folder cannot be listed or holds too many files.
    """
    names = _names(folder)
    found = sorted(name for name in names if name.endswith(SUFFIX))
    if len(found) > MOST_FILES:
        raise PolicyError(f"`{one_line(folder)}`: more than {MOST_FILES:,} policy files; split them into several sets")
    for name in sorted(names):
        if not name.endswith(SUFFIX) and name.lower().endswith(_ALIKE):
            diagnostics.file_error(folder / name, partial(_not_read, folder / name))
    return [folder / name for name in found]


def _names(folder: Path) -> list[str]:
    names = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > _MOST_ENTRIES:
                    raise PolicyError(f"`{one_line(folder)}`: more than {_MOST_ENTRIES:,} files; is it the right one?")
    except OSError as error:
        advice = "give a folder of policy files"
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            begin = "start one with `watchword policies new ID`"
            raise PolicyError(f"`{brief(folder)}`: not a folder; {advice}, or {begin}") from error
        raise PolicyError(f"`{brief(folder)}`: cannot be listed: {why(error)}; {advice}") from error
    except ValueError as error:  # a null byte in the name
        raise PolicyError(f"`{brief(folder)}`: not a folder; give a folder of policy files") from error
    return names


def _not_read(path: Path) -> str:
    suffix = max((each for each in _ALIKE if path.name.lower().endswith(each)), key=len)
    better = brief(path.name[: -len(suffix)] + SUFFIX)
    return f"{one_line(path)}:1:1: ignored, because its name does not end in `{SUFFIX}`; rename it to `{better}`"
