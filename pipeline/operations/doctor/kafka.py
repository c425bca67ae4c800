"""Checks of Kafka: the brokers, the topics, the consumer group with its lag, and the clock."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from pipeline.broker.cluster import brokers_of, newest_timestamp, offsets_at
from pipeline.broker.lag import PartitionLag, lag_of
from pipeline.broker.members import members_of
from pipeline.broker.topic_changes import PresentTopic, present_topics
from pipeline.broker.topics import Topic
from pipeline.broker.topology import every_topic
from pipeline.counted import counted
from pipeline.errors import UsageError
from pipeline.operations.doctor.findings import Finding, failed, fine, skipped, warning
from pipeline.operations.topics.apply import compare_topics
from pipeline.operations.workbench import Workbench
from pipeline.settings import ENVELOPE_BYTES, Settings

BROKER_TIMEOUT_S = 5.0
# A clock that differs by more is shown; a record older than this says nothing about clocks.
SKEW_S = 5.0
_APPLY = "create and configure topics with `watchword topics apply`"
_MS_PER_HOUR = 3_600_000


def check_broker(workbench: Workbench) -> Iterator[Finding]:
    """Yield whether a broker answers. Raises `BrokerFault`, and `UsageError` when TLS or SASL fails."""
    brokers = brokers_of(workbench.connection, timeout_s=BROKER_TIMEOUT_S)
    protocol = workbench.settings.security_protocol
    yield fine("broker", f"{counted(len(brokers), 'broker')} by {protocol}: {', '.join(sorted(brokers))}")


def check_topics(workbench: Workbench) -> Iterator[Finding]:
    """Yield missing topics and topics that differ from the settings. Raises `BrokerFault`."""
    topics = every_topic(workbench.settings)
    yield from topic_findings(workbench.settings, topics, present_topics(workbench.connection, topics))


def topic_findings(
    settings: Settings, topics: Sequence[Topic], present: Mapping[str, PresentTopic]
) -> Iterator[Finding]:
    """Yield the findings about `topics` of which `present` exist."""
    problems = [each for topic in topics for each in _topic(topic, present, _required(settings))]
    problems += _capacity(settings, present)
    if problems:
        yield from problems
        return
    found = present[settings.topic_images]
    limit, retention = found.configs.get("max.message.bytes", "?"), _hours(found)
    kept = "no limit of time" if retention is None else f"{retention:g} h of retention"
    yield fine(
        "topics",
        f"{len(present)} of {len(topics)} exist; `{settings.topic_images}` has "
        f"{counted(found.partitions, 'partition')}, {kept}, records of up to {limit} bytes",
    )


def _required(settings: Settings) -> Collection[str]:
    """Return the topics that a worker needs; others are created when they are first used."""
    names = {settings.topic_images, settings.topic_flags, settings.topic_verdicts}
    names |= {settings.topic_embeddings, settings.topic_dead_letters}
    return names | {settings.topic_policies} if settings.policy_source == "topic" else names


def _topic(topic: Topic, present: Mapping[str, PresentTopic], required: Collection[str]) -> Iterator[Finding]:
    if topic.name not in present:
        if topic.name in required:
            yield failed("topics", f"there is no topic `{topic.name}`", _APPLY)
        return
    try:
        plan = compare_topics([topic], present)
    except UsageError as error:
        yield failed("topics", str(error))
        return
    for line in plan.lines:
        yield warning("topics", f"differs from the settings: {line}", _APPLY)


def _capacity(settings: Settings, present: Mapping[str, PresentTopic]) -> Iterator[Finding]:
    """Yield a failure when some record could not be dead-lettered whole: a worker then refuses to start."""
    limits = [
        int(present[name].configs.get("max.message.bytes", "0"))
        for name in (settings.topic_images, settings.topic_dead_letters)
        if name in present
    ]
    if len(limits) == 2 and limits[1] < limits[0] + ENVELOPE_BYTES:  # noqa: PLR2004 -- both exist
        yield failed(
            "topics",
            f"`{settings.topic_dead_letters}` admits records of {limits[1]} bytes, `{settings.topic_images}` lets "
            f"{limits[0]} in, and a dead letter has {ENVELOPE_BYTES} more",
            f"set max.message.bytes of `{settings.topic_dead_letters}` to {limits[0] + ENVELOPE_BYTES} or more",
        )


def check_group(workbench: Workbench) -> Iterator[Finding]:
    """Yield the members of the group, its lag, and how near retention is to unread records. Raises `BrokerFault`."""
    settings, connection = workbench.settings, workbench.connection
    lags = lag_of(connection, settings.group_id, settings.topic_images)
    if not lags:
        yield skipped("group", f"there is no topic `{settings.topic_images}`")
        return
    members = members_of(connection, settings.group_id)
    yield from group_findings(settings.group_id, len(members), lags)
    waiting = sum(each.records for each in lags)
    topics = [topic for topic in every_topic(settings) if topic.name == settings.topic_images]
    retention_h = _hours(present_topics(connection, topics)[settings.topic_images])
    if waiting and retention_h is not None:
        half_ms = int(time.time() * 1000 - retention_h * _MS_PER_HOUR / 2)
        yield from retention_findings(lags, offsets_at(connection, settings.topic_images, half_ms), retention_h)


def group_findings(group_id: str, members: int, lags: Sequence[PartitionLag]) -> Iterator[Finding]:
    """Yield the findings about a group's members and positions."""
    waiting, missed = sum(each.records for each in lags), sum(each.missed for each in lags)
    seen = f"`{group_id}` has {counted(members, 'member')}; {counted(waiting, 'record')} not yet committed"
    if past := [each for each in lags if each.committed is not None and each.committed > each.end]:
        partitions = ", ".join(str(each.partition) for each in past)
        yield failed(
            "group",
            f"the committed offset is past the end of partition {partitions}",
            "docs/operating.md, `A position past the end`",
        )
    if missed:
        yield failed(
            "group",
            f"{counted(missed, 'record')} removed by retention before the group had read them",
            "increase the retention of the input topic, or run more workers",
        )
    if members:
        yield fine("group", seen)
    else:
        yield warning("group", seen, "start a worker with `watchword run`")


