"""Metrics of the worker and of the exporter of decisions."""

import math
from typing import Literal

from pipeline.errors import DeadLetterReason
from pipeline.telemetry.catalogue import Catalogue

LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SCORE_BUCKETS = tuple(range(-20, 21, 2))


class Metrics(Catalogue):
    """Metrics of a worker."""

    def __init__(self) -> None:
        super().__init__()
        self.records = self._counter("records", "Records read from the input topic, including those read again.")
        self.verdicts = self._counter(
            "verdicts", "Committed verdicts, by the policy set that made them: `current` or `canary`.", ("set",)
        )
        # Divided by the verdicts of the same `set`, `current` and `canary` compare.
        self.flags = self._counter(
            "flags",
            "Committed verdicts to which a policy said yes. Only mode `enforce` emits a flag event.",
            ("policy", "mode", "set"),
        )
        self.dead_letters = self._counter("dead_letters", "Committed dead letters, by reason.", ("reason",))
        self.stage_seconds = self._histogram(
            "stage_duration_seconds", "Time that a stage worked on one chunk.", STAGE_BUCKETS, ("stage",)
        )
        self.chunk_records = self._histogram("chunk_records", "Number of records in a chunk.", SIZE_BUCKETS)
        self.batch_images = self._histogram("batch_images", "Number of images in an encoder request.", SIZE_BUCKETS)
        self.chunks_in_work = self._gauge("chunks_in_work", "Chunks between poll and commit.")
        self.queue_chunks = self._gauge("queue_chunks", "Chunks that wait in front of a stage.", ("stage",))
        self.latency_seconds = self._histogram(
            "end_to_end_latency_seconds", "Time from an event's `ce_time` to its committed verdict.", LATENCY_BUCKETS
        )
        self.encoder_seconds = self._histogram(
            "encoder_request_duration_seconds",
            "Time of an answered encoder request, its retries included.",
            STAGE_BUCKETS,
        )
        self.encoder_requests = self._gauge("encoder_requests_in_flight", "Encoder requests without an answer yet.")
        self.capacity = self._gauge(
            "capacity",
            "Limits that the gauges of load compare with: `chunks`, `requests` and `batch_images`.",
            ("limit",),
        )
        self.triton_requests = self._counter("triton_requests", "Encoder requests, by the Triton asked.", ("address",))
        self.triton_up = self._gauge(
            "triton_up", "1 for a Triton that is asked; 0 for one that is left out until it answers.", ("address",)
        )
        self.encoder_errors = self._counter("encoder_errors", "Failed encoder requests, by kind.", ("kind",))
        self.retries = self._counter("retries", "Retries after a dependency's fault, by dependency.", ("dependency",))
        self.commit_seconds = self._histogram(
            "commit_duration_seconds",
            "Time of a transaction, from its first record to the broker's answer.",
            STAGE_BUCKETS,
        )
        self.commits_aborted = self._counter(
            "commits_aborted", "Transactions that did not commit: aborted, refused, fenced or unanswered.", ("cause",)
        )
        self.fencings = self._counter(
            "fencings", "Times that Kafka reported this member as replaced. Repeated: two workers have one instance id."
        )
        self.rebalances = self._counter(
            "rebalances", "Rewinds of the worker, at start and after each rebalance or abort."
        )
        self.lag_records = self._gauge(
            "consumer_lag_records",
            "Records between the committed offset and the end of an assigned partition.",
            ("partition",),
        )
        self.lag_seconds = self._gauge(
            "consumer_lag_seconds",
            "Age of the oldest uncommitted record of an assigned partition, since its arrival; 0 without one.",
            ("partition",),
        )
        self.partitions = self._gauge("assigned_partitions", "Partitions of the input topic assigned to this worker.")
        self.stalled_seconds = self._gauge(
            "seconds_without_progress",
            "Seconds since the last commit while there was something to commit; 0 on a quiet stream.",
        )
        self.records_missed = self._counter(
            "records_missed", "Records that retention removed before this group had read them."
        )
        self.scores = self._bulk_histogram("score", "Raw scores in committed verdicts.", SCORE_BUCKETS, "policy")
        self.info = self._gauge(
            "build_info",
            "Always 1; the labels name the version, the model, and the active policy set or its canary.",
            ("version", "model", "policy_set", "set"),
        )
        self.policy_version = self._gauge(
            "policy_version", "Version of the current release; 0 if policies come from a folder."
        )
        self.policy_set_active = self._gauge(
            "policy_set_active_timestamp_seconds", "Time at which the active policy set became active, Unix seconds."
        )
        self.policy_source_read = self._gauge(
            "policy_source_read_timestamp_seconds", "Time of the last successful look for a policy set, Unix seconds."
        )
        self.policies_refused = self._counter(
            "policy_sets_refused", "Policy sets rejected as invalid; the active set stayed."
        )
        self.policies_stale = self._gauge(
            "policies_stale", "Policies whose threshold was fitted for another model, prompts, target or labels."
        )
        self.policy_info = self._gauge(
            "policy_info",
            "Always 1, for each policy of the active set; `calibration`: `fitted`, `provisional` or `stale`.",
            ("policy", "mode", "severity", "owner", "calibration"),
        )
        self.policy_threshold = self._gauge("policy_threshold", "Threshold of a policy of the active set.", ("policy",))
        self.score_drift = self._gauge(
            "score_drift",
            "Population stability index of a policy's scores, recent against reference window; over 0.25: a shift; "
            "NaN with too few images.",
            ("policy",),
        )
        self.embedding_drift = self._gauge(
            "embedding_drift",
            "Population stability index of the embeddings' cosines with their mean, recent against reference window; "
            "NaN with too few images.",
        )
        self.embedding_drift.set(math.nan)
        self.probe_up = self._gauge("probe_up", "1 while the last golden probes passed; 0: nothing is judged.")
        self.probe_known = self._gauge(
            "probe_known", "1 when the model has a golden file; 0: nothing is probed (`watchword models golden`)."
        )
        self.probe_failures = self._counter(
            "probe_failures",
            "Golden probes that failed: `image`, `text`, `score`, `policy_set`, or `canary`, in a stream's request.",
            ("probe",),
        )
        self.probe_canaries = self._counter(
            "probe_canaries", "Golden images that went along in encoder requests and came out right."
        )
        self.probe_seconds = self._histogram("probe_duration_seconds", "Time of a run of all probes.", STAGE_BUCKETS)
        self.probe_run = self._gauge(
            "probe_run_timestamp_seconds", "Time of the last run of all probes, Unix seconds; 0 before the first."
        )
        self.policies_unlabelled = self._gauge(
            "policies_unlabelled", "Policies counted as `other`, because WATCHWORD_METRICS_POLICIES is reached."
        )
        for reason in DeadLetterReason:
            self.dead_letters.labels(reason.value)


