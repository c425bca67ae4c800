"""The policy set in force: taken at start, taken anew when there is another one, all or nothing."""

import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime

import numpy as np
import structlog

from pipeline.encode.ports import TextEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import DependencyFault, PolicyError, ScoreFault, UsageError, WatchwordError
from pipeline.events.policies import PolicySet
from pipeline.judge.score import Judge
from pipeline.policies.model_compatibility import for_model, stale_policies
from pipeline.releases.sources import PolicySetUpdate, PolicySource
from pipeline.stream.active_set import ActiveJudges
from pipeline.telemetry.metrics import Metrics

log = structlog.get_logger()


class PolicyWatcher:
    """
    Holds what judges, and replaces it between chunks when its source has something else.

    An edit that is not valid is logged with its place, counted, and changes nothing. Policies fitted for none of
    `models` follow their `on_model_change`.
    """

    def __init__(
        self,
        source: PolicySource,
        encoder: TextEncoder,
        models: Collection[str],
        metrics: Metrics,
        *,
        interval_s: float = 2.0,
    ) -> None:
        self._source = source
        self._encoder = encoder
        self._models = models
        self._metrics = metrics
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._in_force: ActiveJudges | None = None
        self._on_change: Callable[[ActiveJudges], None] | None = None

    def load(self, on_change: Callable[[ActiveJudges], None]) -> None:
        """
        Take the first set; when that is not valid, the newest one before it that is.

        Raises `PolicyError` when there is none, and `DependencyFault`: try again later.
        """
        self._on_change = on_change
        try:
            self._take_news()
        except PolicyError as error:
            self._refuse(error, "policy set refused, the newest valid one before it is looked for")
            if not self._take_earlier():
                raise

    def _take_earlier(self) -> bool:
        for offer in self._source.previous():
            try:
                self._take(offer)
            except PolicyError as error:
                self._refuse(error, "an earlier policy set is refused too")
            except DependencyFault:
                self._source.reset()
                raise
            else:
                return True
        return False

    @property
    def loaded(self) -> bool:
        """Whether a set is in force."""
        return self._in_force is not None

    def watching(self) -> bool:
        """Tell whether edits are still looked for: false when the thread that does has ended by itself."""
        return self._thread is None or self._thread.is_alive()

    def current(self) -> ActiveJudges:
        """Return what is in force now; a chunk is judged by it whole."""
        assert self._in_force is not None
        return self._in_force

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
        """Take what the source has if it is new and valid."""
        try:
            self._take_news()
        except PolicyError as error:
            self._refuse(error, "policy edit refused, the last good set stays in force")
        except (DependencyFault, UsageError, OSError) as fault:
            # A right that was taken away, a file that may not be read: the set in force goes on judging meanwhile.
            log.error("policies cannot be taken for now", fault=str(fault))  # noqa: TRY400 -- the message says all
        except Exception as error:
            # One edit that nobody foresaw must not end the watch over all later ones.
            self._metrics.policies_refused.inc()
            log.exception("policy edit refused, the last good set stays in force", problem=repr(error))

    def _take_news(self) -> None:
        offer = self._source.poll()
        if offer is None:
            return
        try:
            self._take(offer)
        except DependencyFault:
            self._source.reset()
            raise

    def _take(self, offer: PolicySetUpdate) -> None:
        judge, canary = self._judges_of(offer)
        self._in_force = ActiveJudges(judge, offer.version, canary, offer.canary_share)
        stale = {policy.id for policy in stale_policies(offer.policy_set, self._models)}
        stale |= {policy.id for policy in offer.policy_set.policies if policy.calibration and policy.calibration.stale}
        self._metrics.policies_stale.set(len(stale))
        judged = judge.bank.policy_set
        log.info(
            "policy set in force",
            digest=judged.digest,
            version=offer.version or None,
            policies=[policy.id for policy in judged.policies],
            canary=canary.bank.policy_set.digest if canary else None,
        )
        if self._on_change is not None:
            self._on_change(self._in_force)

    def _judges_of(self, offer: PolicySetUpdate) -> tuple[Judge, Judge | None]:
        """Return what judges by an offer. Raises `PolicyError` for a set that cannot, and `DependencyFault`."""
        try:
            return self._judge_of(offer.policy_set), self._judge_of(offer.canary) if offer.canary else None
        except WatchwordError:
            raise
        except Exception as error:  # a set that passed every check and breaks the judge is refused like any other
            raise PolicyError(f"the set cannot be used: {type(error).__name__}: {error}") from error

    def _judge_of(self, policy_set: PolicySet) -> Judge:
        judged = for_model(policy_set, self._models)
        if stale := [policy.id for policy in stale_policies(policy_set, self._models)]:
            log.warning("fitted for another model, shadowed until their thresholds are fitted again", policies=stale)
        changed = {p.id: p.calibration.stale for p in judged.policies if p.calibration and p.calibration.stale}
        if changed:
            log.warning(
                "thresholds whose calibration is stale, provisional until they are fitted again", policies=changed
            )
        today = datetime.now(UTC).date()
        if expired := [policy.id for policy in judged.policies if policy.expired(today)]:
            log.warning("past their last day: scored and counted, they flag nothing", policies=expired)
        judge = Judge(build_prompt_bank(judged, self._encoder))
        _try(judge)
        return judge

    def _refuse(self, error: Exception, consequence: str) -> None:
        self._metrics.policies_refused.inc()
        log.error(consequence, problem=str(error))

    def _watch(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self.refresh()


def _try(judge: Judge) -> None:
    """
    Judge one made-up embedding, so that a set that cannot judge is refused before it is in force.

    Raises `PolicyError`.
    """
    dimension = judge.bank.vectors.shape[1]
    probe = np.full((1, dimension), 1 / np.sqrt(dimension), dtype=np.float16)
    try:
        judge.judge(probe)
    except ScoreFault as fault:
        raise PolicyError(f"the set cannot judge: {fault}") from fault
