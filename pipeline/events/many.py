"""Tuples of any length, whose validation stops at the first invalid value."""

from typing import Annotated, TypeVar

from pydantic import FailFast

T = TypeVar("T")

# Without `FailFast`, a record of one megabyte could cause gigabytes of errors, one for each of its values.
Many = Annotated[tuple[T, ...], FailFast()]
