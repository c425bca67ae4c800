"""Costs of one image in each stage: given, measured in this process, or read from a running worker."""

from dataclasses import dataclass, replace

from pipeline.errors import UsageError
from pipeline.operations.top.changes import Change

# Own CPU time of a worker for reading and sending one image's records by the Kafka client, and the cost of one
# transaction without its records. docs/capacity.md says how they were measured.
KAFKA_MS = 0.4
COMMIT_MS = 15.0


@dataclass(frozen=True, slots=True)
class Costs:
    """
    Costs in milliseconds: of one image, and `commit_ms` of one transaction (a chunk).

    `decode_ms` is CPU time of one core, `encode_ms` the time of one Triton, `judge_ms`, `records_ms` (writing an
    image's outcomes) and `kafka_ms` are CPU time of the worker's own process, which has one core. `image_bytes` is the
    mean size of an image.
    """

    decode_ms: float
    encode_ms: float
    judge_ms: float
    records_ms: float
    image_bytes: float
    kafka_ms: float = KAFKA_MS
    commit_ms: float = COMMIT_MS

    @property
    def own_ms(self) -> float:
        """CPU time of the worker's own process for one image, in milliseconds."""
        return self.judge_ms + self.records_ms + self.kafka_ms

    @property
    def sending_ms(self) -> float:
        """Time that one image adds to a transaction, in milliseconds."""
        return self.records_ms + self.kafka_ms


def costs_of_worker(measured: Costs, change: Change) -> Costs:
    """
    Return the costs that a worker shows between two pages; `measured` gives what its metrics do not have.

    Its decode processes are not in its metrics. Raises `UsageError` when it judged nothing in between.
    """
    images = change.increase("watchword_verdicts_total")
    commits = change.increase("watchword_commit_duration_seconds_count")
    encoded = change.increase("watchword_batch_images_sum")
    if not images or not commits or not encoded:
        raise UsageError(f"the worker judged nothing within {change.seconds:.0f} s; send it images, or wait longer")
    judge_ms = change.increase("watchword_stage_duration_seconds_sum", stage="judge") * 1e3 / images
    own_ms = change.increase("process_cpu_seconds_total") * 1e3 / images
    sending_ms = max(measured.records_ms, own_ms - judge_ms)
    commit_ms = change.increase("watchword_commit_duration_seconds_sum") * 1e3 / commits
    return replace(
        measured,
        encode_ms=change.increase("watchword_encoder_request_duration_seconds_sum") * 1e3 / encoded,
        judge_ms=judge_ms,
        kafka_ms=sending_ms - measured.records_ms,
        # A part of a transaction's time belongs to its images, which are counted one by one.
        commit_ms=max(1.0, commit_ms - measured.records_ms * images / commits),
    )
