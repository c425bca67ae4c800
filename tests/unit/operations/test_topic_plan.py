"""Plan of `watchword topics apply`: which changes it makes, and which it never makes."""

import pytest

from pipeline.broker.topic_changes import PresentTopic
from pipeline.broker.topics import Topic
from pipeline.broker.topology import every_topic
from pipeline.errors import UsageError
from pipeline.operations.topics.apply import compare_topics
from pipeline.settings import Settings

IMAGES = Topic("images", 4, 1000, retention_ms=3_600_000, replicas=3)


def present(partitions: int = 4, replicas: int = 3, **configs: str) -> PresentTopic:
    given = {"max.message.bytes": "1000", "retention.ms": "3600000", "cleanup.policy": "delete"}
    return PresentTopic(
        partitions, replicas, {**given, **{key.replace("_", "."): each for key, each in configs.items()}}
    )


def test_a_topic_as_wanted_is_left_alone() -> None:
    plan = compare_topics([IMAGES], {"images": present()})
    assert (plan.changes, plan.differences) == ((), ())


def test_a_missing_topic_is_created() -> None:
    [line] = compare_topics([IMAGES], {}).lines
    assert line == "images: create with 4 partitions and 3 replicas, max.message.bytes 1000, retention.ms 3600000"


def test_a_larger_size_limit_stays() -> None:
    """Records of that size may be in the input already, and their dead letters need room."""
    assert compare_topics([IMAGES], {"images": present(max_message_bytes="2000")}).changes == ()
    assert compare_topics([IMAGES], {"images": present(max_message_bytes="10")}).lines == [
        "images: max.message.bytes 10 → 1000"
    ]


def test_partitions_are_added_and_never_removed() -> None:
    assert compare_topics([IMAGES], {"images": present(2)}).changes[0].partitions == 4
    plan = compare_topics([IMAGES], {"images": present(9)})
    assert plan.changes == ()
    assert plan.lines == ["note: `images` keeps its 9 partitions: Kafka cannot remove any"]


def test_other_replicas_are_reported_with_the_tool_that_moves_them() -> None:
    [line] = compare_topics([IMAGES], {"images": present(replicas=1)}).lines
    assert "kafka-reassign-partitions.sh" in line


def test_a_control_topic_with_several_partitions_is_refused() -> None:
    """Its releases would have no order."""
    with pytest.raises(UsageError, match="3 partitions and needs one"):
        compare_topics([Topic("policies", 1, 1000, compacted=True)], {"policies": present(3)})


def test_each_retention_setting_reaches_its_topic() -> None:
    hours = {"images": 1, "flags": 2, "verdicts": 3, "embeddings": 4, "dead_letters": 5}
    settings = Settings().model_copy(update={f"{kind}_retention_hours": number for kind, number in hours.items()})
    found = {topic.name: topic.retention_ms for topic in every_topic(settings)}
    wanted = {getattr(settings, f"topic_{kind}"): number * 3_600_000 for kind, number in hours.items()}
    others = (settings.topic_policies, settings.topic_decisions, settings.topic_dead_letter_handling)
    assert found == {**wanted, **dict.fromkeys(others)}
