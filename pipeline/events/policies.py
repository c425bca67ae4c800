"""The parsed form of policies, and a policy set encoded by one model."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Mode(StrEnum):
    """What a policy's yes causes: a flag event, a count only, or nothing at all."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class ScoreKind(StrEnum):
    """How similarities become a score."""

    CONTRAST = "contrast"
    SIMILARITY = "similarity"


class OnModelChange(StrEnum):
    """What a policy does under another model than its threshold was fitted for."""

    SHADOW = "shadow"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Policy:
    """
    One rule. `digest` names its meaning: everything that changes a score or what a flag says.

    `prompts` and `contrast` are phrases; each is written into every one of `templates` (with `{}` for the phrase).
    `threshold` is the raw score from which the policy says yes; `provisional` marks one that its evidence does not
    yet support; `model` is the digest of the model it was fitted for, None when nobody said.
    """

    id: str
    title: str
    prompts: tuple[str, ...]
    contrast: tuple[str, ...]
    templates: tuple[str, ...]
    score: ScoreKind
    threshold: float
    severity: str
    action: str
    owner: str
    mode: Mode
    provisional: bool
    digest: str
    model: str | None = None
    on_model_change: OnModelChange = OnModelChange.SHADOW


@dataclass(frozen=True, slots=True)
class Background:
    """The set-wide list of ordinary things and scenes that every `contrast` score is measured against."""

    prompts: tuple[str, ...]
    templates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All policies in force together, in the order of their ids, without those that are `off`."""

    policies: tuple[Policy, ...]
    background: Background
    digest: str


@dataclass(frozen=True, slots=True)
class PromptBank:
    """
    A policy set encoded by one model's text tower.

    `vectors`: float32 [K, D], unit length, one row a prompt: the background's rows first, then each policy's prompts,
    then its contrast. `prompt_rows[p]` and `contrast_rows[p]` are the (start, stop) of policy p.
    """

    policy_set: PolicySet
    model_digest: str
    logit_scale: float
    vectors: NDArray[np.float32]
    background_rows: tuple[int, int]
    prompt_rows: tuple[tuple[int, int], ...]
    contrast_rows: tuple[tuple[int, int], ...]
