"""What a policy's file says in full: with what it extends, and with the shared lists it uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipeline.bounded import brief
from pipeline.policies.diagnostics import closest_match
from pipeline.policies.document import Document, Place
from pipeline.policies.reports import Reports
from pipeline.policies.tree import Entries, Keys, size_of

# A file whose name starts so is no policy: it may be incomplete, and others extend it.
PARTIAL = "_"
MOST_EXTENDED = 20
# Of all policies of a folder, with what each extends and uses.
MOST_VALUES = 200_000
MOST_LISTED = 10_000
# A condition takes several times as long to read as a text.
_CONDITION_WEIGHT = 3
# What a policy does not take over from one it extends.
_OWN = frozenset({"id", "extends", "children", "examples"})
# The lists that may use shared ones, and what is shared for them.
_SHARED = {"prompts": "phrases", "contrast": "phrases", "templates": "templates"}


@dataclass
class Resolved:
    """
    The content of a policy in full, and the place every part of it was written at.

    `places` maps a place of `content` to a document and a place there; what is inside it, is inside it there too.
    """

    document: Document
    content: dict[str, Any] = field(default_factory=dict)
    places: dict[Place, tuple[Document, Place]] = field(default_factory=dict)

    def written_at(self, place: Place) -> tuple[Document, Place]:
        """Return the document that a place of the content was written in, and the place there."""
        for length in range(len(place), 0, -1):
            if found := self.places.get(place[:length]):
                document, there = found
                return document, (*there, *place[length:])
        return self.document, place

    def report(self, place: Place, message: str, *, key: bool = False) -> str:
        """Return a message about a place of the content, shown where it was written."""
        document, there = self.written_at(place)
        return document.report(there, message, key=key)


class _TooMuch(Exception):
    """The folder says more than a set may hold."""


class Resolver:
    """
    Resolves the documents of one folder.

    `known` are those that may be extended, by policy id or, for partial ones, by the name of their file.
    """

    def __init__(self, known: Mapping[str, Document], shared: Document | None, reports: Reports) -> None:
        self._known, self._shared, self._reports = known, shared, reports
        self._values = 0

    def resolve(self, document: Document) -> Resolved | None:
        """Return the document's content in full, or report why there is none and return None."""
        chain = self._chain(document)
        if chain is None:
            return None
        try:
            return self._resolved(document, chain)
        except _TooMuch:
            message = f"with this file the folder's policies hold more than {MOST_VALUES:,} values; make several sets"
            self._reports.add(document.path, "too much", partial(document.report, (), message))
            return None

    def _resolved(self, document: Document, chain: list[Document]) -> Resolved | None:
        resolved, whole = Resolved(document), True
        written: dict[str, tuple[Document, Any]] = {}
        for each in reversed(chain):
            own = each is document
            for key, value in each.content.items():
                if (own or key not in _OWN) and key != "extends":
                    self._count(1)
                    written[key] = each, value
        for key, (each, value) in written.items():
            whole &= self._take(resolved, each, key, value)
        return resolved if whole else None

    def _chain(self, document: Document) -> list[Document] | None:
        """Return the document, what it extends, what that extends, and so on."""
        chain = [document]
        while (name := chain[-1].content.get("extends")) is not None:
            last, base = chain[-1], self._known.get(name) if isinstance(name, str) else None
            if base is None:
                self._reports.add(last.path, "extends", partial(self._unknown, last, name))
                return None
            if base in chain or len(chain) > MOST_EXTENDED:
                wrong = "extends this policy itself" if base in chain else f"is more than {MOST_EXTENDED} steps away"
                self._reports.add(last.path, "extends", partial(last.report, ("extends",), f"`{brief(name)}` {wrong}"))
                return None
            chain.append(base)
        return chain

    def _unknown(self, document: Document, name: Any) -> str:
        near = closest_match(name, self._known) if isinstance(name, str) else None
        hint = f", did you mean `{near}`?" if near else "; name a policy's id, or a file such as `_base`"
        told = brief(name, 60) if isinstance(name, str) else "that"
        return document.report(("extends",), f"nothing here is called `{told}`{hint}")

    def _take(self, resolved: Resolved, document: Document, key: str, value: Any) -> bool:
        """Put one key's value into the content, with what it uses; returns whether all of that is there."""
        resolved.places[key,] = (document, (key,))
        if key == "children" and isinstance(value, Entries):
            children = [self._child(resolved, document, i, child) for i, child in enumerate(value)]
            resolved.content[key] = [content for content, _ in children]
            return all(whole for _, whole in children)
        resolved.content[key], whole = self._used(resolved, document, (key,), value)
        return whole

    def _child(self, resolved: Resolved, document: Document, number: int, child: Any) -> tuple[Any, bool]:
        if not isinstance(child, Keys):
            return child, True
        content, complete = {}, True
        for key, value in child.items():
            content[key], whole = self._used(resolved, document, ("children", number, key), value)
            complete &= whole
        return content, complete

    def _used(self, resolved: Resolved, document: Document, place: Place, value: Any) -> tuple[Any, bool]:
        """Return a value with every `{ use: NAME }` in it replaced by the shared list of that name."""
        self._count(size_of(value) * (_CONDITION_WEIGHT if place[-1] == "scope" else 1))
        kind = _SHARED.get(str(place[-1]))
        entries = value if isinstance(value, Entries) else [value]
        if kind is None or not any(map(_uses, entries)):
            return value, True
        found: list[Any] = []
        whole = True
        for number, entry in enumerate(entries):
            there = (*place, number) if entries is value else place
            if not _uses(entry):
                resolved.places[(*place, len(found))] = (document, there)
                found.append(entry)
                continue
            shared = self._list(document, there, kind, entry["use"])
            if shared is None or len(found) + len(shared) > MOST_LISTED:
                whole = False
                if shared is not None:
                    message = f"more than {MOST_LISTED:,} entries with what is used"
                    self._reports.add(document.path, (place, "long"), partial(document.report, there, message))
                continue
            self._take_shared(resolved, place, found, (kind, entry["use"]), shared)
        return found, whole

    def _take_shared(
        self, resolved: Resolved, place: Place, found: list[Any], source: tuple[str, str], texts: list[Any]
    ) -> None:
        assert self._shared is not None
        self._count(len(texts))
        for number, text in enumerate(texts):
            resolved.places[(*place, len(found))] = (self._shared, (*source, number))
            found.append(text)

    def _list(self, document: Document, place: Place, kind: str, name: Any) -> list[Any] | None:
        """Return a shared list, or report that there is none of the name and return None."""
        lists = self._shared.content.get(kind) if self._shared else None
        found = lists.get(name) if isinstance(lists, Mapping) and isinstance(name, str) else None
        if isinstance(found, list):
            return found
        self._reports.add(document.path, (place, "use"), partial(_no_list, document, place, kind, name, lists))
        return None

    def _count(self, values: int) -> None:
        """Count what is about to be put into a policy, before it is."""
        self._values += values
        if self._values > MOST_VALUES:
            raise _TooMuch


def _no_list(document: Document, place: Place, kind: str, name: Any, lists: Any) -> str:
    if not isinstance(name, str):
        return document.report((*place, "use"), "`use` names one shared list")
    near = closest_match(name, lists) if isinstance(lists, Mapping) else None
    hint = f", did you mean `{near}`?" if near else "; write it under that key of `shared.yaml`"
    return document.report((*place, "use"), f"no shared {kind} are called `{brief(name, 60)}`{hint}")


def _uses(entry: Any) -> bool:
    return isinstance(entry, Mapping) and set(entry) == {"use"}
