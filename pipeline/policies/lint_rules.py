"""Catalogue of the rules of `policies lint`: the level of each, the reason for it and the remedy."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pipeline.bounded import brief
from pipeline.errors import UsageError
from pipeline.policies.source import closest_match


class Rule(StrEnum):
    """Name of a rule. A policy silences a rule by its name under `silence`, with a reason."""

    NEGATION = "negation"
    TOO_LONG = "too-long"
    SHATTERED_WORD = "shattered-word"
    JOINED_PHRASES = "joined-phrases"
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
    """Level of a rule, the reason for the rule, and the remedy for a finding."""

    level: Level
    why: str
    advice: str


RULES: dict[Rule, About] = {
    Rule.NEGATION: About(
        "error",
        "a CLIP model ignores negation: it looks for the thing that is negated (NegBench, Alhamoud et al. 2025)",
        "write what the image shows instead, or list what is fine under `contrast`",
    ),
    Rule.TOO_LONG: About(
        "error",
        "the text tower reads a limited number of tokens: the rest of the text has no effect",
        "shorten the text, or split it into several prompts",
    ),
    Rule.SHATTERED_WORD: About(
        "warning",
        "the tokenizer does not know this word and splits it into fragments: the model has hardly ever seen it",
        "use a more common word, or describe what the thing looks like",
    ),
    Rule.JOINED_PHRASES: About(
        "warning",
        "two list entries on one line are one phrase to YAML, and one prompt to the model",
        "begin each phrase with `- ` on a separate line; write an intended dash without spaces around it",
    ),
    Rule.IDENTITY_TARGET: About(
        "error",
        "showing a person is not a violation, and a CLIP model's judgement of who someone is repeats the biases of its "
        "training data (Radford et al. 2021, section 7.1)",
        "name what is done or shown, not who someone is",
    ),
    Rule.NO_CONTRAST: About(
        "note",
        "look-alikes score as high as the real thing, because only the background counts against them",
        "list harmless look-alikes under `contrast`",
    ),
    Rule.NEAR_DUPLICATE: About(
        "warning",
        "the model cannot tell the two texts apart: the second adds nothing, and together they count double",
        "keep one of them",
    ),
    Rule.NEAR_CONTRAST: About(
        "error",
        "the model cannot tell the prompt from the contrast: the two cancel out",
        "remove one of them, or describe the difference between them",
    ),
    Rule.NEAR_BACKGROUND: About(
        "error",
        "the background list names what the policy looks for: the two cancel out, and the score stays low",
        "use `score: similarity`, or write the list to the policies' folder without this entry, "
        "`watchword policies background > policies/background.yaml`; another background changes the score of every "
        "policy, so run `watchword policies backtest` before you publish",
    ),
    Rule.NEAR_OTHER_POLICY: About(
        "warning",
        "both policies will flag the same images",
        "make one policy extend the other or be its child, or silence this rule where it is intended",
    ),
    Rule.STALE_THRESHOLD: About(
        "error",
        "scores of two models are not comparable, so this threshold means nothing under this model",
        "fit it again: `watchword policies measure` suggests one, `watchword models compare` shows what changes",
    ),
    Rule.STALE_CALIBRATION: About(
        "warning",
        "the fit's evidence is about another version of these inputs, so the threshold counts as provisional",
        "fit it again: `watchword policies calibrate`",
    ),
    Rule.EXPIRED: About(
        "warning",
        "a policy flags nothing after its last day",
        "set a later day in `expires`, or remove the policy",
    ),
    Rule.UNNEEDED_SILENCE: About(
        "warning",
        "it silences no finding today and would hide a later one",
        "remove it",
    ),
}


def selected_rules(select: Iterable[str], ignore: Iterable[str]) -> frozenset[Rule]:
    """Return the rules in `select`, or all if it is empty, without those in `ignore`. Raises `UsageError`."""
    chosen = frozenset(map(rule_named, select)) or frozenset(Rule)
    return chosen - frozenset(map(rule_named, ignore))


def rule_named(name: str) -> Rule:
    """Return a rule by its name. Raises `UsageError` that names the nearest rule, or all of them."""
    try:
        return Rule(name)
    except ValueError as error:
        near = closest_match(name, Rule)
        hint = f"did you mean `{near}`?" if near else f"the rules are {', '.join(f'`{rule}`' for rule in Rule)}"
        raise UsageError(f"no lint rule `{brief(name)}`, {hint}") from error
