"""Caption tables: names of categories, groups of categories, and the templates around both."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.models.text_tables import read_table, texts_by_key, texts_of

BUNDLED_TABLE = Path(__file__).parent / "tables" / "caltech101.yaml"
# Other words for the categories, used for figures only.
BUNDLED_PARAPHRASES = BUNDLED_TABLE.with_name("caltech101-paraphrases.yaml")
_PARTS = ("categories", "groups", "templates")


@dataclass(frozen=True)
class Captions:
    """The caption table of a labelled set. `categories` fixes the order of every class axis in training."""

    categories: tuple[str, ...]
    names: dict[str, tuple[str, ...]]
    groups: dict[str, frozenset[str]]
    templates: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> Self:
        """
        Read a caption table.

        Raises `UsageError` when the file is missing or lacks a part, when two categories share a name, and when a group
        has a member that is no category.
        """
        if not path.exists():
            raise UsageError(f"`{path}`: not found; a caption table has categories, groups and templates")
        table = read_table(path)
        if missing := sorted(set(_PARTS) - table.keys()):
            raise UsageError(f"`{path}` has no {', '.join(missing)}; `groups: {{}}` is none")
        names = texts_by_key(path, table["categories"])
        groups = {group: frozenset(members) for group, members in texts_by_key(path, table["groups"]).items()}
        _require_one_owner(path, names)
        if unknown := set().union(*groups.values()) - names.keys():
            raise UsageError(f"{path}: groups name unknown categories {sorted(unknown)}")
        return cls(tuple(sorted(names)), names, groups, texts_of(path, "templates", table["templates"]))

    def membership(self) -> NDArray[np.float32]:
        """Return the membership of categories in groups, float32 [categories, groups], 0 or 1."""
        return np.array(
            [[float(category in members) for members in self.groups.values()] for category in self.categories],
            dtype=np.float32,
        )

    def draw_categories(self, rng: random.Random) -> list[str]:
        """Draw one caption for each category, in the order of `categories`."""
        return [self._phrase(rng, rng.choice(self.names[category])) for category in self.categories]

    def draw_groups(self, rng: random.Random) -> list[str]:
        """Draw one caption for each group, in the order of `groups`."""
        return [self._phrase(rng, group) for group in self.groups]

    def plain(self, category: str) -> list[str]:
        """Return the plain name of a category in every template, the prompts of the zero-shot figures."""
        return [with_article(template.format(self.names[category][0])) for template in self.templates]

    def every(self) -> list[str]:
        """Return every name and group in every template, to fit a tokenizer on."""
        phrases = [name for names in self.names.values() for name in names] + list(self.groups)
        return [with_article(template.format(phrase)) for phrase in phrases for template in self.templates]

    def _phrase(self, rng: random.Random, name: str) -> str:
        return with_article(rng.choice(self.templates).format(name))


def _require_one_owner(path: Path, names: dict[str, tuple[str, ...]]) -> None:
    owners: dict[str, str] = {}
    for category, values in names.items():
        for name in values:
            if owners.setdefault(name, category) != category:
                raise UsageError(f"{path}: `{name}` names both `{owners[name]}` and `{category}`; keep one")


def with_article(text: str) -> str:
    """Replace the article `a` by `an` before a vowel."""
    words = text.split(" ")
    for i, word in enumerate(words[:-1]):
        if word == "a" and words[i + 1][:1] in "aeio":
            words[i] = "an"
    return " ".join(words)
