"""The policy set in force: read at start, taken anew when its files change, all or nothing."""

import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path

import structlog

from pipeline.encode.prompt_bank import TextEncoder, build_prompt_bank
from pipeline.errors import EncoderFault, PolicyError
from pipeline.events.policies import PolicySet
from pipeline.judge.load import load_policy_set
from pipeline.judge.model_change import for_model, stale_policies
from pipeline.judge.score import Judge
from pipeline.telemetry import Metrics

log = structlog.get_logger()


class PolicyWatch:
    """
    Holds the judge of the policy set in force and replaces it between chunks when the folder changes.

    An edit that is not valid is logged with its place, counted, and changes nothing. Policies fitted for none of
    `models` follow their `on_model_change`.
    """

    def __init__(
        self,
        folder: Path,
        encoder: TextEncoder,
        models: Collection[str],
        metrics: Metrics,
        *,
        interval_s: float = 2.0,
    ) -> None:
        self._folder = folder
        self._encoder = encoder
        self._models = models
        self._metrics = metrics
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._seen: object = None
        self._judge: Judge | None = None
        self._loaded = ""
        self._on_change: Callable[[PolicySet], None] | None = None

    def load(self, on_change: Callable[[PolicySet], None]) -> None:
        """Load the first set. Raises `PolicyError`, and `EncoderFault` when the text tower does not answer."""
        self._on_change = on_change
        self._seen = _fingerprint(self._folder)
        self._take(load_policy_set(self._folder))

    def current(self) -> Judge:
        """Return the judge in force now; a chunk is judged by one of them."""
        assert self._judge is not None
        return self._judge

    def start(self) -> None:
        """Watch the folder until `stop`."""
        threading.Thread(target=self._watch, name="policy-watch", daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()

    def refresh(self) -> None:
        """Take the folder's set if it changed and is valid."""
        seen = _fingerprint(self._folder)
        if seen == self._seen:
            return
        try:
            policy_set = load_policy_set(self._folder)
            if policy_set.digest != self._loaded:
                self._take(policy_set)
        except PolicyError as error:
            self._metrics.policies_refused.inc()
            log.error(  # noqa: TRY400 -- the message has file, line and column; a traceback would hide them
                "policy edit refused, the last good set stays in force", problem=str(error)
            )
        except EncoderFault as fault:
            log.warning("policy edit waits for the text tower", fault=str(fault))
            return  # seen again next time
        self._seen = seen

    def _take(self, policy_set: PolicySet) -> None:
        stale = [policy.id for policy in stale_policies(policy_set, self._models)]
        judged = for_model(policy_set, self._models)
        self._judge = Judge(build_prompt_bank(judged, self._encoder))
        self._loaded = policy_set.digest
        self._metrics.policies_stale.set(len(stale))
        if stale:
            log.warning("fitted for another model, shadowed until their thresholds are fitted again", policies=stale)
        today = datetime.now(UTC).date()
        if expired := [policy.id for policy in judged.policies if policy.expired(today)]:
            log.warning("past their last day: scored and counted, they flag nothing", policies=expired)
        log.info("policy set in force", digest=judged.digest, policies=[p.id for p in judged.policies])
        if self._on_change is not None:
            self._on_change(judged)

    def _watch(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self.refresh()


def _fingerprint(folder: Path) -> object:
    """Return what changes when a file of the folder does."""
    stats = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        stats.append((path.name, stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return stats
