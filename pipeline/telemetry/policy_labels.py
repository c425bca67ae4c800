"""Values of the label `policy`, up to a limit: a thousand policies must not make ten thousand series."""

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()

OTHER = "other"


class PolicyLabels:
    """
    Maps ids of policies to label values: the first `limit` ids to themselves, every later one to `other`.

    `on_unlabelled` is given the number of ids without a label of their own whenever it grows. The first of them is
    logged. Safe with several threads.
    """

    def __init__(self, limit: int, on_unlabelled: Callable[[int], object]) -> None:
        self._limit = limit
        self._on_unlabelled = on_unlabelled
        self._labelled: set[str] = set()
        self._unlabelled: set[str] = set()
        self._lock = threading.Lock()

    def of(self, policy_id: str) -> str:
        """Return the label value of a policy."""
        with self._lock:
            if policy_id in self._labelled:
                return policy_id
            if len(self._labelled) < self._limit:
                self._labelled.add(policy_id)
                return policy_id
            if policy_id not in self._unlabelled:
                self._note(policy_id)
            return OTHER

    def _note(self, policy_id: str) -> None:
        if not self._unlabelled:
            log.warning("metrics_policies_limited", policy=policy_id, limit=self._limit)
        self._unlabelled.add(policy_id)
        self._on_unlabelled(len(self._unlabelled))
