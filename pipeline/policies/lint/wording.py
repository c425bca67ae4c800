"""Rules that need nothing but the words of a policy."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.events.policies import ScoreKind
from pipeline.policies.folder import ParsedPolicy
from pipeline.policies.lint.findings import Finding, finding, texts_of
from pipeline.policies.lint_rules import Rule

_NEGATION = re.compile(
    r"\b(?:not|without|never|neither|nor|none|nothing|nobody|except|other than|rather than|instead of|free of|lack of"
    r"|lacking|absence of|no(?!\.|\s*\d)|\w+n['’]t)\b",
    re.IGNORECASE,
)
# A list entry of YAML in the middle of a phrase.
_JOINED = re.compile(r"\S - (?=\S)")


@dataclass(frozen=True, slots=True)
class PeopleWords:
    """Words for people and identities, and words that say nothing either way."""

    people: frozenset[str]
    empty: frozenset[str]

    @classmethod
    def load(cls) -> "PeopleWords":
        """Read the table beside this file."""
        table = YAML(typ="safe").load(Path(__file__).with_name("people.yaml"))
        words = {kind: frozenset(text.split()) for kind, text in table.items()}
        return cls(words["people"] | words["identities"], words["empty"])

    def alone_in(self, text: str) -> bool:
        """Tell whether a text names people or identities and nothing else."""
        words = set(re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", text.lower())) - self.empty
        return bool(words) and words <= self.people


def check_words(written: ParsedPolicy, people: PeopleWords, today: date) -> Iterator[Finding]:
    """Check the words of a policy, and its last day."""
    for place, text in texts_of(written):
        if found := _NEGATION.search(text):
            yield finding(Rule.NEGATION, written, place, f"`{found.group()}` in `{text}` is not understood")
        if _JOINED.search(text):
            yield finding(Rule.JOINED_PHRASES, written, place, f"` - ` in `{text}`, did you mean two phrases?")
        if "prompts" in place and people.alone_in(text):
            yield finding(Rule.IDENTITY_TARGET, written, place, f"`{text}` looks for people and says nothing else")
    file = written.file
    if file.score is ScoreKind.CONTRAST and not file.contrast:
        yield finding(Rule.NO_CONTRAST, written, ("prompts",), "nothing is listed under `contrast`", key=True)
    if file.expires is not None and today > file.expires:
        yield finding(Rule.EXPIRED, written, ("expires",), f"its last day was {file.expires}")
