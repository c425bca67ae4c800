"""Plan of a stream's capacity: arithmetic from the costs of one image to workers, cores, Tritons and partitions."""

import math
from dataclasses import dataclass

from pipeline.errors import UsageError
from pipeline.operations.capacity.costs import Costs

# A worker's decode processes are fed by one process.
MOST_DECODE_PROCESSES = 16
MOST_WORKERS = 1000
# Partitions for each worker, so that the number of workers can be doubled without moving keys.
PARTITIONS_PER_WORKER = 2
# A late image waits for the chunk before it, and its own stages take up to this many times their mean.
TAIL = 3.0


@dataclass(frozen=True, slots=True)
class Demand:
    """
    The wanted capacity: images per second, and the 99th percentile of the time to a verdict, in seconds.

    `utilisation` is the share of each resource that may be in use, 0 to 1.
    """

    images_per_s: float
    p99_s: float
    utilisation: float = 0.7


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """Limits of one chunk: number of records, and bytes."""

    records: int
    size_bytes: int

    def images(self, image_bytes: float) -> float:
        """Return the largest number of images in a chunk."""
        return max(1.0, min(self.records, self.size_bytes / max(image_bytes, 1.0)))


@dataclass(frozen=True, slots=True)
class Service:
    """Chunks of one worker at its rate: images in a chunk, mean time of its stages, and the 99th percentile (s)."""

    images: float
    stages_s: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the arithmetic: the quantity, the calculation with its numbers, and the result."""

    name: str
    calculation: str
    result: str


@dataclass(frozen=True, slots=True)
class Reserve:
    """The rate at which one resource is fully used, in images per second."""

    name: str
    images_per_s: float


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    """
    Numbers for a demand. `decode_processes` are those of each worker (`WATCHWORD_DECODE_THREADS`).

    `reserves` are in the order in which the resources are used up; the first one breaks first.
    """

    workers: int
    partitions: int
    decode_cores: float
    decode_processes: int
    tritons: int
    service: Service
    steps: tuple[Step, ...]
    reserves: tuple[Reserve, ...]


def plan_capacity(costs: Costs, demand: Demand, limits: ChunkLimits) -> CapacityPlan:
    """Return the plan for a demand. Raises `UsageError` when no number of workers keeps the latency. Pure."""
    _require_reachable(costs, demand)
    rate, use = demand.images_per_s, demand.utilisation
    cores = rate * costs.decode_ms / 1e3 / use
    tritons = math.ceil(rate * costs.encode_ms / 1e3 / use)
    most = limits.images(costs.image_bytes)
    commits_per_s = most * 1e3 / (costs.commit_ms + most * costs.sending_ms)
    needed = {
        "own CPU": math.ceil(rate * costs.own_ms / 1e3 / use),
        "commits": math.ceil(rate / commits_per_s / use),
        "decode processes": math.ceil(cores / MOST_DECODE_PROCESSES),
    }
    workers, service = _workers_for_latency(costs, demand, most, tritons, cores, max(needed.values()))
    partitions = workers * PARTITIONS_PER_WORKER
    processes = max(1, math.ceil(cores / workers))
    steps = _steps(costs, demand, needed, cores, tritons, most, commits_per_s, workers, service, partitions, processes)
    reserves = _reserves(costs, workers, tritons, processes, commits_per_s)
    return CapacityPlan(workers, partitions, cores, processes, tritons, service, steps, reserves)


def service_of(
    costs: Costs, rate_per_worker: float, most_images: float, decode_processes: int, tritons_per_worker: float
) -> Service:
    """
    Return the service of a worker's chunks at a rate, in images per second.

    A chunk has the images that arrived while the one before was committed: `n = rate × (commit + n × sending)`.
    """
    sending_s, commit_s = costs.sending_ms / 1e3, costs.commit_ms / 1e3
    free = 1 - rate_per_worker * sending_s
    images = min(most_images, max(1.0, rate_per_worker * commit_s / free)) if free > 0 else most_images
    stages_s = images * (
        costs.decode_ms / 1e3 / max(1.0, min(decode_processes, images))
        + costs.encode_ms / 1e3 / max(1.0, min(tritons_per_worker, images))
        + costs.judge_ms / 1e3
    )
    committing_s = commit_s + images * sending_s
    stages_s += committing_s
    return Service(images, stages_s, committing_s + TAIL * stages_s)


def _require_reachable(costs: Costs, demand: Demand) -> None:
    """Raise `UsageError` when one image alone, on an idle stream, takes longer than the wanted latency."""
    alone = service_of(costs, 0.0, 1.0, 1, 1.0)
    if alone.p99_s > demand.p99_s:
        raise UsageError(
            f"a 99th percentile of {demand.p99_s * 1e3:.0f} ms cannot be reached: one image alone has about "
            f"{alone.p99_s * 1e3:.0f} ms, with {costs.encode_ms:.1f} ms in Triton and {costs.commit_ms:.1f} ms for a "
            "commit; use a faster encoder or broker, or allow more"
        )


def _workers_for_latency(
    costs: Costs, demand: Demand, most: float, tritons: int, cores: float, workers: int
) -> tuple[int, Service]:
    """Return the smallest number of workers, at least `workers`, whose chunks are quick enough."""
    for number in range(max(1, workers), MOST_WORKERS + 1):
        processes = max(1, math.ceil(cores / number))
        service = service_of(costs, demand.images_per_s / number, most, processes, tritons / number)
        if service.p99_s <= demand.p99_s:
            return number, service
    raise UsageError(f"{MOST_WORKERS} workers are not enough for {demand.images_per_s:g} images/s; split the stream")


def _steps(
    costs: Costs,
    demand: Demand,
    needed: dict[str, int],
    cores: float,
    tritons: int,
    most: float,
    commits_per_s: float,
    workers: int,
    service: Service,
    partitions: int,
    processes: int,
) -> tuple[Step, ...]:
    rate, use = f"{demand.images_per_s:g}/s", f"{demand.utilisation:g}"
    latency = "the largest of these, or more until the 99th percentile is in time"
    return (
        Step("decode cores", f"{rate} × {costs.decode_ms:.2f} ms ÷ {use}", f"{cores:.1f}"),
        Step("Tritons", f"{rate} × {costs.encode_ms:.2f} ms ÷ {use}, rounded up", str(tritons)),
        Step(
            "workers by own CPU",
            f"{rate} × ({costs.judge_ms:.2f} judge + {costs.records_ms:.2f} records + {costs.kafka_ms:.2f} Kafka) ms "
            f"÷ {use}, rounded up",
            str(needed["own CPU"]),
        ),
        Step(
            "commits of a worker",
            f"{most:.0f} images ÷ ({costs.commit_ms:.1f} ms + {most:.0f} × {costs.sending_ms:.2f} ms)",
            f"{commits_per_s:.0f}/s",
        ),
        Step("workers by commits", f"{rate} ÷ {commits_per_s:.0f}/s ÷ {use}, rounded up", str(needed["commits"])),
        Step(
            "workers by decoding",
            f"{cores:.1f} cores ÷ {MOST_DECODE_PROCESSES} processes, rounded up",
            str(needed["decode processes"]),
        ),
        Step("workers", latency, str(workers)),
        Step(
            "images in a chunk",
            f"{demand.images_per_s / workers:.0f}/s × the time of a commit",
            f"{service.images:.1f}",
        ),
        Step(
            "99th percentile",
            f"a commit of the chunk before + {TAIL:g} × {service.stages_s * 1e3:.0f} ms in all stages",
            f"{service.p99_s * 1e3:.0f} ms",
        ),
        Step("partitions", f"{workers} workers × {PARTITIONS_PER_WORKER}", str(partitions)),
        Step("decode processes", f"{cores:.1f} cores ÷ {workers} workers, rounded up", f"{processes} a worker"),
    )


def _reserves(costs: Costs, workers: int, tritons: int, processes: int, commits_per_s: float) -> tuple[Reserve, ...]:
    """Return the rates at which each resource is fully used, the lowest first."""
    found = (
        Reserve("decode processes", workers * processes * 1e3 / costs.decode_ms),
        Reserve("Tritons", tritons * 1e3 / costs.encode_ms),
        Reserve("the workers' own CPU", workers * 1e3 / costs.own_ms),
        Reserve("commits", workers * commits_per_s),
    )
    return tuple(sorted(found, key=lambda each: each.images_per_s))
