"""Consumer lag of the worker group, read from the broker; no worker needs to run."""

from dataclasses import dataclass

from pipeline.broker.lag import PartitionLag, lag_of
from pipeline.errors import UsageError
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class GroupLag:
    """Lag of a consumer group on the partitions of a topic."""

    group_id: str
    topic: str
    partitions: tuple[PartitionLag, ...]

    @property
    def records(self) -> int:
        """Number of records between the committed offsets and the ends."""
        return sum(each.records for each in self.partitions)

    @property
    def missed(self) -> int:
        """Number of records that retention removed before the group had read them."""
        return sum(each.missed for each in self.partitions)


def measure_lag(workbench: Workbench) -> GroupLag:
    """Return the lag of the group in the settings. Raises `UsageError` without an input topic, and `BrokerFault`."""
    settings = workbench.settings
    partitions = lag_of(workbench.connection, settings.group_id, settings.topic_images)
    if not partitions:
        raise UsageError(f"there is no topic `{settings.topic_images}`")
    return GroupLag(settings.group_id, settings.topic_images, tuple(partitions))
