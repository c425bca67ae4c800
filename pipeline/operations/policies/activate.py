"""Activation of a policy set: the step that changes the active set of workers."""

from pipeline.events.releases import Release
from pipeline.operations.workbench import Workbench
from pipeline.releases.control_topic import ReleaseRequest, publish
from pipeline.settings import POLICY_SET_BYTES


def activate(workbench: Workbench, request: ReleaseRequest) -> Release:
    """Write a release to the control topic. Raises `UsageError` when another release came first, and `BrokerFault`."""
    topic = workbench.settings.topic_policies
    return publish(workbench.connection, topic, request, max_record_bytes=POLICY_SET_BYTES)
