"""A worker's health, readiness and metrics, as an operator's probes see them."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.support.waiting import wait_until


class Probes:
    """Health, readiness and metrics of the worker at a port."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ready(self) -> bool:
        return self._get("/readyz")[0] == 200

    def alive(self) -> bool:
        return self._get("/healthz")[0] == 200

    def checks(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._get("/readyz")[1] or "{}")
        return found

    def lag(self) -> int:
        found = re.findall(r"^watchword_consumer_lag_records\{[^}]*\} (\S+)$", self._get("/metrics")[1], re.MULTILINE)
        return int(sum(map(float, found)))

    def metric(self, line: str) -> float:
        found = re.search(rf"^{re.escape(line)} (\S+)$", self._get("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0

    def wait_ready(self, wanted: bool, timeout_s: float) -> float:  # noqa: FBT001 -- the state waited for
        """Wait until readiness is as wanted and return how long it took. Raises `TimeoutError`."""
        started = time.monotonic()
        wait_until(lambda: self.ready() is wanted, timeout_s, f"ready {wanted}, which says {self.checks()}", 0.2)
        return time.monotonic() - started

    def _get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=3) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""


def holds_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Tell whether a condition stays true for some time."""
    try:
        wait_until(lambda: not condition(), seconds, "its end", 0.3)
    except TimeoutError:
        return True
    return False
