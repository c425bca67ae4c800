"""Secrets from a setting or from a mounted file, which is read again at each use, so that it can be rotated."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from pipeline.bounded import read_regular, why
from pipeline.errors import UsageError

LARGEST_SECRET_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret: `value`, or the content of `path` without surrounding blanks. `name` is the setting's, for errors."""

    name: str
    value: SecretStr | None = None
    path: Path | None = None

    def read(self) -> str:
        """Return the secret. Raises `UsageError` when the file cannot be read or is empty."""
        if self.path is None:
            return self.value.get_secret_value() if self.value else ""
        try:
            found = read_regular(self.path, LARGEST_SECRET_BYTES).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            problem = why(error) if isinstance(error, OSError) else "not UTF-8"
            raise UsageError(f"{self.name}: `{self.path}` cannot be read: {problem}") from error
        if not found:
            raise UsageError(f"{self.name}: `{self.path}` is empty")
        return found
