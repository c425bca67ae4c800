"""Schema of the files of a policy folder."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from pipeline.events.policies import Aggregate, Mode, OnModelChange, ScoreKind, Severity
from pipeline.policies.lint_rules import Rule
from pipeline.policies.scope_file import ScopeFile, few_conditions
from pipeline.policies.texts import (
    Name,
    Phrases,
    PolicyId,
    Prompts,
    Remark,
    Template,
    Templates,
    Text,
    Texts,
    distinct,
)

DEFAULT_TEMPLATES = ("a photo of {}", "a close-up photo of {}", "a picture of {}")

# A head with larger weights would overflow float32, in which scores are computed.
LARGEST_WEIGHT = 1e9
MOST_WEIGHTS = 16_384
MOST_A_DAY = 10**9


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0}


def _some(queue: str) -> str:
    if not 0 < int(queue.partition("/")[0][:12]) <= MOST_A_DAY:
        raise ValueError(f"expected a queue of 1 to {MOST_A_DAY:,} images")
    return queue


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number")  # noqa: TRY004 -- pydantic's way
    return value


Queue = Annotated[str, StringConstraints(pattern=r"^[0-9]+/(hour|day|week)$"), AfterValidator(_some)]


@dataclass(frozen=True, slots=True)
class Target:
    """Target of a fitted threshold: a precision with a confidence, or a number of flags per hour, day or week."""

    precision: float | None
    confidence: float
    queue: str | None

    @property
    def per_day(self) -> float:
        """Number of images per day in the queue."""
        assert self.queue is not None
        count, unit = self.queue.split("/")
        return int(count) / _DAYS[unit]

    def __str__(self) -> str:
        if self.queue is not None:
            return f"a queue of {self.queue}"
        return f"precision {self.precision:g} with {self.confidence:.0%} confidence"


class Threshold(_Strict):
    """
    The raw score at or above which a policy flags: a `value`, or a target that the value is fitted to.

    `provisional`: the evidence does not support the value yet. `model`: the digest of the model that the value was
    fitted for. With the target `precision`, the labels must show this precision with `confidence`. With the target
    `queue`, the given number of images is flagged per hour, day or week, and nothing is known about the precision.
    """

    value: Annotated[float | None, BeforeValidator(_no_truth)] = Field(default=None, allow_inf_nan=False)
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
            raise ValueError("`provisional` and `model` need a `value`; a fitted threshold has them in its calibration")
        return self

    @property
    def target(self) -> Target | None:
        """The target that the threshold is fitted to; None if it has a value."""
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


def _day(value: Any) -> Any:
    """Return a possible date with zero-padded parts. Numbers are refused: pydantic reads them as seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and re.fullmatch(r"[-+.0-9]+", value)):
        parts = re.fullmatch(r"(\d{4})-(\d\d?)-(\d\d?)", str(value)[:20])
        if parts is None:
            raise ValueError("expected a date, such as 2027-01-31")
        return f"{parts[1]}-{parts[2]:0>2}-{parts[3]:0>2}"
    return value


Day = Annotated[date, BeforeValidator(_day)]


class ChildFile(_Strict):
    """An escalation: if parent and child both match, the flag takes the child's severity."""

    id: Name
    title: Text
    prompts: Prompts
    contrast: Phrases = []
    threshold: Fitted
    severity: Severity


def _not_too_many(per_day: int) -> int:
    if per_day > MOST_A_DAY:
        raise ValueError(f"at most {MOST_A_DAY:,} a day")
    return per_day


class AuditFile(_Strict):
    """Audit: a random sample, for review, of about `per_day` images that the policy did not flag, over all workers."""

    per_day: Annotated[int, BeforeValidator(_no_truth), AfterValidator(_not_too_many)] = Field(gt=0)


class ExampleFile(_Strict):
    """An image file, as a path relative to the policy's file, and the answer that the policy must give for it."""

    image: Text
    flag: bool
    source: Remark = "examples"
    attributes: dict[str, Remark] = {}
    why: Remark = ""


class PolicyFile(_Strict):
    """One policy: a description in words of the images it looks for, and the consequences of a flag."""

    id: PolicyId
    title: Text
    prompts: Prompts
    contrast: Phrases = []
    templates: Templates = list(DEFAULT_TEMPLATES)
    score: ScoreKind = ScoreKind.CONTRAST
    aggregate: Aggregate = Aggregate.LOG_MEAN_EXP
    head: Text | None = None
    threshold: Fitted
    scope: Annotated[ScopeFile, AfterValidator(few_conditions)] | None = None
    severity: Severity
    action: Text
    owner: Text
    mode: Mode = Mode.SHADOW
    expires: Day | None = None
    labels: dict[Name, Text] = {}
    rationale: Remark = ""
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


Weight = Annotated[float, Field(ge=-LARGEST_WEIGHT, le=LARGEST_WEIGHT, allow_inf_nan=False)]


class HeadFile(_Strict):
    """
    A linear head, stored in the file that a policy's `head` names. `policies fit-head` writes it.

    `model` is the digest of the model whose embeddings it scores, and `data` the digest of the labels it was fitted on.
    `average_precision` is measured on held-out labels. It is None for a head made without labels, by `watchword sweep`.
    """

    weights: Annotated[list[Weight], FailFast()] = Field(min_length=1, max_length=MOST_WEIGHTS)
    bias: Weight
    model: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    data: Annotated[str, Field(max_length=4096)]
    average_precision: Annotated[float, Field(ge=0, le=1)] | None

    def save(self, folder: Path, policy_id: str) -> Path:
        """Write the head to the file `head_name(policy_id)` of the folder, and return its path."""
        path = folder / head_name(policy_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.model_dump()) + "\n")
        return path


def head_name(policy_id: str) -> str:
    """Return the path of a policy's head, relative to the folder, as its `head` names it."""
    return f"heads/{policy_id}.json"


def head_path(folder: Path, head: str) -> Path:
    """
    Return the path of a policy's head from the value of `head`.

    Raises `ValueError` for a path that leads out of the folder.
    """
    parts = PurePosixPath(head)
    if parts.is_absolute() or ".." in parts.parts or "\\" in head:
        raise ValueError("must name a file in the folder of its policy, such as `heads/weapons.firearms.json`")
    path = folder / parts
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError("leads out of the folder of its policy by a link")
    return path


class BackgroundFile(_Strict):
    """A `background.yaml`: ordinary things and scenes, for the whole set."""

    prompts: Prompts
    templates: Templates = list(DEFAULT_TEMPLATES)


class SharedFile(_Strict):
    """A `shared.yaml`: lists that policies use by name."""

    phrases: dict[Name, Annotated[Texts, Field(min_length=1)]] = {}
    templates: dict[Name, Annotated[list[Template], Field(min_length=1), AfterValidator(distinct)]] = {}
