"""A policy that is fine, and attacks by folders that have something else in it or beside it."""

from collections.abc import Callable
from pathlib import Path

from pipeline.policies.load import load_policy_set
from tests.attack.children import Attack
from tests.attack.layouts import Layout, lay

GOOD = """\
id: weapons.firearms
title: Firearms
prompts: [a revolver, a handgun]
contrast: [a stapler]
threshold: 2.5
severity: medium
action: review
owner: safety
mode: enforce
"""


def folder_attack(name: str, layout: Layout, *, refused: bool | None = True) -> Attack:
    """Return an attack on whoever loads a folder of policies."""

    def make(folder: Path) -> Callable[[], object]:
        lay(folder, layout)
        return lambda: load_policy_set(folder)

    return Attack(name, make, refused)


def text_attack(name: str, text: str | bytes, *, refused: bool | None = True) -> Attack:
    """Return an attack by a folder with one file."""
    return folder_attack(name, {"x.yaml": text}, refused=refused)


def with_key(key: str, value: str) -> str:
    """Return the good policy with another value of a key, or with one more key, at its end."""
    lines = [line for line in GOOD.splitlines() if not line.startswith(f"{key}:")]
    return "\n".join([*lines, f"{key}: {value}"]) + "\n"


def words(count: int) -> list[str]:
    """Return so many different words."""
    return [f"w{n}" for n in range(count)]
