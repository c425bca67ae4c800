"""Policy watcher: loads the active policy set at start, and replaces it whole when its source has another one."""

import threading

import structlog

from pipeline.errors import DependencyFault, PolicyError, UsageError
from pipeline.releases.sources import PolicySetUpdate, PolicySource
from pipeline.stream.active_set import ActiveJudges
from pipeline.stream.judge_builder import JudgeBuilder
from pipeline.stream.policy_metrics import PolicyMetrics

log = structlog.get_logger()


class PolicyWatcher:
    """
    Holds the active judges, and replaces them between chunks when the source has another policy set.

    An invalid set is logged with the place of its error, counted, and changes nothing.
    """

    def __init__(
        self,
        source: PolicySource,
        builder: JudgeBuilder,
        metrics: PolicyMetrics,
        *,
        interval_s: float = 2.0,
    ) -> None:
        self._source = source
        self._builder = builder
        self._metrics = metrics
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._active: ActiveJudges | None = None

    def load(self) -> None:
        """
        Load the current policy set; when that is invalid, the newest valid one before it.

        Raises `PolicyError` when there is none, and `DependencyFault`: try again later.
        """
        try:
            self._poll()
        except PolicyError as error:
            self._reject(error, "the newest valid set before it is looked for")
            if not self._load_previous():
                raise

    def _load_previous(self) -> bool:
        for update in self._source.previous():
            try:
                self._activate(update)
            except PolicyError as error:
                self._reject(error, "the set before it is tried")
            except DependencyFault:
                self._source.reset()
                raise
            else:
                return True
        return False

    @property
    def loaded(self) -> bool:
        """Whether a policy set is active."""
        return self._active is not None

    def watching(self) -> bool:
        """Tell whether edits are still looked for: false when the watching thread has ended by itself."""
        return self._thread is None or self._thread.is_alive()

    def current(self) -> ActiveJudges:
        """Return the active judges. All images of a chunk are judged with the same ones."""
        assert self._active is not None
        return self._active

    def start(self) -> None:
        """Watch the source until `stop`."""
        self._thread = threading.Thread(target=self._watch, name="policy-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
        self._source.close()

    def refresh(self) -> None:
        """Activate the policy set of the source if it is new and valid."""
        try:
            self._poll()
        except PolicyError as error:
            self._reject(error, "the active set stays")
        except (DependencyFault, UsageError, OSError) as fault:
            # A revoked permission or an unreadable file: the active set goes on judging meanwhile.
            log.error("policy_source_unavailable", fault=str(fault))  # noqa: TRY400 -- the message is complete
        except Exception as error:
            # One edit that nobody foresaw must not end the watch for all later ones.
            self._metrics.rejected()
            log.exception("policy_set_rejected", problem=repr(error), consequence="the active set stays")

    def _poll(self) -> None:
        update = self._source.poll()
        self._metrics.looked()
        if update is None:
            return
        try:
            self._activate(update)
        except DependencyFault:
            self._source.reset()
            raise

    def _activate(self, update: PolicySetUpdate) -> None:
        active = self._active = self._builder.build(update)
        self._metrics.activated(active, self._builder.stale(update.policy_set))
        policy_set = active.judge.bank.policy_set
        log.info(
            "policy_set_active",
            digest=policy_set.digest,
            version=update.version or None,
            policies=[policy.id for policy in policy_set.policies],
            canary=active.canary.bank.policy_set.digest if active.canary else None,
        )

    def _reject(self, error: PolicyError, consequence: str) -> None:
        self._metrics.rejected()
        log.error("policy_set_rejected", problem=str(error), consequence=consequence)

    def _watch(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self.refresh()
