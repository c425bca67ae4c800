"""Scope of a policy: a condition on an image's source and attributes."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pipeline.events.many import Many

SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Scope:
    """
    A condition on an event's source and attributes. Every part must hold; without parts it always holds.

    `values`: each attribute must match one of its patterns, in which `*` matches any text. A missing attribute matches
    none. `every` and `some` are nested conditions: all, or at least one, must hold. `unless` must not hold.
    """

    values: Many[tuple[str, Many[str]]] = ()
    every: Many["Scope"] = ()
    some: Many["Scope"] = ()
    unless: "Scope | None" = None

    def admits(self, source: str, attributes: Mapping[str, str]) -> bool:
        """Tell whether an event is within the scope; `source` is treated as an attribute of that name."""
        return (
            all(_matches(source if name == SOURCE else attributes.get(name), any_of) for name, any_of in self.values)
            and all(inner.admits(source, attributes) for inner in self.every)
            and (not self.some or any(inner.admits(source, attributes) for inner in self.some))
            and not (self.unless is not None and self.unless.admits(source, attributes))
        )


def _matches(value: str | None, patterns: tuple[str, ...]) -> bool:
    return value is not None and any(fnmatchcase(value, pattern) for pattern in patterns)
