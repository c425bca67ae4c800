"""Access log of restricted policies: a record of everyone who looks at what they say."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from pipeline.errors import UsageError
from pipeline.events.policies import Policy
from pipeline.private import append_private

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AccessLog:
    """The access log of one user; `file` is None where accesses are logged as events only."""

    user: str
    file: Path | None = None

    def note(self, policies: Iterable[Policy], command: str) -> frozenset[str]:
        """
        Record that `command` looks at restricted policies, and return the ids of those among `policies`.

        Raises `UsageError` when the file cannot be written: then nothing may be shown.
        """
        restricted = frozenset(policy.id for policy in policies if policy.restricted)
        if restricted:
            told = {"command": command, "policies": sorted(restricted), "user": self.user}
            if self.file is not None:
                self._append(self.file, told)
            log.warning("restricted_policy_viewed", **told)
        return restricted

    def _append(self, file: Path, told: Mapping[str, object]) -> None:
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **told})
        try:
            with append_private(file) as lines:
                lines.write(f"{line}\n")
        except OSError as error:
            raise UsageError(f"`{file}`: the access cannot be noted, so nothing is shown: {error}") from error
