"""Topics of a stream, brought to the settings: a plan of changes, and its execution."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.broker.topic_changes import PresentTopic, TopicChange, change_topics, present_topics
from pipeline.broker.topics import Topic
from pipeline.broker.topology import every_topic
from pipeline.counted import counted
from pipeline.errors import UsageError
from pipeline.operations.workbench import Workbench

# A larger limit than the settings ask for is never lowered: records of that size may be on their way.
_AT_LEAST = "max.message.bytes"


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """Changes that bring the topics to the settings, and differences that no change removes, one sentence each."""

    changes: tuple[TopicChange, ...]
    differences: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The plan in words, one line for each change of a topic and each difference that stays."""
        found = [f"{change.topic.name}: {line}" for change in self.changes for line in _lines(change)]
        return [*found, *(f"note: {each}" for each in self.differences)]


def plan_topics(workbench: Workbench) -> TopicPlan:
    """
    Return the changes that the settings ask for. Changes nothing.

    Raises `BrokerFault`, and `UsageError` when a topic that needs one partition has several.
    """
    topics = every_topic(workbench.settings)
    return compare_topics(topics, present_topics(workbench.connection, topics))


def apply_plan(workbench: Workbench, plan: TopicPlan) -> None:
    """Carry a plan out. Raises `BrokerFault`, and `UsageError` when the broker refuses a change."""
    change_topics(workbench.connection, plan.changes)


def compare_topics(topics: list[Topic], present: Mapping[str, PresentTopic]) -> TopicPlan:
    """Return the plan for `topics` when `present` exist. Raises `UsageError`, see `plan_topics`."""
    changes: list[TopicChange] = []
    differences: list[str] = []
    for topic in topics:
        found = present.get(topic.name)
        if found is None:
            changes.append(TopicChange(topic, create=True))
            continue
        change = _change(topic, found)
        if change.partitions is not None or change.configs:
            changes.append(change)
        differences += _differences(topic, found)
    return TopicPlan(tuple(changes), tuple(differences))


def _change(topic: Topic, found: PresentTopic) -> TopicChange:
    if topic.compacted and found.partitions != 1:
        raise UsageError(
            f"topic `{topic.name}` has {found.partitions} partitions and needs one, so that its records have one "
            "order; delete it, or name another one in the settings"
        )
    configs = {
        key: (found.configs.get(key, ""), new)
        for key, new in topic.configs.items()
        if not _satisfies(key, found.configs.get(key, ""), new)
    }
    partitions = topic.partitions if found.partitions < topic.partitions else None
    return TopicChange(topic, partitions=partitions, configs=configs)


def _satisfies(key: str, present: str, new: str) -> bool:
    return int(present or 0) >= int(new) if key == _AT_LEAST else present == new


def _differences(topic: Topic, found: PresentTopic) -> Iterator[str]:
    if found.partitions > topic.partitions:
        yield f"`{topic.name}` keeps its {found.partitions} partitions: Kafka cannot remove any"
    if topic.replicas is not None and topic.replicas != found.replicas:
        yield (
            f"`{topic.name}` keeps its {found.replicas} replicas instead of {topic.replicas}: "
            "move them with kafka-reassign-partitions.sh"
        )


def _lines(change: TopicChange) -> list[str]:
    topic = change.topic
    if change.create:
        replicas = "the broker's number of replicas" if topic.replicas is None else counted(topic.replicas, "replica")
        configs = ", ".join(f"{key} {value}" for key, value in topic.configs.items())
        return [f"create with {counted(topic.partitions, 'partition')} and {replicas}, {configs}"]
    lines = [f"{key} {old or 'unset'} → {new}" for key, (old, new) in change.configs.items()]
    if change.partitions is not None:
        lines.insert(0, f"{counted(change.partitions, 'partition')}; records of a key may move to another partition")
    return lines