def retention_findings(lags: Sequence[PartitionLag], half: Mapping[int, int], retention_h: float) -> Iterator[Finding]:
    """Yield a warning for partitions whose oldest unread record has used half of the retention."""
    late = [
        each.partition
        for each in lags
        if each.records and max(each.start, each.committed or 0) < half.get(each.partition, each.end)
    ]
    if late:
        partitions = ", ".join(map(str, late))
        yield warning(
            "group",
            f"partition {partitions}: the oldest unread record has used half of the retention of {retention_h:g} h",
            "run more workers, or increase the retention of the input topic, before records are removed unread",
        )


def check_clock(workbench: Workbench) -> Iterator[Finding]:
    """Yield how this machine's clock compares with the newest record's timestamp. Raises `BrokerFault`."""
    settings = workbench.settings
    topics = settings.topic_images, settings.topic_verdicts, settings.topic_embeddings
    newest_ms = newest_timestamp(workbench.connection, topics)
    yield clock_finding(None if newest_ms is None else newest_ms / 1000 - time.time())


def clock_finding(ahead_s: float | None) -> Finding:
    """Return the finding about the newest record's time; `ahead_s` is positive if that is in this clock's future."""
    if ahead_s is None:
        return skipped("clock", "cannot be known: no topic has a record to compare with")
    if ahead_s > SKEW_S:
        return warning(
            "clock",
            f"the newest record is {ahead_s:.0f} s in the future: this clock is late, or its sender's is early",
            "synchronise the clocks by NTP: ages, lag in seconds and retention are wrong",
        )
    if ahead_s < -SKEW_S:
        return skipped("clock", f"cannot be known: the newest record is {-ahead_s:.0f} s old")
    return fine("clock", f"the newest record is {abs(ahead_s):.1f} s from now")


def _hours(topic: PresentTopic) -> float | None:
    """Return a topic's retention in hours, None when nothing is removed by age."""
    retention_ms = int(topic.configs.get("retention.ms") or -1)
    removes = "delete" in topic.configs.get("cleanup.policy", "delete")
    return retention_ms / _MS_PER_HOUR if removes and retention_ms >= 0 else None
