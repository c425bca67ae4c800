"""What a policy's file says in full: with what it extends, and with the shared lists it uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from pipeline.judge.document import Document, Place
from pipeline.judge.positions import meant

# A file whose name starts so is no policy: it may be incomplete, and others extend it.
PARTIAL = "_"
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


class Resolver:
    """
    Resolves the documents of one folder.

    `known` are those that may be extended, by policy id or, for partial ones, by the name of their file.
    """

    def __init__(self, known: Mapping[str, Document], shared: Document | None, reports: list[str]) -> None:
        self._known, self._shared, self._reports = known, shared, reports

    def resolve(self, document: Document) -> Resolved | None:
        """Return the document's content in full, or report why there is none and return None."""
        chain = self._chain(document)
        if chain is None:
            return None
        resolved, before = Resolved(document), len(self._reports)
        for each in reversed(chain):
            own = each is document
            for key, value in each.content.items():
                if (own or key not in _OWN) and key != "extends":
                    self._take(resolved, each, (str(key),), value)
        return resolved if len(self._reports) == before else None

    def _chain(self, document: Document) -> list[Document] | None:
        """Return the document, what it extends, what that extends, and so on."""
        chain = [document]
        while (name := chain[-1].content.get("extends")) is not None:
            last, base = chain[-1], self._known.get(str(name))
            if base is None:
                near = meant(str(name), self._known)
                hint = f", did you mean `{near}`?" if near else "; name a policy's id, or a file such as `_base`"
                self._reports.append(last.report(("extends",), f"nothing here is called `{name}`{hint}"))
                return None
            if base in chain:
                self._reports.append(last.report(("extends",), f"`{name}` extends this policy itself"))
                return None
            chain.append(base)
        return chain

    def _take(self, resolved: Resolved, document: Document, place: Place, value: Any) -> None:
        """Put one key's value into the content, with what it uses."""
        key = str(place[0])
        for known in [known for known in resolved.places if known[0] == key]:
            del resolved.places[known]
        resolved.places[place] = (document, place)
        if key == "children" and isinstance(value, CommentedSeq):
            resolved.content[key] = [self._child(resolved, document, i, child) for i, child in enumerate(value)]
        else:
            resolved.content[key] = self._used(resolved, document, place, value)

    def _child(self, resolved: Resolved, document: Document, number: int, child: Any) -> Any:
        if not isinstance(child, CommentedMap):
            return child
        return {
            str(key): self._used(resolved, document, ("children", number, str(key)), value)
            for key, value in child.items()
        }

    def _used(self, resolved: Resolved, document: Document, place: Place, value: Any) -> Any:
        """Return a value with every `{ use: NAME }` in it replaced by the shared list of that name."""
        kind = _SHARED.get(str(place[-1]))
        if kind is None:
            return value
        entries = value if isinstance(value, CommentedSeq) else [value] if _uses(value) else None
        if entries is None:
            return value
        found: list[Any] = []
        for number, entry in enumerate(entries):
            there = (*place, number) if entries is value else place
            if not _uses(entry):
                resolved.places[(*place, len(found))] = (document, there)
                found.append(entry)
                continue
            for i, text in enumerate(self._list(document, there, kind, str(entry["use"]))):
                assert self._shared is not None
                resolved.places[(*place, len(found))] = (self._shared, (kind, str(entry["use"]), i))
                found.append(text)
        return found

    def _list(self, document: Document, place: Place, kind: str, name: str) -> list[Any]:
        lists = self._shared.content.get(kind, {}) if self._shared else {}
        found = lists.get(name) if isinstance(lists, Mapping) else None
        if isinstance(found, list):
            return found
        near = meant(name, lists)
        hint = f", did you mean `{near}`?" if near else "; write it under that key of `shared.yaml`"
        self._reports.append(document.report((*place, "use"), f"no shared {kind} are called `{name}`{hint}"))
        return []


def _uses(entry: Any) -> bool:
    return isinstance(entry, Mapping) and set(entry) == {"use"}
