"""Restricted policies: nothing of what they flag is shown, and whoever looks is noted."""

import getpass
import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from pipeline.errors import UsageError
from pipeline.events.policies import Policy
from pipeline.private import append_private
from pipeline.settings import Settings, load_settings

log = structlog.get_logger()


def note_access(policies: Iterable[Policy], command: str) -> frozenset[str]:
    """
    Log that a command looks at what restricted policies say, and return their ids; those of `policies` that are none.

    Where `WATCHWORD_ACCESS_LOG` names a file, a line of JSON is appended to it first. Raises `UsageError` when it
    cannot be: nothing is shown then.
    """
    restricted = frozenset(policy.id for policy in policies if policy.restricted)
    if restricted:
        told = {"command": command, "policies": sorted(restricted), "user": user_name()}
        if file := load_settings(Settings).access_log:
            line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **told})
            try:
                with append_private(file) as lines:
                    lines.write(f"{line}\n")
            except OSError as error:
                raise UsageError(f"`{file}`: the access cannot be noted, so nothing is shown: {error}") from error
        log.warning("a restricted policy was looked at", **told)
    return restricted


def user_name() -> str:
    """Return who runs this: a name, or a number where the machine knows none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
