"""What the files of a policy folder may say."""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from pipeline.events.policies import Aggregate, Mode, OnModelChange, ScoreKind, Severity
from pipeline.events.scope import Scope
from pipeline.judge.rules import Rule

DEFAULT_TEMPLATES = ("a photo of {}", "a close-up photo of {}", "a picture of {}")


def _plain(text: str) -> str:
    """Return text that looks the same in one spelling: composed characters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(_plain)]
PolicyId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$", max_length=100)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$", max_length=50)]


def _one_placeholder(template: str) -> str:
    if template.count("{}") != 1 or template.replace("{}", "").strip("{}") != template.replace("{}", ""):
        raise ValueError("a template must contain `{}` once, where the prompt goes, and no other braces")
    return template


def _distinct(texts: list[str]) -> list[str]:
    repeated = sorted({text for text in texts if texts.count(text) > 1})
    if repeated:
        raise ValueError(f"listed more than once: {', '.join(repeated)}")
    return texts


_USE = {"type": "object", "properties": {"use": {"type": "string"}}, "required": ["use"], "additionalProperties": False}
_TEXT = {"type": "string", "minLength": 1, "maxLength": 500}


def _list_schema(description: str, *, whole: bool = False) -> WithJsonSchema:
    """Describe a list of texts as it may be written: with shared lists among them, or `whole` as one of them."""
    texts = {"type": "array", "items": {"anyOf": [_TEXT, _USE]}, "description": description}
    return WithJsonSchema({"anyOf": [texts, _USE], "description": description} if whole else texts)


Template = Annotated[Text, AfterValidator(_one_placeholder)]
Texts = Annotated[list[Text], AfterValidator(_distinct)]
Phrases = Annotated[Texts, _list_schema("phrases, or `{ use: NAME }` for a shared list of them")]
Prompts = Annotated[Phrases, Field(min_length=1)]
Templates = Annotated[
    list[Template],
    Field(min_length=1),
    AfterValidator(_distinct),
    _list_schema("sentences with `{}` for the phrase, or `{ use: NAME }` for a shared list of them", whole=True),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0}
Queue = Annotated[str, StringConstraints(pattern=r"^[0-9]+/(hour|day|week)$")]


@dataclass(frozen=True, slots=True)
class Target:
    """What a threshold is fitted to: a precision with a confidence, or a queue's length."""

    precision: float | None
    confidence: float
    queue: str | None

    @property
    def per_day(self) -> float:
        """How many images a day a queue takes."""
        assert self.queue is not None
        count, unit = self.queue.split("/")
        return int(count) / _DAYS[unit]

    def __str__(self) -> str:
        if self.queue is not None:
            return f"a queue of {self.queue}"
        return f"precision {self.precision:g} with {self.confidence:.0%} confidence"


class Threshold(_Strict):
    """
    The raw score from which a policy flags: a `value`, or what to fit one to.

    `provisional` says that the evidence does not support a value yet; `model` is the digest of the model it was fitted
    for. Fitted to a `precision`, labels must show it with that `confidence`; fitted to a `queue`, so many images are
    flagged in the time, whatever they are.
    """

    value: float | None = Field(default=None, allow_inf_nan=False)
    provisional: bool = False
    model: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")] | None = None
    precision: float | None = Field(default=None, gt=0, lt=1)
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    queue: Queue | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(each is not None for each in (self.value, self.precision, self.queue)) != 1:
            raise ValueError("a threshold has one of `value`, `precision` and `queue`")
        if self.value is None and (self.provisional or self.model is not None):
            raise ValueError("`provisional` and `model` go with a `value`; for others the calibration says so")
        return self

    @property
    def target(self) -> Target | None:
        """What it is to be fitted to, None for a value."""
        return Target(self.precision, self.confidence, self.queue) if self.value is None else None


def _bare_threshold(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"value": value}
    if not isinstance(value, Mapping):
        raise ValueError(  # noqa: TRY004 -- pydantic's way
            "expected a number, or one of `value`, `precision`, `queue`, as in `{ precision: 0.95 }`"
        )
    return value


Fitted = Annotated[
    Threshold,
    BeforeValidator(_bare_threshold),
    WithJsonSchema({"anyOf": [{"type": "number"}, Threshold.model_json_schema()]}),
]


def _one_or_more(value: Any) -> Any:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) and each for each in values):
        raise ValueError("expected text or a list of texts; `*` stands for anything, and numbers want quotes")
    return values


_PATTERNS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
Patterns = Annotated[list[str], BeforeValidator(_one_or_more), WithJsonSchema(_PATTERNS)]


