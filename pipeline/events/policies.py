"""The parsed form of policies, and a policy set encoded by one model."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.events.calibration import Calibration
from pipeline.events.many import Many
from pipeline.events.scope import Scope


class Mode(StrEnum):
    """What a policy's yes causes: a flag event, a count only, or nothing at all."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class ScoreKind(StrEnum):
    """How similarities become a score."""

    CONTRAST = "contrast"
    SIMILARITY = "similarity"
    LINEAR = "linear"


class Aggregate(StrEnum):
    """How the logits of several prompts become one."""

    LOG_MEAN_EXP = "log_mean_exp"
    MAX = "max"
    MEAN = "mean"


class Severity(StrEnum):
    """How bad it is, the least first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """The place in the order, from 0."""
        return list(Severity).index(self)


class OnModelChange(StrEnum):
    """What a policy does under another model than its threshold was fitted for."""

    SHADOW = "shadow"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Head:
    """A score of its own on embeddings: their product with `weights`, D of them, plus `bias`; for one model only."""

    weights: Many[float]
    bias: float
    model: str


@dataclass(frozen=True, slots=True)
class Policy:
    """
    One rule. `digest` names its meaning: everything that changes a score, what is flagged, or what a flag says.

    `prompts` and `contrast` are phrases; each is written into every one of `templates` (with `{}` for the phrase); with
    a `head` they explain and do not score.
    `threshold` is the raw score from which the policy says yes; `provisional` marks one that its evidence does not
    yet support; `model` is the digest of the model it was fitted for, None when nobody said; `calibration` what it was
    fitted on, None for a number that somebody wrote. It judges the images in
    `scope` (None: all) until the day `expires` is over, and from then on flags nothing. One with a `parent` says yes
    only where that policy does, and then raises the severity of its flag. Of the images it says no to, about
    `audit_per_day` are drawn to be looked at, None for none. Of what a `restricted` one flags, no picture, sample or
    export is made anywhere.
    """

    id: str
    title: str
    prompts: Many[str]
    contrast: Many[str]
    templates: Many[str]
    score: ScoreKind
    threshold: float
    severity: Severity
    action: str
    owner: str
    mode: Mode
    provisional: bool
    digest: str
    model: str | None = None
    on_model_change: OnModelChange = OnModelChange.SHADOW
    aggregate: Aggregate = Aggregate.LOG_MEAN_EXP
    scope: Scope | None = None
    expires: date | None = None
    labels: Many[tuple[str, str]] = ()
    rationale: str = ""
    parent: str | None = None
    calibration: Calibration | None = None
    audit_per_day: int | None = None
    head: Head | None = None
    restricted: bool = False

    def enforced(self, today: date) -> bool:
        """Tell whether a yes is a flag event on this day, in UTC; a policy with a parent has none of its own."""
        return self.mode is Mode.ENFORCE and self.parent is None and not self.expired(today)

    def expired(self, today: date) -> bool:
        """Tell whether its last day is over."""
        return self.expires is not None and today > self.expires


@dataclass(frozen=True, slots=True)
class Background:
    """The set-wide list of ordinary things and scenes that every `contrast` score is measured against."""

    prompts: Many[str]
    templates: Many[str]


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All policies in force together, in the order of their ids, without those that are `off`."""

    policies: Many[Policy]
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
