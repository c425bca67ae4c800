"""What needs packages that a worker's install does not have."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import UsageError

# A module of ours that is missing is a defect, which no extra mends.
_OWN = frozenset({"pipeline", "watchword"})


@contextmanager
def models_extra(extra: str = "models") -> Iterator[None]:
    """Import inside this; a missing package is told as the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _OWN:
            raise
        raise UsageError(
            f"`{error.name}` is missing: install the extra `{extra}` (in a checkout `make check` installs every one, "
            f"or `pip install '.[{extra}]'` that alone)"
        ) from error
