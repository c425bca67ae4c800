"""Policy sets on the control topic: what is in force, what was, and putting another in force."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from pydantic import TypeAdapter, ValidationError

from pipeline.broker.connection import Connection
from pipeline.broker.table import TableReader, writing
from pipeline.errors import CommitAborted, PolicyError, UsageError
from pipeline.events.policies import PolicySet
from pipeline.events.records import Record
from pipeline.events.releases import Canary, Release
from pipeline.releases.codec import decode_set, encode_set

log = structlog.get_logger()

CURRENT, SET, VERSION = "current", "set/", "version/"
SHORTEST_DIGEST = 6
_RELEASE: TypeAdapter[Release] = TypeAdapter(Release)


@dataclass
class ControlTopic:
    """
    What the control topic holds: sets by digest, as stored, and every release by version.

    `current` is the release in force, None before the first.
    """

    sets: dict[str, bytes] = field(default_factory=dict)
    releases: dict[int, Release] = field(default_factory=dict)
    current: Release | None = None

    def take(self, records: Iterable[Record]) -> None:
        """Take in what was read, in order; a release that is none is logged and left out."""
        for record in records:
            key, value = (record.key or b"").decode(errors="replace"), record.value
            if value is None:
                continue
            if key.startswith(SET):
                self.sets[key.removeprefix(SET)] = value
            elif key == CURRENT or key.startswith(VERSION):
                try:
                    release = _read_release(key, value)
                except PolicyError as error:
                    log.error("left out", problem=str(error))  # noqa: TRY400 -- the message says all
                    continue
                self.releases[release.version] = release
                self.current = release if key == CURRENT else self.current

    @property
    def version(self) -> int:
        """The newest version that was released; 0 before the first."""
        return max(self.releases, default=0)

    def policy_set(self, digest: str) -> PolicySet:
        """Return a stored set. Raises `PolicyError` when it is missing or is not what the digest names."""
        if digest not in self.sets:
            raise PolicyError(f"policy set {digest[:12]} is not on the control topic")
        return decode_set(self.sets[digest], digest)

    def history(self) -> list[Release]:
        """Return every release, the newest first."""
        return [self.releases[version] for version in sorted(self.releases, reverse=True)]

    def named(self, name: str) -> Release:
        """Return the newest release of a version number or a set's digest, or the start of one. Raises `UsageError`."""
        found = [
            release
            for release in self.history()
            if name == str(release.version) or (len(name) >= SHORTEST_DIGEST and release.digest.startswith(name))
        ]
        if not found:
            raise UsageError(f"no release `{name}`; `watchword policies history` lists them")
        return found[0]


def read_published(connection: Connection, topic: str) -> ControlTopic:
    """Return what the control topic holds now. Raises `BrokerFault`."""
    published = ControlTopic()
    with TableReader(connection, topic) as reader:
        published.take(reader.read_new())
    return published


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """What is to be in force, by whom and why; `parent` is the version its author had seen, 0 for none."""

    policy_set: PolicySet
    parent: int
    author: str
    note: str = ""
    canary: tuple[PolicySet, float] | None = None


def publish(connection: Connection, topic: str, proposal: ReleaseRequest, *, max_record_bytes: int) -> Release:
    """
    Put a set in force, in one transaction with the set itself.

    Raises `UsageError` when another version than the proposal's parent is in force, or comes to be meanwhile.
    """
    with writing(connection, topic, max_record_bytes=max_record_bytes) as writer:
        # Read once the right to write is ours alone: nothing can come between this and what is written.
        published = read_published(connection, topic)
        version = published.version
        if version != proposal.parent:
            by = _by(published.releases.get(version))
            raise UsageError(
                f"version {version} is in force{by}, and this edit was made from version {proposal.parent}; "
                "look at `watchword policies diff`, take over what changed, and publish again"
            )
        release = Release(
            digest=proposal.policy_set.digest,
            version=version + 1,
            parent=version,
            time=datetime.now(UTC),
            author=proposal.author,
            note=proposal.note,
            canary=Canary(proposal.canary[0].digest, proposal.canary[1]) if proposal.canary else None,
        )
        told = _RELEASE.dump_json(release)
        sets = [proposal.policy_set, *([proposal.canary[0]] if proposal.canary else [])]
        values = {f"{SET}{each.digest}": encode_set(each) for each in sets}
        try:
            writer.write({**values, f"{VERSION}{release.version}": told, CURRENT: told})
        except CommitAborted as aborted:
            raise UsageError("someone else publishes at this moment; look at `watchword policies history`") from aborted
    return release


def release_fields(release: Release) -> dict[str, object]:
    """Return a release as JSON shows it."""
    fields: dict[str, object] = json.loads(_RELEASE.dump_json(release))
    return fields


def _by(release: Release | None) -> str:
    return f" (by {release.author}, {release.time:%Y-%m-%d %H:%M} UTC)" if release else ""


def _read_release(key: str, value: bytes) -> Release:
    try:
        return _RELEASE.validate_json(value)
    except ValidationError as error:
        raise PolicyError(f"`{key[:100]}` of the control topic is no release: {error.errors()[0]['msg']}") from error
