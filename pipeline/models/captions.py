"""What a photograph of a category may be called: names, groups of categories, and the templates around both."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from pipeline.errors import UsageError

BUNDLED_TABLE = Path(__file__).parent / "tables" / "caltech101.yaml"
# What people might write instead, by category: for figures only.
BUNDLED_PARAPHRASES = BUNDLED_TABLE.with_name("caltech101-paraphrases.yaml")


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

        Raises `UsageError` when it is missing or lacks a part, when a name stands under two categories, and when a
        group names one that is not there.
        """
        if not path.exists():
            raise UsageError(f"`{path}`: not found; a caption table has categories, groups and templates")
        table = YAML(typ="safe").load(path) or {}
        if missing := {"categories", "groups", "templates"} - table.keys():
            raise UsageError(f"`{path}` has no {', '.join(sorted(missing))}; `groups: {{}}` is none")
        names = {category: tuple(values) for category, values in table["categories"].items()}
        owners: dict[str, str] = {}
        for category, values in names.items():
            for name in values:
                if owners.setdefault(name, category) != category:
                    raise UsageError(f"{path}: `{name}` names both `{owners[name]}` and `{category}`; keep one")
        groups = {group: frozenset(members) for group, members in table["groups"].items()}
        unknown = {member for members in groups.values() for member in members} - names.keys()
        if unknown:
            raise UsageError(f"{path}: groups name unknown categories {sorted(unknown)}")
        return cls(tuple(sorted(names)), names, groups, tuple(table["templates"]))

    def membership(self) -> NDArray[np.float32]:
        """Return which groups a category belongs to, float32 [categories, groups], 0 or 1."""
        return np.array(
            [[float(category in members) for members in self.groups.values()] for category in self.categories],
            dtype=np.float32,
        )

    def draw_categories(self, rng: random.Random) -> list[str]:
        """Return one caption a category, in the order of `categories`."""
        return [self._phrase(rng, rng.choice(self.names[category])) for category in self.categories]

    def draw_groups(self, rng: random.Random) -> list[str]:
        """Return one caption a group, in the order of `groups`."""
        return [self._phrase(rng, group) for group in self.groups]

    def plain(self, category: str) -> list[str]:
        """Return the category's plain name in every template: the prompts of the zero-shot figures."""
        return [with_article(template.format(self.names[category][0])) for template in self.templates]

    def every(self) -> list[str]:
        """Return every caption there is, to fit a tokenizer on."""
        phrases = [name for names in self.names.values() for name in names] + list(self.groups)
        return [with_article(template.format(phrase)) for phrase in phrases for template in self.templates]

    def _phrase(self, rng: random.Random, name: str) -> str:
        return with_article(rng.choice(self.templates).format(name))


def with_article(text: str) -> str:
    """Write `an` before a vowel, as people do."""
    words = text.split(" ")
    for i, word in enumerate(words[:-1]):
        if word == "a" and words[i + 1][:1] in "aeio":
            words[i] = "an"
    return " ".join(words)
