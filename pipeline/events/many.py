"""Values of any number, read from outside only up to the first that is wrong."""

from typing import Annotated, TypeVar

from pydantic import FailFast

T = TypeVar("T")

# Otherwise a record of a megabyte makes errors of gigabytes, one for each of its values.
Many = Annotated[tuple[T, ...], FailFast()]
