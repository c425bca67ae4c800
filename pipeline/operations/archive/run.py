"""Archiver: the process that stores the embeddings of the stream."""

from pipeline.operations.workbench import Workbench
from pipeline.stream.archiver import Archiver
from pipeline.stream.build import build_archiver


def open_archiver(workbench: Workbench) -> Archiver:
    """Return the archiver of the settings; its `run` blocks until its `stop`. Raises `BrokerFault`."""
    return build_archiver(workbench.settings, workbench.archive)
