"""What a policy file may say, and what it means."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from pipeline.events.policies import Background, Mode, OnModelChange, Policy, PolicySet, ScoreKind

DEFAULT_TEMPLATES = ("a photo of {}", "a close-up photo of {}", "a picture of {}")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
PolicyId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$", max_length=100)]


def _one_placeholder(template: str) -> str:
    if template.count("{}") != 1 or template.replace("{}", "").strip("{}") != template.replace("{}", ""):
        raise ValueError("a template must contain `{}` once, where the prompt goes, and no other braces")
    return template


def _distinct(texts: list[str]) -> list[str]:
    repeated = sorted({text for text in texts if texts.count(text) > 1})
    if repeated:
        raise ValueError(f"listed more than once: {', '.join(repeated)}")
    return texts


Template = Annotated[Text, AfterValidator(_one_placeholder)]
Texts = Annotated[list[Text], AfterValidator(_distinct)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Threshold(_Strict):
    """
    The raw score from which a policy flags.

    `provisional` says that its evidence does not support it yet; `model` is the digest of the model it was fitted for.
    """

    value: float = Field(allow_inf_nan=False)
    provisional: bool = False
    model: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")] | None = None


def _bare_threshold(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"value": value}
    if not isinstance(value, Mapping):
        raise ValueError("expected a number, or `{ value: 2.5, provisional: true }`")  # noqa: TRY004 -- pydantic's way
    return value


class PolicyFile(_Strict):
    """One `policies/*.yaml`."""

    id: PolicyId
    title: Text
    prompts: Annotated[Texts, Field(min_length=1)]
    contrast: Texts = []
    templates: Annotated[list[Template], Field(min_length=1), AfterValidator(_distinct)] = list(DEFAULT_TEMPLATES)
    score: ScoreKind = ScoreKind.CONTRAST
    threshold: Annotated[Threshold, BeforeValidator(_bare_threshold)]
    severity: Annotated[str, StringConstraints(pattern="^(low|medium|high|critical)$")]
    action: Text
    owner: Text
    mode: Mode = Mode.SHADOW
    on_model_change: OnModelChange = OnModelChange.SHADOW

    def parse(self) -> Policy:
        """Return the policy with its digest."""
        return Policy(
            id=self.id,
            title=self.title,
            prompts=tuple(self.prompts),
            contrast=tuple(self.contrast),
            templates=tuple(self.templates),
            score=self.score,
            threshold=self.threshold.value,
            severity=self.severity,
            action=self.action,
            owner=self.owner,
            mode=self.mode,
            provisional=self.threshold.provisional,
            model=self.threshold.model,
            on_model_change=self.on_model_change,
            digest=digest_of(self.model_dump(mode="json")),
        )


class BackgroundFile(_Strict):
    """A `background.yaml`: ordinary things and scenes, for the whole set."""

    prompts: Annotated[Texts, Field(min_length=1)]
    templates: Annotated[list[Template], Field(min_length=1), AfterValidator(_distinct)] = list(DEFAULT_TEMPLATES)

    def parse(self) -> Background:
        """Return the background bank's texts."""
        return Background(tuple(self.prompts), tuple(self.templates))


def compose(policies: list[Policy], background: Background) -> PolicySet:
    """Return the set that judges: those not off, by id, under the digest of everything in it."""
    active = tuple(sorted((policy for policy in policies if policy.mode is not Mode.OFF), key=lambda policy: policy.id))
    meaning = {
        "policies": [policy.digest for policy in active],
        "background": [list(background.prompts), list(background.templates)],
    }
    return PolicySet(active, background, digest_of(meaning))


def digest_of(meaning: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, hexadecimal."""
    canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