class ScopeFile(BaseModel):
    """
    Which images a policy is about: each key is an attribute of the event, or its `source`, and what that may be.

    All of them must hold; `all`, `any` and `not` hold conditions of the same kind.
    """

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)
    __pydantic_extra__: dict[str, Patterns] = Field(init=False)

    every: list[Self] = Field(default=[], alias="all")
    some: list[Self] = Field(default=[], alias="any")
    unless: Self | None = Field(default=None, alias="not")

    def parse(self) -> Scope:
        """Return the condition; what it says in another order is the same."""
        values = self.__pydantic_extra__ or {}
        return Scope(
            values=tuple(sorted((name, tuple(sorted(set(any_of)))) for name, any_of in values.items())),
            every=tuple(sorted((inner.parse() for inner in self.every), key=repr)),
            some=tuple(sorted((inner.parse() for inner in self.some), key=repr)),
            unless=self.unless.parse() if self.unless else None,
        )


class ChildFile(_Strict):
    """What makes it worse: where the policy says yes and this does too, the flag has this severity."""

    id: Name
    title: Text
    prompts: Prompts
    contrast: Phrases = []
    threshold: Fitted
    severity: Severity


class AuditFile(_Strict):
    """How many of the images that the policy says no to are drawn to be looked at, about, over all workers."""

    per_day: int = Field(gt=0)


class ExampleFile(_Strict):
    """An image, beside the policy's file, and what the policy must say of it."""

    image: Text
    flag: bool
    source: str = "examples"
    attributes: dict[str, str] = {}
    why: str = ""


class PolicyFile(_Strict):
    """One policy: what it looks for, in words, and what follows."""

    id: PolicyId
    title: Text
    prompts: Prompts
    contrast: Phrases = []
    templates: Templates = list(DEFAULT_TEMPLATES)
    score: ScoreKind = ScoreKind.CONTRAST
    aggregate: Aggregate = Aggregate.LOG_MEAN_EXP
    head: Text | None = None
    threshold: Fitted
    scope: ScopeFile | None = None
    severity: Severity
    action: Text
    owner: Text
    mode: Mode = Mode.SHADOW
    expires: date | None = None
    labels: dict[Name, Text] = {}
    rationale: str = ""
    children: list[ChildFile] = []
    examples: list[ExampleFile] = []
    audit: AuditFile | None = None
    on_model_change: OnModelChange = OnModelChange.SHADOW
    silence: dict[Rule, Text] = {}
    restricted: bool = False

    @model_validator(mode="after")
    def _a_head_scores(self) -> Self:
        if (self.score is ScoreKind.LINEAR) != (self.head is not None):
            raise ValueError("`score: linear` and `head` go together: `watchword policies fit-head` writes one")
        return self

    @model_validator(mode="after")
    def _restricted_has_no_examples(self) -> Self:
        if self.restricted and self.examples:
            raise ValueError("a restricted policy has no `examples`: no image of it is kept anywhere")
        return self

    @model_validator(mode="after")
    def _children_raise(self) -> Self:
        ids = [child.id for child in self.children]
        if len(set(ids)) < len(ids):
            raise ValueError("two children have the same id")
        for child in self.children:
            if child.severity.rank <= self.severity.rank:
                raise ValueError(f"child `{child.id}` is no more severe than the policy itself, `{self.severity}`")
        return self


class HeadFile(_Strict):
    """
    A linear head, in the file that a policy's `head` names: `policies fit-head` writes it.

    `model` is the digest of the model whose embeddings it scores; `data` that of the labels it was fitted on;
    `average_precision` how it ranked labels it had not seen, None for one made without labels, by `watchword sweep`.
    """

    weights: list[float] = Field(min_length=1)
    bias: float = Field(allow_inf_nan=False)
    model: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    data: str
    average_precision: float | None

    def save(self, folder: Path, policy_id: str) -> Path:
        """Write it where a policy of the folder names it by `head_name`, and return where."""
        path = folder / head_name(policy_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.model_dump()) + "\n")
        return path


def head_name(policy_id: str) -> str:
    """Return what a policy's `head` says of a file that was written for it."""
    return f"heads/{policy_id}.json"


class BackgroundFile(_Strict):
    """A `background.yaml`: ordinary things and scenes, for the whole set."""

    prompts: Prompts
    templates: Templates = list(DEFAULT_TEMPLATES)


class SharedFile(_Strict):
    """A `shared.yaml`: lists that policies use by name."""

    phrases: dict[Name, Annotated[Texts, Field(min_length=1)]] = {}
    templates: dict[Name, Annotated[list[Template], Field(min_length=1), AfterValidator(_distinct)]] = {}
