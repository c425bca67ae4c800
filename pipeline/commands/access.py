"""Restricted policies: nothing of what they flag is shown, and whoever looks is noted."""

import getpass
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
import structlog
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.events.policies import Policy, PolicySet
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
        told = {"command": command, "policies": sorted(restricted), "user": getpass.getuser()}
        if file := load_settings(Settings).access_log:
            line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **told})
            try:
                with file.open("a") as lines:
                    lines.write(f"{line}\n")
            except OSError as error:
                raise UsageError(f"`{file}`: the access cannot be noted, so nothing is shown: {error}") from error
        log.warning("a restricted policy was looked at", **told)
    return restricted


def hidden(policy_set: PolicySet, flagged: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of N images a restricted policy flags: bool [N]. `flagged`: bool [N, P], by policy of the set."""
    return np.asarray(flagged[:, _restricted(policy_set.policies)].any(axis=1))


def _restricted(policies: Sequence[Policy]) -> list[int]:
    return [place for place, policy in enumerate(policies) if policy.restricted]
