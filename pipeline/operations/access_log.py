"""Access log: a record of everyone who sees results of restricted policies, or saves the bytes of dead letters."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from pipeline.errors import UsageError
from pipeline.events.policies import Policy
from pipeline.events.times import rfc3339
from pipeline.private import append_private

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Access log of one user. Without a `file`, accesses are only written to the program's log."""

    user: str
    file: Path | None = None

    def note(self, policies: Iterable[Policy], command: str) -> frozenset[str]:
        """
        Record that `command` shows results of restricted policies, and return the ids of those among `policies`.

        Raises `UsageError` when the file cannot be written: then nothing may be shown.
        """
        restricted = sorted({policy.id for policy in policies if policy.restricted})
        if restricted:
            if self.file is not None:
                self._append(self.file, {"command": command, "policies": restricted, "user": self.user})
            log.warning("restricted_policy_viewed", command=command, policies=restricted, user=self.user)
        return frozenset(restricted)

    def note_letters(self, origins: Sequence[str], command: str) -> None:
        """
        Record that `command` hands out the bytes of dead letters, which no policy has judged.

        Raises `UsageError` when the file cannot be written: then nothing may be handed out.
        """
        if origins and self.file is not None:
            self._append(self.file, {"command": command, "letters": list(origins), "user": self.user})
        if origins:
            log.warning("dead_letters_saved", command=command, letters=len(origins), user=self.user)

    def _append(self, file: Path, fields: Mapping[str, object]) -> None:
        line = json.dumps({"time": rfc3339(datetime.now(UTC)), **fields})
        try:
            with append_private(file) as lines:
                lines.write(f"{line}\n")
        except OSError as error:
            raise UsageError(f"`{file}`: the access cannot be recorded, so nothing is shown: {error}") from error
