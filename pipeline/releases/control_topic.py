"""Control topic: the stored policy sets, the current release and its history, and the writing of a new release."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from pipeline.bounded import brief
from pipeline.broker.connection import Connection
from pipeline.broker.table import TableReader, writing
from pipeline.errors import CommitAborted, PolicyError, UnreadableRecord, UsageError
from pipeline.events.policies import PolicySet
from pipeline.events.records import Record
from pipeline.events.releases import Canary, Release
from pipeline.events.wire.model import adapter_of
from pipeline.releases.codec import decode_set, encode_set

log = structlog.get_logger()

CURRENT, SET, VERSION = "current", "set/", "version/"
SHORTEST_DIGEST = 6


@dataclass
class ControlTopic:
    """
    Content of the control topic: stored sets by digest, and releases by version.

    `current` is the current release, None before the first.
    """

    sets: dict[str, bytes] = field(default_factory=dict)
    releases: dict[int, Release] = field(default_factory=dict)
    current: Release | None = None

    def take(self, records: Iterable[Record]) -> None:
        """Apply records in their order. A record that is not a valid release is logged and skipped."""
        for record in records:
            key, value = (record.key or b"").decode(errors="replace"), record.value
            if value is None:
                continue
            if key.startswith(SET):
                self.sets[key.removeprefix(SET)] = value
            elif key == CURRENT or key.startswith(VERSION):
                try:
                    release = Release.parse(record)
                except UnreadableRecord as error:
                    log.error("release_rejected", key=brief(key), problem=str(error))  # noqa: TRY400 -- the message says all
                    continue
                self.releases[release.version] = release
                self.current = release if key == CURRENT else self.current

    @property
    def version(self) -> int:
        """Newest version; 0 before the first release."""
        return max(self.releases, default=0)

    def policy_set(self, digest: str) -> PolicySet:
        """Return a stored set. Raises `PolicyError` when it is missing or does not have this digest."""
        if digest not in self.sets:
            raise PolicyError(f"policy set {digest[:12]} is not on the control topic")
        return decode_set(self.sets[digest], digest)

    def history(self) -> list[Release]:
        """Return all releases, the newest first."""
        return [self.releases[version] for version in sorted(self.releases, reverse=True)]

    def named(self, name: str) -> Release:
        """Return the newest release whose version is `name`, or whose digest starts with it. Raises `UsageError`."""
        found = [
            release
            for release in self.history()
            if name == str(release.version) or (len(name) >= SHORTEST_DIGEST and release.digest.startswith(name))
        ]
        if not found:
            raise UsageError(f"no release `{name}`; `watchword policies history` lists them")
        return found[0]


def read_published(connection: Connection, topic: str) -> ControlTopic:
    """Read the control topic to its end. Raises `BrokerFault`."""
    published = ControlTopic()
    with TableReader(connection, topic) as reader:
        published.take(reader.read_new())
    return published


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """
    A request to activate a policy set.

    `parent`: the version that the author saw, 0 for none. A `canary` is a second set, which judges `canary_share` of
    the images in place of the first.
    """

    policy_set: PolicySet
    parent: int
    author: str
    note: str = ""
    canary: PolicySet | None = None
    canary_share: float = 0.0

    def release(self) -> Release:
        """Return the release of this request, one version after its parent."""
        return Release(
            digest=self.policy_set.digest,
            version=self.parent + 1,
            parent=self.parent,
            time=datetime.now(UTC),
            author=self.author,
            note=self.note,
            canary=Canary(self.canary.digest, self.canary_share) if self.canary else None,
        )

    def sets(self) -> dict[str, bytes]:
        """Return the stored form of each set, by its key on the control topic."""
        given = [self.policy_set, *([self.canary] if self.canary else [])]
        return {f"{SET}{each.digest}": encode_set(each) for each in given}


def publish(connection: Connection, topic: str, request: ReleaseRequest, *, max_record_bytes: int) -> Release:
    """
    Activate a set: write it and its release in one transaction.

    Raises `UsageError` when the current version is not the request's parent, or when someone else publishes meanwhile.
    """
    with writing(connection, topic, max_record_bytes=max_record_bytes) as writer:
        # Read after `writing` has fenced every other writer: no release can come between this and ours.
        _require_parent(read_published(connection, topic), request.parent)
        release = request.release()
        stored = adapter_of(Release).dump_json(release)
        try:
            writer.write({**request.sets(), f"{VERSION}{release.version}": stored, CURRENT: stored})
        except CommitAborted as aborted:
            raise UsageError("someone else is publishing right now; see `watchword policies history`") from aborted
    return release


def _require_parent(published: ControlTopic, parent: int) -> None:
    version = published.version
    if version == parent:
        return
    newest = published.releases.get(version)
    by = f" (by {newest.author}, {newest.time:%Y-%m-%d %H:%M} UTC)" if newest else ""
    raise UsageError(
        f"version {version} is active{by}, and this edit was made from version {parent}; "
        "see `watchword policies diff`, copy those changes into this edit, and publish again"
    )


def release_fields(release: Release) -> dict[str, object]:
    """Return the fields of a release's JSON form."""
    fields: dict[str, object] = adapter_of(Release).dump_python(release, mode="json")
    return fields
