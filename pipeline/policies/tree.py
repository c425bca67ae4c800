"""YAML parser: values with their positions. Limits are checked before values are created; tags are refused."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml  # type: ignore[import-untyped]

from pipeline.policies.scalars import plain_value
from pipeline.policies.source import Position

MOST_VALUES = 50_000
MOST_KEYS = 1_000
DEEPEST = 32

# The loader written in C, if it is installed: it is fifty times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_NO_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG_DIRECTIVE = re.compile("^%TAG", re.MULTILINE)
_STRING_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_COLLECTION_TAGS = frozenset({"!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_MERGE = "<<"
# Keys of lists in which a text never continues on the next line on purpose.
_LISTED = frozenset({"scope", "prompts", "contrast", "templates", "phrases"})


class Keys(dict[str, Any]):
    """A mapping. `positions`: of each key and of its value; `size`: number of values, with aliases counted in full."""

    def __init__(self) -> None:
        super().__init__()
        self.positions: dict[str, tuple[Position, Position]] = {}
        self.size = 1


class Entries(list[Any]):
    """A list. `positions`: of each entry; `size`: number of values, with aliases counted in full."""

    def __init__(self) -> None:
        super().__init__()
        self.positions: list[Position] = []
        self.size = 1


def size_of(value: Any) -> int:
    """Return the number of values in a tree, itself included."""
    return value.size if isinstance(value, Keys | Entries) else 1


class NotYaml(Exception):
    """A text that is not valid YAML, exceeds a limit, or uses a YAML feature that policy files must not use."""

    def __init__(self, position: Position, message: str) -> None:
        super().__init__(message)
        self.position, self.message = position, message


@dataclass(frozen=True, slots=True)
class Tree:
    """The parsed content, None for an empty text, and mistakes that do not prevent parsing."""

    root: Any
    mistakes: tuple[tuple[Position, str], ...]


def parse_tree(text: str, most_keys: int = MOST_KEYS) -> Tree:
    """Read a YAML document. Raises `NotYaml`."""
    if found := _NO_YAML.search(text):
        code = ord(found[0])
        raise NotYaml(_position_at(text, found.start()), f"a character that YAML does not admit, U+{code:04X}")
    if found := _TAG_DIRECTIVE.search(text):
        raise NotYaml(_position_at(text, found.start()), "`%TAG` is not allowed in a policy file")
    builder = _Builder(_BREAK.split(text), most_keys)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
        raise NotYaml(position, _problem(error)) from error
    except yaml.YAMLError as error:
        raise NotYaml(Position(1, 1), str(error).partition("\n")[0] or "not YAML") from error
    return Tree(builder.root, tuple(builder.mistakes))


@dataclass(slots=True)
class _Open:
    """A collection that is being read. `depth`: of its deepest value; `key`: the key whose value comes next."""

    value: Keys | Entries
    position: Position
    anchor: str | None
    depth: int = 1
    key: tuple[str, Position] | None = None
    merged: list[tuple[Position, Any]] = field(default_factory=list)


class _Builder:
    """Builds values from a parser's events."""

    def __init__(self, lines: list[str], most_keys: int) -> None:
        self.root: Any = None
        self.mistakes: list[tuple[Position, str]] = []
        self._lines = lines
        self._most_keys = most_keys
        self._open: list[_Open] = []
        self._named: dict[str, tuple[Any, int]] = {}
        self._size = self._documents = 0

    def take(self, event: Any) -> None:
        """Process the next event."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise NotYaml(_start(event), "a second document begins here; a file may contain only one")

    def _scalar(self, event: Any) -> None:
        position = Position(event.start_mark.line + 1, event.start_mark.column + 1, max(1, len(event.value)))
        if event.tag is not None and event.tag not in _STRING_TAGS:
            raise NotYaml(position, f"tags are not allowed in a policy file: `{event.tag}`")
        plain = not event.style and event.tag is None
        if plain and event.end_mark.line > event.start_mark.line:
            self._joined(event)
        if self._open and isinstance(self._open[-1].value, Keys) and self._open[-1].key is None:
            self._name(event.anchor, event.value, 1)
            self._key(event.value, position)
            return
        value = plain_value(event.value) if plain else event.value
        self._name(event.anchor, value, 1)
        self._count(1, position)
        self._put(value, position, 1)

    def _begin(self, event: Any) -> None:
        position = _start(event)
        if event.tag is not None and event.tag not in _COLLECTION_TAGS:
            raise NotYaml(position, f"tags are not allowed in a policy file: `{event.tag}`")
        if len(self._open) >= DEEPEST:
            raise NotYaml(position, f"nested deeper than {DEEPEST} levels")
        self._require_key(position)
        self._count(1, position)
        value = Entries() if isinstance(event, yaml.SequenceStartEvent) else Keys()
        if event.anchor is not None:
            self._named.pop(event.anchor, None)
        self._open.append(_Open(value, position, event.anchor))

    def _end(self) -> None:
        done = self._open.pop()
        if isinstance(done.value, Keys):
            for position, source in done.merged:
                _merge(done.value, position, source)
        self._name(done.anchor, done.value, done.depth)
        self._put(done.value, done.position, done.depth)

    def _alias(self, event: Any) -> None:
        position = _start(event)
        if event.anchor not in self._named:
            raise NotYaml(position, f"nothing before this is called `&{event.anchor}`, or this is a part of it")
        value, depth = self._named[event.anchor]
        if len(self._open) + depth > DEEPEST:
            raise NotYaml(position, f"nested deeper than {DEEPEST} levels")
        self._require_key(position)
        self._count(size_of(value), position)
        self._put(value, position, depth)

    def _put(self, value: Any, position: Position, depth: int) -> None:
        if not self._open:
            self.root = value
            return
        target = self._open[-1]
        target.depth = max(target.depth, depth + 1)
        target.value.size += size_of(value)
        if isinstance(target.value, Entries):
            target.value.append(value)
            target.value.positions.append(position)
            return
        assert target.key is not None
        (name, of_key), target.key = target.key, None
        if name == _MERGE:
            target.merged.append((position, value))
        elif name not in target.value:
            target.value[name] = value
            target.value.positions[name] = (of_key, position)

    def _key(self, name: str, position: Position) -> None:
        target = self._open[-1]
        assert isinstance(target.value, Keys)
        if name in target.value:
            first = target.value.positions[name][0].line
            self.mistakes.append((position, f"key `{name[:100]}` is written twice, the first time on line {first}"))
        elif len(target.value) >= self._most_keys:
            raise NotYaml(position, f"more than {self._most_keys:,} keys")
        target.key = (name, position)

    def _name(self, anchor: str | None, value: Any, depth: int) -> None:
        if anchor is not None:
            self._named[anchor] = (value, depth)

    def _count(self, values: int, position: Position) -> None:
        """Count values before they are created."""
        self._size += values
        if self._size > MOST_VALUES:
            raise NotYaml(position, f"more than {MOST_VALUES:,} values, what `*` repeats counted each time")

    def _require_key(self, position: Position) -> None:
        """Refuse a list, a mapping or an alias as a key."""
        if self._open and isinstance(self._open[-1].value, Keys) and self._open[-1].key is None:
            raise NotYaml(position, "a key must be text")

    def _joined(self, event: Any) -> None:
        """Note an unquoted text that YAML joins from several lines, if that is probably not intended."""
        position = next(_continuations(self._lines, event, dashed=True), None)
        listed = bool(self._open) and isinstance(self._open[-1].value, Entries)
        if position is not None:
            advice = "indent its `-` like the one before" if listed else "for one text, put it in quotes"
            message = f"joined to the line before as one text, did you mean two entries? {advice}"
            self.mistakes.append((position, message))
        elif listed or any(each.key is not None and each.key[0] in _LISTED for each in self._open):
            position = next(_continuations(self._lines, event, dashed=False), _start(event))
            message = "joined to the line before as one text, did you mean two entries? for one, put it in quotes"
            self.mistakes.append((position, message))


def _problem(error: Any) -> str:
    problem, begun = str(error.problem or error.context or "not YAML"), error.context_mark
    if error.problem and error.context and begun and begun.line != error.problem_mark.line:
        return f"{problem} {error.context} that begins on line {begun.line + 1}"
    return problem


def _continuations(lines: list[str], event: Any, *, dashed: bool) -> Iterator[Position]:
    """Yield the positions of a text's lines after the first; with `dashed`, only of lines that begin with a dash."""
    for number in range(event.start_mark.line + 1, min(event.end_mark.line + 1, len(lines))):
        text = lines[number].strip(" \t")
        if text and (not dashed or text == "-" or text.startswith(("- ", "-\t"))):
            yield Position(number + 1, len(lines[number]) - len(lines[number].lstrip(" \t")) + 1, len(text))


def _merge(target: Keys, position: Position, source: Any) -> None:
    for each in source if isinstance(source, Entries) else [source]:
        if not isinstance(each, Keys):
            raise NotYaml(position, "`<<` needs keys and values to merge")
        for name, value in each.items():
            if name not in target:
                target[name] = value
                target.positions[name] = each.positions[name]


def _start(event: Any) -> Position:
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)


def _position_at(text: str, at: int) -> Position:
    lines = _BREAK.split(text[:at])
    return Position(len(lines), len(lines[-1]) + 1)
