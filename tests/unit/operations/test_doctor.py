"""Findings of `watchword doctor`: each failure is seen, says what to do, and hides no other."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline.broker.lag import PartitionLag
from pipeline.broker.topic_changes import PresentTopic
from pipeline.broker.topology import every_topic
from pipeline.errors import BrokerFault
from pipeline.operations.doctor.checks import Check, run_checks
from pipeline.operations.doctor.diagnose import CHECKS, refused_settings
from pipeline.operations.doctor.findings import Finding, State, fine
from pipeline.operations.doctor.kafka import clock_finding, group_findings, retention_findings, topic_findings
from pipeline.operations.workbench import Workbench
from pipeline.settings import ENVELOPE_BYTES, Settings

WORKBENCH = Workbench(Settings(), user="tester")
TOPICS = every_topic(WORKBENCH.settings)


def good(_: Workbench) -> Iterator[Finding]:
    yield fine("good", "it works")


def broken(_: Workbench) -> Iterator[Finding]:
    yield fine("broken", "first half")
    raise BrokerFault("no broker")


def buggy(_: Workbench) -> Iterator[Finding]:
    raise KeyError("oops")


def present() -> dict[str, PresentTopic]:
    return {topic.name: PresentTopic(topic.partitions, topic.replicas or 1, topic.configs) for topic in TOPICS}


def topics(found: dict[str, PresentTopic]) -> list[Finding]:
    return list(topic_findings(WORKBENCH.settings, TOPICS, found))


def test_a_failing_check_hides_neither_what_it_found_nor_the_others() -> None:
    checks = [Check("broken", broken, "start it"), Check("buggy", buggy), Check("good", good)]
    found = run_checks(WORKBENCH, checks)
    assert [(each.name, each.state.value) for each in found] == [
        ("broken", "ok"),
        ("broken", "failed"),
        ("buggy", "failed"),
        ("good", "ok"),
    ]
    assert (found[1].seen, found[1].advice) == ("no broker", "start it")


def test_a_check_that_hangs_is_left_at_its_deadline() -> None:
    released = threading.Event()

    def hangs(_: Workbench) -> Iterator[Finding]:
        yield fine("hangs", "so far")
        released.wait(20)

    found = run_checks(WORKBENCH, [Check("hangs", hangs, deadline_s=0.1), Check("good", good)])
    released.set()
    assert [each.state for each in found] == [State.OK, State.FAILED, State.OK]
    assert "no answer within" in found[1].seen


def test_a_check_is_skipped_without_what_it_needs() -> None:
    found = run_checks(WORKBENCH, [Check("broken", broken), Check("lag", good, needs=("broken",))])
    assert (found[-1].state, found[-1].seen) == (State.SKIPPED, "not checked, because of `broken`")


def test_settings_that_cannot_be_loaded_are_one_failure() -> None:
    diagnosis = refused_settings("WATCHWORD_HTTP_PORT: not a number")
    assert not diagnosis.healthy
    assert [each.name for each in diagnosis.findings] == [check.name for check in CHECKS]
    assert {each.state for each in diagnosis.findings[1:]} == {State.SKIPPED}


def test_topics_as_the_settings_want_them_are_well() -> None:
    [finding] = topics(present())
    assert finding.state is State.OK
    assert "`images` has 4 partitions" in finding.seen


def test_a_missing_output_topic_fails_and_one_for_later_does_not() -> None:
    found = present()
    del found["moderation.flags"], found["moderation.decisions"]
    [finding] = topics(found)
    assert (finding.state, finding.seen) == (State.FAILED, "there is no topic `moderation.flags`")
    assert "topics apply" in finding.advice


def test_a_dead_letter_topic_without_room_fails() -> None:
    """A worker refuses to start on it."""
    found = present()
    letters, limit = found["moderation.dead-letters"], found["images"].configs["max.message.bytes"]
    found["moderation.dead-letters"] = replace(letters, configs={**letters.configs, "max.message.bytes": limit})
    failures = [each for each in topics(found) if each.state is State.FAILED]
    assert str(int(limit) + ENVELOPE_BYTES) in failures[0].advice


def test_another_partition_count_is_a_warning() -> None:
    found = present()
    found["images"] = replace(found["images"], partitions=1)
    assert {each.state for each in topics(found)} == {State.WARNING}


@pytest.mark.parametrize(
    ("members", "lag", "state"),
    [
        (1, PartitionLag(0, 5, 0, 9), State.OK),
        (0, PartitionLag(0, 5, 0, 9), State.WARNING),
        (1, PartitionLag(0, 5, 7, 9), State.FAILED),
        (1, PartitionLag(0, 12, 0, 9), State.FAILED),
    ],
    ids=["at work", "no worker", "records were removed unread", "past the end"],
)
def test_a_group_is_judged_by_its_members_and_positions(members: int, lag: PartitionLag, state: State) -> None:
    assert next(iter(group_findings("g", members, [lag]))).state is state


def test_records_that_wait_for_half_of_the_retention_are_a_warning() -> None:
    lags = [PartitionLag(0, 5, 0, 9), PartitionLag(1, 8, 0, 9), PartitionLag(2, 9, 0, 9), PartitionLag(3, None, 0, 4)]
    [finding] = retention_findings(lags, {0: 7, 1: 7}, 24)
    assert finding.seen.startswith("partition 0, 3:"), "partition 3 has nothing that is newer"


@pytest.mark.parametrize(
    ("ahead_s", "state"),
    [(None, State.SKIPPED), (-3600.0, State.SKIPPED), (-1.0, State.OK), (60.0, State.WARNING)],
    ids=["no record", "an old record", "just now", "in the future"],
)
def test_a_clock_is_compared_with_the_newest_record(ahead_s: float | None, state: State) -> None:
    assert clock_finding(ahead_s).state is state
