"""Findings of `policies lint`, with their positions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.policies.diagnostics import NodePath
from pipeline.policies.folder import ParsedPolicy
from pipeline.policies.lint_rules import RULES, About, Rule
from pipeline.policies.source import Position


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of lint. `shown` is the complete message, in the style of a compiler."""

    rule: Rule
    policy_id: str
    path: Path
    position: Position
    message: str
    shown: str

    @property
    def about(self) -> About:
        """Level, reason and remedy of its rule."""
        return RULES[self.rule]


def finding(rule: Rule, written: ParsedPolicy, place: NodePath, message: str, *, key: bool = False) -> Finding:
    """Return a finding at a node of a policy, shown in the file in which that node was written."""
    document, there = written.resolved.written_at(place)
    about = RULES[rule]
    shown = document.report(there, f"{about.level}: {message} [{rule}]", key=key)
    advice = f"\n      = {about.why}\n      = {about.advice}"
    position = document.position(there, key=key)
    return Finding(rule, written.file.id, document.path, position, message, shown + advice)


def texts_of(written: ParsedPolicy) -> Iterator[tuple[NodePath, str]]:
    """Yield every prompt and contrast phrase of a policy and of its children, with its path in the policy."""
    for prefix, part in (((), written.file), *((("children", i), c) for i, c in enumerate(written.file.children))):
        for key in ("prompts", "contrast"):
            for number, text in enumerate(getattr(part, key)):
                yield (*prefix, key, number), text
