"""Sources of a worker's policy set: a folder of files, or the control topic."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from pipeline.broker.connection import Connection
from pipeline.broker.table import TableReader
from pipeline.errors import NothingPublished, PolicyError
from pipeline.events.policies import PolicySet
from pipeline.events.releases import Release
from pipeline.policies.load import load_policy_set
from pipeline.releases.control_topic import ControlTopic

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PolicySetUpdate:
    """A policy set to activate, and the canary, if any, that judges `canary_share` of the images in its place."""

    policy_set: PolicySet
    version: int = 0
    canary: PolicySet | None = None
    canary_share: float = 0.0


class PolicySource(Protocol):
    """
    A source of policy sets. Called by one thread at a time.

    `poll` returns the set to activate, or None when it has not changed since the last call. It raises `PolicyError` for
    an invalid set, and `DependencyFault` while the source does not answer. After `reset` the next `poll` returns the
    set even if it has not changed. `previous` yields the valid sets that were active before, the newest first.
    """

    def poll(self) -> PolicySetUpdate | None: ...

    def reset(self) -> None: ...

    def previous(self) -> Iterator[PolicySetUpdate]: ...

    def close(self) -> None: ...


class FolderPolicies:
    """A folder of policy files, read again when one of them changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: object = None
        self._digest = ""

    def poll(self) -> PolicySetUpdate | None:
        """Return the folder's set when its digest changed. Raises `PolicyError` with file, line and column."""
        seen = _fingerprint(self._folder)
        if seen == self._seen:
            return None
        self._seen = seen
        policy_set = load_policy_set(self._folder)
        if policy_set.digest == self._digest:
            return None
        self._digest = policy_set.digest
        return PolicySetUpdate(policy_set)

    def reset(self) -> None:
        """Have the next `poll` return its set again."""
        self._seen, self._digest = None, ""

    def previous(self) -> Iterator[PolicySetUpdate]:
        """Yield no sets: a folder has no history."""
        return iter(())

    def close(self) -> None:
        """Do nothing: a folder needs no open resource."""


class PublishedPolicies:
    """Releases on the control topic."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._reader = TableReader(connection, topic)
        self._published = ControlTopic()
        self._taken: Release | None = None

    def poll(self) -> PolicySetUpdate | None:
        """Return the current release when it changed. Raises `NothingPublished` before the first."""
        records = self._reader.read_new()
        if self._reader.recreated:
            self._published = ControlTopic()
        self._published.take(records)
        current = self._published.current
        if current is None:
            raise NothingPublished("no policy set is published yet; publish with `watchword policies publish`")
        if current == self._taken:
            return None
        self._taken = current
        return self._offer(current)

    def reset(self) -> None:
        """Have the next `poll` return its set again."""
        self._taken = None

    def previous(self) -> Iterator[PolicySetUpdate]:
        """Yield the releases before the current one."""
        for release in self._published.history():
            if self._taken is None or release.version >= self._taken.version:
                continue
            try:
                yield self._offer(release)
            except PolicyError as error:
                log.warning("earlier_policy_set_rejected", version=release.version, problem=str(error))

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    def _offer(self, release: Release) -> PolicySetUpdate:
        canary = release.canary
        return PolicySetUpdate(
            self._published.policy_set(release.digest),
            release.version,
            self._published.policy_set(canary.digest) if canary else None,
            canary.share if canary else 0.0,
        )


# A misspelt extension is an error that people must see, so such a file counts too.
_SPELLINGS = frozenset({".yaml", ".yml", ".json"})


def _fingerprint(folder: Path) -> object:
    """Return a value that changes whenever a file of the folder does."""
    stats = []
    for path in sorted(folder.rglob("*.*")):
        if not _SPELLINGS.intersection(suffix.lower() for suffix in path.suffixes):
            continue
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        stats.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return stats
