"""Schema of a policy's `scope`."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from pipeline.events.scope import Scope
from pipeline.policies.texts import plain_text

MOST_CONDITIONS = 1_000


def _one_or_more(value: Any) -> Any:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) and each for each in values):
        raise ValueError("expected text or a list of texts; `*` stands for anything, and numbers need quotes")
    for each in values:
        plain_text(each)
    return values


_PATTERNS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
Patterns = Annotated[list[str], BeforeValidator(_one_or_more), WithJsonSchema(_PATTERNS)]


class ScopeFile(BaseModel):
    """
    The images that a policy judges. Each key is `source` or an attribute of the event, with its allowed values.

    All keys must match. `all`, `any` and `not` contain conditions of the same form.
    """

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)
    __pydantic_extra__: dict[str, Patterns] = Field(init=False)

    every: list[Self] = Field(default=[], alias="all")
    some: list[Self] = Field(default=[], alias="any")
    unless: Self | None = Field(default=None, alias="not")

    @property
    def size(self) -> int:
        """The number of its conditions and patterns."""
        inner = [*self.every, *self.some, *([self.unless] if self.unless else [])]
        own = sum(1 + len(any_of) for any_of in (self.__pydantic_extra__ or {}).values())
        return own + sum(1 + each.size for each in inner)

    def parse(self) -> Scope:
        """Return the condition in one canonical order."""
        values = self.__pydantic_extra__ or {}
        return Scope(
            values=tuple(sorted((name, tuple(sorted(set(any_of)))) for name, any_of in values.items())),
            every=tuple(sorted((inner.parse() for inner in self.every), key=repr)),
            some=tuple(sorted((inner.parse() for inner in self.some), key=repr)),
            unless=self.unless.parse() if self.unless else None,
        )


def few_conditions(scope: ScopeFile) -> ScopeFile:
    """Return the scope if it is small enough to be checked for every event. Raises `ValueError`."""
    if scope.size > MOST_CONDITIONS:
        raise ValueError(f"more than {MOST_CONDITIONS:,} conditions and patterns; each is checked for every event")
    return scope
