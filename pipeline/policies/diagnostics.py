"""Diagnostics of a policy folder: a collector of its errors, which shows only as many as a person can read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.errors import PolicyError
from pipeline.visible import one_line

MOST_OF_A_FILE = 20
MOST_SHOWN = 100
# After this many errors, no more are collected.
MOST_COUNTED = 2_000

NodePath = tuple[int | str, ...]


class Document(Protocol):
    """A file that can point at a node of its content."""

    @property
    def path(self) -> Path: ...

    def report(self, node_path: NodePath, message: str, *, key: bool = False) -> str: ...


class Origin(Protocol):
    """Content whose nodes were written in one or more documents."""

    def written_at(self, node_path: NodePath) -> tuple[Document, NodePath]: ...


@dataclass
class Diagnostics:
    """
    The errors of a folder, by file: the first of each file are shown, the others counted.

    An error is identified by its position and kind, so one that several policies inherit is reported once. A message
    that is expensive to make is given as a function, called only when it is shown.
    """

    _shown: dict[Path, list[str]] = field(default_factory=dict)
    _hidden: dict[Path, int] = field(default_factory=dict)
    _known: set[tuple[Path, NodePath, str]] = field(default_factory=set)
    _shown_count: int = 0
    _count: int = 0

    def __bool__(self) -> bool:
        """Whether there is any error."""
        return bool(self._shown)

    @property
    def full(self) -> bool:
        """Whether the limit of errors is reached, after which no more are collected."""
        return self._count >= MOST_COUNTED

    def error(
        self,
        origin: Origin,
        node_path: NodePath,
        message: str | Callable[[], str],
        *,
        kind: str = "",
        key: bool = False,
    ) -> None:
        """Add an error about a node of the content, shown where it was written; with `key`, about the key itself."""
        document, there = origin.written_at(node_path)

        def shown() -> str:
            return document.report(there, message if isinstance(message, str) else message(), key=key)

        self._add(document.path, there, kind, shown)

    def file_error(self, path: Path, message: Callable[[], str], *, kind: str = "", at: NodePath = ()) -> None:
        """Add an error about a file that is no document, with its whole message."""
        self._add(path, at, kind, message)

    def raise_any(self) -> None:
        """Raise `PolicyError` with every error that is shown, if there is any."""
        if self:
            raise self.summary()

    def summary(self) -> PolicyError:
        """Return the errors as one, file by file."""
        lines = []
        unshown = 0
        for path, shown in self._shown.items():
            if shown:
                lines += shown
                if hidden := self._hidden.get(path):
                    lines.append(f"{one_line(path)}: … and {hidden} more")
            else:
                unshown += 1
        lines += [f"… and {unshown} more files with mistakes"] * bool(unshown)
        lines += ["too many mistakes to show all; fix these first"] * self.full
        return PolicyError("\n\n".join(lines))

    def _add(self, path: Path, node_path: NodePath, kind: str, message: Callable[[], str]) -> None:
        self._count += 1
        if (path, node_path, kind) in self._known or self.full:
            return
        self._known.add((path, node_path, kind))
        shown = self._shown.setdefault(path, [])
        if len(shown) < MOST_OF_A_FILE and self._shown_count < MOST_SHOWN:
            self._shown_count += 1
            shown.append(message())
        else:
            self._hidden[path] = self._hidden.get(path, 0) + 1
