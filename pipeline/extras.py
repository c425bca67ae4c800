"""Imports of packages that only an extra installs."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import UsageError

# A missing module of this package is a defect, which no extra can fix.
_OWN = frozenset({"pipeline", "watchword"})


@contextmanager
def models_extra(extra: str = "models") -> Iterator[None]:
    """Raise `UsageError` that names the extra for a package which is missing inside the context."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _OWN:
            raise
        raise UsageError(
            f"`{error.name}` is missing: install the extra `{extra}` (in a checkout `make check` installs every one, "
            f"or `pip install '.[{extra}]'` that alone)"
        ) from error