class DecisionMetrics(Catalogue):
    """Metrics of policies estimated from people's decisions, as `watchword decisions watch` serves them."""

    def __init__(self) -> None:
        super().__init__()
        self.decisions = self._gauge(
            "decisions", "Decisions by policy and ruling; the last one about each event counts.", ("policy", "ruling")
        )
        self.precision = self._gauge(
            "decided_precision",
            "Share of decided flags that were upheld; `bound` is value, lower or upper of the 95 % interval.",
            ("policy", "bound"),
        )
        self.recall = self._gauge(
            "decided_recall",
            "Estimated share of harmful images that are flagged; only where audits found enough misses.",
            ("policy", "bound"),
        )
        self.newest = self._gauge("decisions_newest_timestamp_seconds", "Time of the newest decision, Unix seconds.")

    def forget(self) -> None:
        """Drop every policy's figures, so that a policy without decisions has none."""
        for gauge in (self.decisions, self.precision, self.recall):
            gauge.clear()

    def show(
        self, what: Literal["precision", "recall"], policy_id: str, value: float, lower: float, upper: float
    ) -> None:
        """Set a policy's precision or recall and its interval."""
        gauge = self.precision if what == "precision" else self.recall
        for bound, number in (("value", value), ("lower", lower), ("upper", upper)):
            gauge.labels(policy_id, bound).set(number)


class HeldMetrics(Catalogue):
    """Metrics of a worker that `watchword run --hold` keeps after an error."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = self._gauge(
            "stopped", "1 while the worker judges nothing and waits for a person; `code` is its exit code.", ("code",)
        )


class ArchiveMetrics(Catalogue):
    """Metrics of the archiver, as `watchword archive run --serve` serves them."""

    def __init__(self) -> None:
        super().__init__()
        self.stored = self._counter("archive_embeddings", "Embeddings that were stored; one stored before counts once.")
        self.refused = self._counter("archive_refused", "Records of the embeddings topic that cannot be stored.")
        self.rewinds = self._counter(
            "archive_rewinds", "Batches that could not be stored or committed, and are read again."
        )
        self.write_seconds = self._histogram(
            "archive_write_duration_seconds", "Time to store a batch and commit its offsets.", LATENCY_BUCKETS
        )
        self.newest = self._gauge("archive_newest_write_timestamp_seconds", "Time of the last write, Unix seconds.")
