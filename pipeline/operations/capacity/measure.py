"""Costs of one image from measurement: in this process, and from a running worker's metrics where one is given."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.operations.capacity.calibrate import measure_costs
from pipeline.operations.capacity.costs import Costs, costs_of_worker
from pipeline.operations.top.changes import Change
from pipeline.operations.top.readings import TIMEOUT_S
from pipeline.operations.workbench import Workbench
from pipeline.telemetry.scrape import read_metrics


def find_costs(
    workbench: Workbench,
    images: Sequence[Path] = (),
    *,
    encode_ms: float | None = None,
    commit_ms: float | None = None,
    worker: str | None = None,
    interval_s: float = 10.0,
) -> Costs:
    """
    Return the costs of an image. `encode_ms` and `commit_ms` take the place of what is measured.

    `worker` is the `host:port` of a worker that judges images at present; its metrics are read over `interval_s`
    seconds. Raises `UsageError`, also when it judges nothing, and `WorkerFault` when it does not answer.
    """
    before = read_metrics(worker, timeout_s=TIMEOUT_S) if worker else None
    costs = measure_costs(workbench, images, encode_ms)
    if worker and before:
        with workbench.progress.working(f"reading the worker {worker}"):
            threading.Event().wait(interval_s)
        costs = costs_of_worker(costs, Change(before, read_metrics(worker, timeout_s=TIMEOUT_S)))
    return replace(costs, encode_ms=encode_ms or costs.encode_ms, commit_ms=commit_ms or costs.commit_ms)
