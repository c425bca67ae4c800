"""Resolution of policy files: their full content, with inherited keys and shared lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipeline.bounded import brief
from pipeline.policies.diagnostics import Diagnostics, NodePath
from pipeline.policies.document import Document
from pipeline.policies.source import closest_match
from pipeline.policies.tree import Entries, Keys, size_of

# A file whose name starts with this is not a policy. It may be incomplete, and policies can extend it.
PARTIAL = "_"
MOST_EXTENDED = 20
# In all policies of a folder, including inherited content and shared lists.
MOST_VALUES = 200_000
MOST_LISTED = 10_000
# Reading a condition takes several times as long as reading a text.
_CONDITION_WEIGHT = 3
# Keys that a policy does not inherit.
_OWN = frozenset({"id", "extends", "children", "examples"})
# The lists that may use shared lists, and the key of `shared.yaml` for each.
_SHARED = {"prompts": "phrases", "contrast": "phrases", "templates": "templates"}


@dataclass
class Resolved:
    """
    The full content of a policy, with the origin of every node: the document and path where it was written.

    `origins` maps a path in `content` to a document and a path in it. A nested node has the same relative path there.
    """

    document: Document
    content: dict[str, Any] = field(default_factory=dict)
    origins: dict[NodePath, tuple[Document, NodePath]] = field(default_factory=dict)

    def written_at(self, node_path: NodePath) -> tuple[Document, NodePath]:
        """Return the document in which a node of the content was written, and its path there."""
        for length in range(len(node_path), 0, -1):
            if found := self.origins.get(node_path[:length]):
                document, there = found
                return document, (*there, *node_path[length:])
        return self.document, node_path

    def report(self, node_path: NodePath, message: str, *, key: bool = False) -> str:
        """Return a message about a node of the content, which points at its origin."""
        document, there = self.written_at(node_path)
        return document.report(there, message, key=key)


def resolve_documents(
    documents: Sequence[Document], known: Mapping[str, Document], shared: Document | None, diagnostics: Diagnostics
) -> list[Resolved]:
    """
    Return the full content of the documents that have no errors.

    `known`: the documents that may be extended, by policy id or, for partial documents, by file name.
    """
    resolver = _Resolver(known, shared, diagnostics)
    resolved = (resolver.resolve(document) for document in documents if not diagnostics.full)
    return [each for each in resolved if each is not None]


class _TooMuch(Exception):
    """The folder contains more values than allowed."""


class _Resolver:
    """Resolves the documents of one folder, and counts their values."""

    def __init__(self, known: Mapping[str, Document], shared: Document | None, diagnostics: Diagnostics) -> None:
        self._known, self._shared, self._diagnostics = known, shared, diagnostics
        self._values = 0

    def resolve(self, document: Document) -> Resolved | None:
        """Return the document's full content, or add its errors and return None."""
        chain = self._chain(document)
        if chain is None:
            return None
        try:
            return self._resolved(document, chain)
        except _TooMuch:
            message = f"with this file the folder has more than {MOST_VALUES:,} values; split it into several sets"
            self._diagnostics.error(document, (), message, kind="too much")
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
        """Return the document, the document it extends, and so on."""
        chain = [document]
        while (name := chain[-1].content.get("extends")) is not None:
            last, base = chain[-1], self._known.get(name) if isinstance(name, str) else None
            if base is None:
                self._diagnostics.error(last, ("extends",), partial(self._unknown, name), kind="extends")
                return None
            if base in chain or len(chain) > MOST_EXTENDED:
                wrong = "extends this policy itself" if base in chain else f"is more than {MOST_EXTENDED} steps away"
                self._diagnostics.error(last, ("extends",), f"`{brief(name)}` {wrong}", kind="extends")
                return None
            chain.append(base)
        return chain

    def _unknown(self, name: Any) -> str:
        near = closest_match(name, self._known) if isinstance(name, str) else None
        hint = f", did you mean `{near}`?" if near else "; name a policy's id, or a file such as `_base`"
        shown = brief(name, 60) if isinstance(name, str) else "that"
        return f"nothing here is called `{shown}`{hint}"

    def _take(self, resolved: Resolved, document: Document, key: str, value: Any) -> bool:
        """Add the value of a key, with shared lists inserted, to the content; return whether all the lists exist."""
        resolved.origins[key,] = (document, (key,))
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

    def _used(self, resolved: Resolved, document: Document, node_path: NodePath, value: Any) -> tuple[Any, bool]:
        """Return a value in which each `{ use: NAME }` is replaced with the shared list of that name."""
        self._count(size_of(value) * (_CONDITION_WEIGHT if node_path[-1] == "scope" else 1))
        kind = _SHARED.get(str(node_path[-1]))
        entries = value if isinstance(value, Entries) else [value]
        if kind is None or not any(map(_uses, entries)):
            return value, True
        found: list[Any] = []
        whole = True
        for number, entry in enumerate(entries):
            there = (*node_path, number) if entries is value else node_path
            if not _uses(entry):
                resolved.origins[(*node_path, len(found))] = (document, there)
                found.append(entry)
                continue
            shared = self._list(document, there, kind, entry["use"])
            if shared is None or len(found) + len(shared) > MOST_LISTED:
                whole = False
                if shared is not None:
                    message = f"more than {MOST_LISTED:,} entries with what is used"
                    self._diagnostics.error(document, there, message, kind="long")
                continue
            self._take_shared(resolved, node_path, found, (kind, entry["use"]), shared)
        return found, whole

    def _take_shared(
        self, resolved: Resolved, node_path: NodePath, found: list[Any], source: tuple[str, str], texts: list[Any]
    ) -> None:
        assert self._shared is not None
        self._count(len(texts))
        for number, text in enumerate(texts):
            resolved.origins[(*node_path, len(found))] = (self._shared, (*source, number))
            found.append(text)

    def _list(self, document: Document, node_path: NodePath, kind: str, name: Any) -> list[Any] | None:
        """Return a shared list by its name, or add an error and return None."""
        lists = self._shared.content.get(kind) if self._shared else None
        found = lists.get(name) if isinstance(lists, Mapping) and isinstance(name, str) else None
        if isinstance(found, list):
            return found
        self._diagnostics.error(document, (*node_path, "use"), partial(_no_list, kind, name, lists), kind="use")
        return None

    def _count(self, values: int) -> None:
        """Count values before they are added to a policy."""
        self._values += values
        if self._values > MOST_VALUES:
            raise _TooMuch


def _no_list(kind: str, name: Any, lists: Any) -> str:
    if not isinstance(name, str):
        return "`use` names one shared list"
    near = closest_match(name, lists) if isinstance(lists, Mapping) else None
    hint = f", did you mean `{near}`?" if near else "; write it under that key of `shared.yaml`"
    return f"no shared {kind} are called `{brief(name, 60)}`{hint}"


def _uses(entry: Any) -> bool:
    return isinstance(entry, Mapping) and set(entry) == {"use"}
