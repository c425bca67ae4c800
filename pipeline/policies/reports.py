"""The mistakes of a policy folder, as many of them as a person reads."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import PolicyError
from pipeline.visible import one_line

MOST_OF_A_FILE = 20
MOST_SHOWN = 100
# After so many nothing more is looked for.
MOST_LOOKED_AT = 2_000


@dataclass
class Reports:
    """
    Collects mistakes by file, the first of each shown and the others counted.

    A mistake is what `key` names: one that several policies inherit is reported once. A message is made only when it is
    shown, since to guess what was meant takes time.
    """

    _shown: dict[Path, list[str]] = field(default_factory=dict)
    _more: dict[Path, int] = field(default_factory=dict)
    _known: set[Hashable] = field(default_factory=set)
    _count: int = 0
    _looked_at: int = 0

    def __bool__(self) -> bool:
        """Whether there is any mistake."""
        return bool(self._shown)

    @property
    def full(self) -> bool:
        """Whether there are so many that no more are looked for."""
        return self._looked_at >= MOST_LOOKED_AT

    def add(self, path: Path, key: Hashable, message: Callable[[], str]) -> None:
        """Add a mistake of a file, unless it is there already."""
        self._looked_at += 1
        if (path, key) in self._known or self.full:
            return
        self._known.add((path, key))
        shown = self._shown.setdefault(path, [])
        if len(shown) < MOST_OF_A_FILE and self._count < MOST_SHOWN:
            self._count += 1
            shown.append(message())
        else:
            self._more[path] = self._more.get(path, 0) + 1

    def error(self) -> PolicyError:
        """Return what shows them."""
        told = []
        hidden = 0
        for path, shown in self._shown.items():
            if shown:
                told += [*shown, *([f"{one_line(path)}: … and {self._more[path]} more"] if path in self._more else [])]
            else:
                hidden += 1
        told += [f"… and {hidden} more files with mistakes"] * bool(hidden)
        told += ["so many mistakes that no more were looked for; mend these first"] * self.full
        return PolicyError("\n\n".join(told))
