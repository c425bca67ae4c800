"""The closed list of what `policies lint` looks for, with why and what to do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Rule(StrEnum):
    """A name that can be silenced, with a reason, under a policy's `silence`."""

    NEGATION = "negation"
    TOO_LONG = "too-long"
    SHATTERED_WORD = "shattered-word"
    IDENTITY_TARGET = "identity-target"
    NO_CONTRAST = "no-contrast"
    NEAR_DUPLICATE = "near-duplicate"
    NEAR_CONTRAST = "near-contrast"
    NEAR_BACKGROUND = "near-background"
    NEAR_OTHER_POLICY = "near-other-policy"
    STALE_THRESHOLD = "stale-threshold"
    STALE_CALIBRATION = "stale-calibration"
    EXPIRED = "expired"
    UNNEEDED_SILENCE = "unneeded-silence"


Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class About:
    """Why a rule is, and what to do about a finding."""

    level: Level
    why: str
    advice: str


RULES: dict[Rule, About] = {
    Rule.NEGATION: About(
        "error",
        "a CLIP does not understand negation: what is negated is looked for (NegBench, Alhamoud et al. 2025)",
        "say what is to be seen instead, or put what is fine under `contrast`",
    ),
    Rule.TOO_LONG: About(
        "error",
        "the text tower reads so many tokens and no more: the rest of the text has no effect",
        "say it shorter, or as several prompts",
    ),
    Rule.SHATTERED_WORD: About(
        "warning",
        "the tokenizer does not know the word and spells it in pieces: the model has hardly seen it",
        "use a more common word, or describe what it looks like",
    ),
    Rule.IDENTITY_TARGET: About(
        "error",
        "people are no violation, and a CLIP's judgement of who someone is carries its training data's biases "
        "(Radford et al. 2021, section 7.1)",
        "name what is done or shown, not who someone is",
    ),
    Rule.NO_CONTRAST: About(
        "note",
        "look-alikes score as high as what is meant, since nothing but the background speaks against them",
        "list what looks alike and is fine under `contrast`",
    ),
    Rule.NEAR_DUPLICATE: About(
        "warning",
        "two prompts that mean the same to the model add nothing, and weigh double when prompts are pooled",
        "keep one of them",
    ),
    Rule.NEAR_CONTRAST: About(
        "error",
        "what is to be caught and what speaks against it are nearly the same to the model: they cancel out",
        "drop one of them, or say what tells them apart",
    ),
    Rule.NEAR_BACKGROUND: About(
        "error",
        "the background speaks against what is to be caught, which scores low whatever an image shows",
        "put a `background.yaml` without it beside the policies, or score by `similarity`",
    ),
    Rule.NEAR_OTHER_POLICY: About(
        "warning",
        "both policies will flag the same images",
        "make one extend or be a child of the other, or silence this where it is meant",
    ),
    Rule.STALE_THRESHOLD: About(
        "error",
        "a score of another model's space means nothing to this threshold",
        "fit it again: `watchword policies measure` suggests one, `watchword models compare` shows what changes",
    ),
    Rule.STALE_CALIBRATION: About(
        "warning",
        "what it was fitted on is not what is there now: it stands for less than it says, and is marked provisional",
        "fit it again: `watchword policies calibrate`",
    ),
    Rule.EXPIRED: About(
        "warning",
        "past its last day a policy flags nothing",
        "set another day in `expires`, or remove the policy",
    ),
    Rule.UNNEEDED_SILENCE: About(
        "warning",
        "nothing is found that it silences",
        "remove it, so that it hides nothing later",
    ),
}
