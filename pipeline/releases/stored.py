"""
Validation of stored policy sets by the rules of policy files: anyone who may write to the topic can store one.
"""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pipeline.bounded import brief
from pipeline.errors import PolicyError
from pipeline.events.calibration import Isotonic, Platt
from pipeline.events.policies import Aggregate, Mode, OnModelChange, Policy, PolicySet, ScoreKind, Severity
from pipeline.events.scope import Scope
from pipeline.policies.calibration_file import Digest, IsotonicFile, Number, PlattFile, Share
from pipeline.policies.schema import MOST_A_DAY, MOST_WEIGHTS, Weight
from pipeline.policies.scope_file import MOST_CONDITIONS
from pipeline.policies.texts import Name, Phrases, Prompts, Remark, Templates, Text, plain_text
from pipeline.policies.tree import DEEPEST
from pipeline.policies.validation_errors import first_error
from pipeline.releases.shadow import SUFFIX

MOST_POLICIES = 20_000
MOST_TEXTS = 400_000

PartId = Annotated[
    str, StringConstraints(pattern=rf"^[a-z0-9_]+(\.[a-z0-9_]+)*({SUFFIX})?$", max_length=200 + len(SUFFIX))
]


class _Stored(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class _StoredHead(_Stored):
    weights: Annotated[list[Weight], Field(min_length=1, max_length=MOST_WEIGHTS)]
    bias: Weight
    model: Digest


class _StoredCalibration(_Stored):
    digest: Digest
    data: Annotated[str, Field(max_length=4096)]
    prompts: Digest
    precision: Share | None
    confidence: Share | None
    stale: Annotated[list[Name], Field(max_length=10)]


class _StoredPolicy(_Stored):
    id: PartId
    title: Text
    prompts: Prompts
    contrast: Phrases
    templates: Templates
    score: ScoreKind
    threshold: Number
    severity: Severity
    action: Text
    owner: Text
    mode: Mode
    model: Digest | None
    on_model_change: OnModelChange
    aggregate: Aggregate
    expires: date | None
    labels: list[tuple[Name, Text]]
    rationale: Remark
    parent: PartId | None
    calibration: _StoredCalibration | None
    audit_per_day: Annotated[int, Field(gt=0, le=MOST_A_DAY)] | None
    head: _StoredHead | None


class _StoredBackground(_Stored):
    prompts: Prompts
    templates: Templates


def require_sound(policy_set: PolicySet) -> None:
    """Raise `PolicyError` that names the first part of a set that no policy file could produce."""
    if len(policy_set.policies) > MOST_POLICIES:
        raise PolicyError(f"cannot be used: more than {MOST_POLICIES:,} policies")
    _require_valid("`background`", _StoredBackground, policy_set.background)
    texts = sum(len(each.prompts) + len(each.contrast) + len(each.templates) for each in policy_set.policies)
    if texts > MOST_TEXTS:
        raise PolicyError(f"cannot be used: more than {MOST_TEXTS:,} prompts and templates")
    judging = [policy for policy in policy_set.policies if policy.mode is not Mode.OFF]
    by_id = {policy.id: policy for policy in judging}
    if len(by_id) < len(judging):
        raise PolicyError("cannot be used: two policies have the same id")
    for policy in judging:
        name = f"`{brief(policy.id)}`"
        _require_valid(name, _StoredPolicy, policy)
        if problem := _contradiction(policy, by_id):
            raise PolicyError(f"cannot be used: {name} {problem}")


def _require_valid(name: str, model: type[BaseModel], given: Any) -> None:
    try:
        model.model_validate(given)
    except ValidationError as error:
        raise PolicyError(f"cannot be used: {name}: {first_error(error)}") from error


def _contradiction(policy: Policy, by_id: dict[str, Policy]) -> str | None:
    """Return the contradiction between fields that are valid one by one, or None."""
    if (policy.score is ScoreKind.LINEAR) != (policy.head is not None):
        return "has a head and no linear score, or a linear score and no head"
    if policy.scope is not None and (problem := _scope_problem(policy.scope)):
        return problem
    if policy.calibration is not None:
        _require_valid(f"`{policy.id}`", *_curve(policy.calibration.probability))
    return _parent_problem(policy, by_id) if policy.parent is not None else None


def _parent_problem(policy: Policy, by_id: dict[str, Policy]) -> str | None:
    parent = by_id.get(policy.parent or "")
    if parent is None:
        return f"has a parent that is not in the set, `{brief(policy.parent)}`"
    if parent.parent is not None:
        return f"has a parent that is a child itself, `{parent.id}`"
    if not policy.id.startswith(f"{parent.id.removesuffix(SUFFIX)}."):
        return f"is not named after its parent, `{parent.id}`"
    if policy.severity.rank <= parent.severity.rank:
        return f"is no more severe than its parent, `{parent.id}`"
    return None


def _curve(curve: Isotonic | Platt | None) -> tuple[type[BaseModel], Any]:
    if isinstance(curve, Isotonic):
        return IsotonicFile, {"knots": curve.knots}
    return (PlattFile, {"slope": curve.slope, "intercept": curve.intercept}) if curve else (_Stored, {})


def _scope_problem(scope: Scope) -> str | None:
    open_scopes, count = [(scope, 1)], 0
    while open_scopes:
        each, depth = open_scopes.pop()
        inner = [*each.every, *each.some, *([each.unless] if each.unless else [])]
        count += len(inner) + sum(1 + len(patterns) for _, patterns in each.values)
        if depth > DEEPEST or count > MOST_CONDITIONS:
            return f"has a scope of more than {MOST_CONDITIONS:,} conditions or {DEEPEST} levels"
        open_scopes += [(one, depth + 1) for one in inner]
        for name, patterns in each.values:
            if not patterns or not name:
                return "has a scope with an attribute without a name or without values"
            for text in patterns:
                plain_text(text)
    return None
