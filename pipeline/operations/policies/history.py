"""History of releases."""

from pipeline.events.releases import Release
from pipeline.operations.workbench import Workbench
from pipeline.releases.current import CurrentRelease


def list_releases(workbench: Workbench) -> list[Release]:
    """Return every release, the newest first. Raises `BrokerFault`."""
    return CurrentRelease(workbench.settings, workbench.progress).published.history()
