"""The current release: the active policy set, and the sets that a name can stand for."""

from pathlib import Path

from pipeline.broker.configured import connection_of
from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import policy_topic
from pipeline.errors import PolicyError, UsageError
from pipeline.events.policies import PolicySet
from pipeline.policies.load import load_policy_set
from pipeline.progress import NO_PROGRESS, Progress
from pipeline.releases.control_topic import ControlTopic, read_published
from pipeline.releases.shadow import without_shadows
from pipeline.settings import Settings


class CurrentRelease:
    """The control topic named in the settings, with its content when it was opened. Raises `BrokerFault`."""

    def __init__(self, settings: Settings, progress: Progress = NO_PROGRESS) -> None:
        self._settings, self._progress = settings, progress
        self._connection = connection_of(settings)
        ensure_topics(self._connection, [policy_topic(settings)])
        self.published: ControlTopic = read_published(self._connection, settings.topic_policies)

    @property
    def version(self) -> int:
        """The current version; 0 before the first release."""
        return self.published.version

    def active_set(self) -> PolicySet | None:
        """Return the active policy set; None before the first release, and, with a notice, when it cannot be read."""
        current = self.published.current
        if current is None:
            return None
        try:
            return self.published.policy_set(current.digest)
        except PolicyError as error:
            self._progress.notify(f"the active policy set cannot be read: {error}")
            return None

    def require_active_set(self) -> PolicySet:
        """Return the active policy set. Raises `UsageError` when there is none, or it cannot be read."""
        live = self.active_set()
        if live is None:
            raise UsageError("no active policy set that can be read; name a folder of policies instead of `current`")
        return live


def resolve_policy_set(name: str, settings: Settings, progress: Progress = NO_PROGRESS) -> PolicySet:
    """
    Return the policy set of a folder, of a version or digest on the control topic, or the active one (`current`).

    Raises `UsageError`, `PolicyError` and, when the control topic is read, `BrokerFault`.
    """
    if Path(name).is_dir():
        return load_policy_set(Path(name))
    release = CurrentRelease(settings, progress)
    if name == "current":
        return without_shadows(release.require_active_set())
    return release.published.policy_set(release.published.named(name).digest)


def active_policy_set(settings: Settings, progress: Progress = NO_PROGRESS) -> PolicySet | None:
    """Return the active policy set of workers with these settings; None when it cannot be read."""
    if settings.policy_source == "folder":
        return load_policy_set(settings.policies) if settings.policies.is_dir() else None
    return CurrentRelease(settings, progress).active_set()
