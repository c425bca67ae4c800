"""Every metric and the logging set-up, once."""

from typing import Literal

from pipeline.errors import DeadLetterReason
from pipeline.telemetry.catalogue import Catalogue

LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SCORE_BUCKETS = tuple(range(-20, 21, 2))


class Metrics(Catalogue):
    """What a worker counts."""

    def __init__(self) -> None:
        super().__init__()
        # Records read from the input topic, counted again when a chunk is read again.
        self.records = self._counter("records", "Records read from the input topic, re-reads included.")
        # Verdicts committed: images that were judged, by the set in force or by its canary.
        self.verdicts = self._counter("verdicts", "Images judged, in committed transactions.", ("set",))
        # A policy's yes, by policy and mode; only mode `enforce` emits a flag event. Divided by the verdicts of the
        # same `set`, `current` and `canary` compare.
        self.flags = self._counter("flags", "Verdicts a policy said yes to, committed.", ("policy", "mode", "set"))
        # Dead letters committed, by reason of the closed list.
        self.dead_letters = self._counter("dead_letters", "Records that could not be judged, committed.", ("reason",))
        # How long a stage worked on a chunk: decode, encode, judge, commit.
        self.stage_seconds = self._histogram(
            "stage_duration_seconds", "Time a stage worked on one chunk.", STAGE_BUCKETS, ("stage",)
        )
        # Records in a chunk: small on a quiet stream, up to the cap on a busy one.
        self.chunk_records = self._histogram("chunk_records", "Records in a chunk.", SIZE_BUCKETS)
        # Images in one request to the encoder.
        self.batch_images = self._histogram("batch_images", "Images in one encoder request.", SIZE_BUCKETS)
        # Chunks between poll and commit.
        self.chunks_in_work = self._gauge("chunks_in_work", "Chunks between poll and commit.")
        # Chunks waiting in front of a stage.
        self.queue_chunks = self._gauge("queue_chunks", "Chunks waiting for a stage.", ("stage",))
        # From an event's ce_time (else its record's timestamp) to its committed verdict.
        self.latency_seconds = self._histogram(
            "end_to_end_latency_seconds", "From ce_time to the committed verdict.", LATENCY_BUCKETS
        )
        # Encoder requests that failed, by kind of failure.
        self.encoder_errors = self._counter("encoder_errors", "Encoder requests that failed.", ("kind",))
        # Chunks tried again because a dependency failed, by dependency.
        self.retries = self._counter("retries", "Tries again after a dependency's fault.", ("dependency",))
        # How long a transaction took, from its first record to the broker's yes.
        self.commit_seconds = self._histogram("commit_duration_seconds", "Time of one transaction.", STAGE_BUCKETS)
        # Transactions that did not commit: aborted, refused, fenced or of unknown outcome.
        self.commits_aborted = self._counter("commits_aborted", "Transactions that did not commit.", ("cause",))
        # Rebalances of the consumer group that this worker saw.
        self.rebalances = self._counter("rebalances", "Times the assignment was taken anew.")
        # Records of assigned partitions that this worker has not committed yet.
        self.lag_records = self._gauge(
            "consumer_lag_records", "Records between the committed offset and the end.", ("partition",)
        )
        # Time without a commit while there is something to commit: 0 on a quiet stream, rising on one that is stuck.
        self.stalled_seconds = self._gauge(
            "seconds_without_progress", "Seconds since the last commit while there was something to commit."
        )
        # Records that retention removed before they were read: nobody has judged them.
        self.records_missed = self._counter(
            "records_missed", "Records removed by retention before this group had read them."
        )
        # Raw scores by policy: a drifting distribution shows before flags do.
        self.scores = self._bulk_histogram("score", "Raw scores of committed verdicts.", SCORE_BUCKETS, "policy")
        # Set to 1; labels name the build, the model and the policy set in force, and that of a canary beside it.
        self.info = self._gauge("build_info", "What is running.", ("version", "model", "policy_set", "set"))
        # Release of the policy set in force; 0 where policies come from a folder. Workers that disagree are switching.
        self.policy_version = self._gauge("policy_version", "ControlTopic version of the policy set in force.")
        # Policy edits refused; the last good set stays in force.
        self.policies_refused = self._counter("policy_sets_refused", "Policy edits refused as invalid.")
        self.policies_stale = self._gauge(
            "policies_stale", "Policies whose threshold was fitted for another model, prompts, target or labels."
        )
        for reason in DeadLetterReason:
            self.dead_letters.labels(reason.value)


class DecisionMetrics(Catalogue):
    """What people's decisions say of policies, as `watchword decisions watch` tells it."""

    def __init__(self) -> None:
        super().__init__()
        # Of each policy and event the last decision counts.
        self.decisions = self._gauge("decisions", "Decisions, by policy and ruling.", ("policy", "ruling"))
        # `bound` is value, lower or upper; of what was flagged and looked at.
        self.precision = self._gauge(
            "decided_precision", "Share of decided flags that were upheld, 95 % interval.", ("policy", "bound")
        )
        # Only of policies whose audits found enough misses.
        self.recall = self._gauge(
            "decided_recall", "Share of what should be flagged that is, 95 % interval.", ("policy", "bound")
        )
        # Since the newest decision: a queue that nobody works on shows here.
        self.newest = self._gauge("decisions_newest_timestamp_seconds", "Time of the newest decision, Unix seconds.")

    def forget(self) -> None:
        """Drop every policy's figures: what is not known any more is not to stand there."""
        for gauge in (self.decisions, self.precision, self.recall):
            gauge.clear()

    def show(
        self, what: Literal["precision", "recall"], policy_id: str, value: float, lower: float, upper: float
    ) -> None:
        """Set a policy's precision or recall and its interval."""
        gauge = self.precision if what == "precision" else self.recall
        for bound, number in (("value", value), ("lower", lower), ("upper", upper)):
            gauge.labels(policy_id, bound).set(number)
