"""Archiver: the process that stores the embeddings of the stream."""

from pipeline.operations.workbench import Workbench
from pipeline.stream.archiver import Archiver
from pipeline.stream.build import build_archiver


def open_archiver(workbench: Workbench) -> Archiver:
    """Return the archiver that the settings describe; its `run` blocks until `stop`. Raises `BrokerFault`."""
    return build_archiver(workbench.settings, workbench.archive)
