"""Policies and policy sets, and a policy set encoded by one model."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.events.calibration import Calibration
from pipeline.events.many import Many
from pipeline.events.scope import Scope


class Mode(StrEnum):
    """Mode of a policy: it flags images (`enforce`), is only scored and counted (`shadow`), or does nothing (`off`)."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class ScoreKind(StrEnum):
    """Kind of score: prompts against contrast and background, prompts alone, or a linear head."""

    CONTRAST = "contrast"
    SIMILARITY = "similarity"
    LINEAR = "linear"


class Aggregate(StrEnum):
    """Pooling of the logits of several prompts."""

    LOG_MEAN_EXP = "log_mean_exp"
    MAX = "max"
    MEAN = "mean"


class Severity(StrEnum):
    """Severity of a flag, lowest first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """The position in the order, from 0."""
        return list(Severity).index(self)


class OnModelChange(StrEnum):
    """Behaviour of a policy under a model other than the one its threshold was fitted for."""

    SHADOW = "shadow"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Head:
    """A linear score for the embeddings of one model: their product with `weights`, D numbers, plus `bias`."""

    weights: Many[float]
    bias: float
    model: str


@dataclass(frozen=True, slots=True)
class Policy:
    """
    One rule. Its `digest` covers everything that affects scores, flags, or the content of a flag event.

    `prompts` and `contrast` are phrases. Each is inserted into all `templates`, in place of `{}`. With a `head`, they
    only explain a flag and do not affect the score.

    `threshold` is the raw score at or above which the policy says yes. It is `provisional` if evidence does not support
    it yet. `model` is the digest of the model it was fitted for, None if not stated. `calibration` is its evidence,
    None for a threshold that was written by hand.

    The policy judges images within `scope` (None: all). After the day `expires`, it flags nothing. A child, which has a
    `parent`, says yes only if the parent does, and then raises the severity of the parent's flag. About `audit_per_day`
    of the images that the policy does not flag are sampled for review (None: no audit). Images that a `restricted`
    policy flags are never shown, sampled or exported.
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
        """Tell whether a yes on this day (UTC) causes a flag event. A child never causes one by itself."""
        return self.mode is Mode.ENFORCE and self.parent is None and not self.expired(today)

    def expired(self, today: date) -> bool:
        """Tell whether its last day has passed."""
        return self.expires is not None and today > self.expires


@dataclass(frozen=True, slots=True)
class Background:
    """A list of ordinary things and scenes; it counts against every policy with a `contrast` score."""

    prompts: Many[str]
    templates: Many[str]


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All policies that judge together, in the order of their ids, without policies that are `off`."""

    policies: Many[Policy]
    background: Background
    digest: str


@dataclass(frozen=True, slots=True)
class PromptBank:
    """
    A policy set whose prompts were encoded with the text tower of one model.

    `vectors`: float32 [K, D], unit length, one row per prompt: first the background, then the prompts and the contrast
    of each policy. `prompt_rows[p]` and `contrast_rows[p]` are the ranges (start, stop) of the rows of policy p.
    """

    policy_set: PolicySet
    model_digest: str
    logit_scale: float
    vectors: NDArray[np.float32]
    background_rows: tuple[int, int]
    prompt_rows: tuple[tuple[int, int], ...]
    contrast_rows: tuple[tuple[int, int], ...]
