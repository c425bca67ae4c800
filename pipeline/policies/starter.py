"""Text of a new policy file, with a comment on each key."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.events.policies import Severity

# A value near the thresholds of the shipped policies with the shipped model.
THRESHOLD = 4.0
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,()/._-]*[A-Za-z0-9)]")
# Words that YAML does not read as text.
_NO_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null"})


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """The content of a new policy file."""

    id: str
    prompts: Sequence[str]
    severity: Severity
    action: str
    owner: str

    @property
    def subject(self) -> str:
        """The last part of the id as words."""
        return self.id.rpartition(".")[2].replace("_", " ").strip() or self.id

    @property
    def title(self) -> str:
        """A title made from the id."""
        return self.subject.capitalize()


def starter_text(draft: PolicyDraft) -> str:
    """Return the text of the policy's file."""
    prompts = "\n".join(f"  - {_scalar(prompt)}" for prompt in draft.prompts or [draft.subject])
    return f"""\
id: {_scalar(draft.id)}
title: {_scalar(draft.title)}

# Phrases for what an image must show to be flagged. Several wordings are better than one.
prompts:
{prompts}

# Phrases for harmless look-alikes. They count against the policy, as does the background list that
# `watchword policies background` prints.
# contrast:
#   - a toy

# `contrast` compares the prompts with the contrast and the background. `similarity` uses the prompts alone.
score: contrast

# Raw score at or above which the policy flags. This value is a guess: `watchword policies measure` suggests one from
# labelled images, and `watchword policies calibrate` fits one that labels support.
threshold: {{ value: {THRESHOLD}, provisional: true }}

severity: {draft.severity.value}    # low, medium, high or critical
action: {_scalar(draft.action)}
owner: {_scalar(draft.owner)}

# `shadow`: the policy is scored and counted, but flags nothing. `enforce`: it flags images. `off`: it does nothing.
mode: shadow

# Images, as paths relative to this file, with the answer that the policy must give for each. `watchword policies test`
# checks them.
# examples:
#   - {{ image: examples/yes.jpg, flag: true }}
#   - {{ image: examples/no.jpg, flag: false, why: only a toy }}
"""


def _scalar(text: str) -> str:
    """Return a text as YAML, in quotes if it needs them."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXT:
        return text
    return json.dumps(text, ensure_ascii=False)
