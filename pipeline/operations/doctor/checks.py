"""Checks of `watchword doctor`, run one after the other, each with a deadline."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import WatchwordError
from pipeline.operations.doctor.findings import Finding, State, failed, skipped
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Check:
    """
    A check of the part `name`.

    `examine` yields findings, and may raise: a `WatchwordError` becomes a failed finding with `advice`. `needs` names
    the parts without which nothing can be said. `deadline_s` is in seconds.
    """

    name: str
    examine: Callable[[Workbench], Iterator[Finding]]
    advice: str = ""
    needs: tuple[str, ...] = ()
    deadline_s: float = 15.0


def run_checks(workbench: Workbench, checks: Sequence[Check]) -> tuple[Finding, ...]:
    """Return the findings of all checks, in their order. No failure of one keeps another from running."""
    # The checks run in threads of their own, and progress is reported by one thread.
    silent = Workbench(workbench.settings, user=workbench.user)
    found: list[Finding] = []
    for check in checks:
        broken = {each.name for each in found if each.state in (State.FAILED, State.SKIPPED)}
        if missing := [name for name in check.needs if name in broken]:
            found.append(skipped(check.name, f"not checked, because of `{missing[0]}`"))
            continue
        with workbench.progress.working(f"checking: {check.name}"):
            found += _run(check, silent)
    return tuple(found)


def _run(check: Check, workbench: Workbench) -> list[Finding]:
    """Return the findings of a check up to its deadline. A check that hangs is left behind in its thread."""
    findings: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
    threading.Thread(
        target=_examine, args=(check, workbench, findings), name=f"doctor-{check.name}", daemon=True
    ).start()
    found: list[Finding] = []
    deadline = time.monotonic() + check.deadline_s
    while True:
        try:
            finding = findings.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return [*found, failed(check.name, f"no answer within {check.deadline_s:.0f} s", check.advice)]
        if finding is None:
            return found
        found.append(finding)


def _examine(check: Check, workbench: Workbench, findings: "queue.SimpleQueue[Finding | None]") -> None:
    try:
        for finding in check.examine(workbench):
            findings.put(finding)
    except WatchwordError as error:
        findings.put(failed(check.name, str(error), check.advice))
    except Exception as error:  # noqa: BLE001 -- one check's bug must not hide what the others find
        findings.put(failed(check.name, f"{type(error).__name__}: {error}", "please report it: this is a bug"))
    findings.put(None)
