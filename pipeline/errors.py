"""
The error tree of the package.

    WatchwordError
    ├── UsageError            a command, a setting or a file is wrong: the message says what to change, exit code 2
    │   ├── PolicyError       a policy file is wrong: file:line:column and a caret
    │   ├── BundleError       a model bundle is missing, damaged or different from its manifest
    │   ├── ArchiveError      the archive cannot do this, or a record is not an embedding
    │   ├── RefusedByBroker   Kafka and this client do not accept each other's certificates or credentials
    │   ├── RefusedByTriton   Triton and this client do not accept each other's certificates
    │   ├── UnreadableRecord  a record of an output topic is not of the expected kind or version
    │   └── StackError        the local stack cannot be started: the message says what is missing and how to get it
    ├── OriginalGone          the image of an archived embedding is no longer available
    ├── RecordFault           a fault of the record: it becomes a dead letter with a reason from the closed list
    ├── DependencyFault       a fault of a dependency: the chunk is tried again, nothing is skipped
    │   ├── BrokerFault       Kafka did not answer, or refused for now
    │   ├── EncoderFault      Triton did not answer, or refused for now
    │   │   └── ProbeFault    a golden probe fails: no answer is believed until it passes
    │   ├── DecoderFault      no decode process could be started
    │   ├── StoreFault        the archive's storage did not answer, or refused for now
    │   ├── WorkerFault       a worker's HTTP port did not answer
    │   └── NothingPublished  no policy set is on the control topic yet
    ├── ScoreFault            a score is not a finite number: the worker stops, because this must not pass for "no flag"
    ├── CommitAborted         the transaction was aborted or refused: its chunks are dropped and read again
    │   └── CommitOverdue     the transaction took too long: a smaller chunk may succeed
    ├── InstanceTaken         another worker has this `instance_id`
    ├── PositionLost          a committed offset is past the end of the log: a person must find out why
    └── DeadLetterLimit       too large a share of the stream would be dead letters: stop before committing them
"""

from enum import StrEnum


class DeadLetterReason(StrEnum):
    """Reasons of dead letters. The list is closed: metrics, docs and the wire contract are generated from it."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    UNSUPPORTED_FORMAT = "unsupported_format"
    CORRUPT_IMAGE = "corrupt_image"
    TOO_MANY_PIXELS = "too_many_pixels"
    BAD_REFERENCE = "bad_reference"
    REFERENCE_FORBIDDEN = "reference_forbidden"
    FETCH_FAILED = "fetch_failed"
    BAD_EVENT = "bad_event"
    TOO_COSTLY = "too_costly"
    UNREADABLE = "unreadable"


class WatchwordError(Exception):
    """Root of the tree."""


class UsageError(WatchwordError):
    """A command, a setting or a file is invalid; the message says what to change."""


class PolicyError(UsageError):
    """One or more policy files are invalid; the message shows the position of each error."""


class BundleError(UsageError):
    """A model bundle is missing, damaged or different from its manifest."""


class ArchiveError(UsageError):
    """The archive cannot do what the caller asked, or a record is not an embedding."""


class RefusedByBroker(UsageError):
    """
    Kafka refuses this client's certificate, credentials or token, or this client does not trust the broker.

    The message says what to change. A worker that already runs tries again: secrets may be in rotation.
    """


class RefusedByTriton(UsageError):
    """Triton refuses this client's certificate, or this client does not trust the server."""


class UnreadableRecord(UsageError):
    """A record of a topic that Watchword writes is not of the expected kind or version, or is damaged."""

    def __init__(self, origin: str, kind: str, problem: str) -> None:
        super().__init__(f"{origin} cannot be read as a {kind} record: {problem}")
        self.origin = origin
        self.problem = problem


class StackError(UsageError):
    """The local stack cannot be started or stopped."""


class OriginalGone(WatchwordError):
    """The image of an archived embedding is no longer retained, or has been replaced by another one."""


class RecordFault(WatchwordError):
    """The record cannot be judged, now or ever."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class DependencyFault(WatchwordError):
    """A dependency failed; the same call may succeed later."""


class BrokerFault(DependencyFault):
    """Kafka did not answer in time or refused for now."""


class EncoderFault(DependencyFault):
    """The inference server did not answer in time or refused for now."""


class ProbeFault(EncoderFault):
    """A known image, text or score came out differently; no answer is believed until that ends."""


class DecoderFault(DependencyFault):
    """No decode process could be started, for example because this machine is out of memory at the moment."""


class StoreFault(DependencyFault):
    """The archive's storage did not answer or refused for now."""


class WorkerFault(DependencyFault):
    """The HTTP port of a worker did not answer, or not as a worker does."""


class NothingPublished(DependencyFault):
    """The control topic does not contain a usable policy set yet."""


class CommitAborted(WatchwordError):
    """A chunk's transaction did not commit; the stream must rewind to the committed offsets."""


class CommitOverdue(CommitAborted):
    """A chunk's transaction took too long; a smaller chunk may succeed."""


class ScoreFault(WatchwordError):
    """A policy's score is not a finite number."""


class PositionLost(WatchwordError):
    """A committed offset is past the end of the log."""


class InstanceTaken(WatchwordError):
    """Another member of the group uses this `instance_id` too."""


class DeadLetterLimit(WatchwordError):
    """Committing would dead-letter more than the allowed share of the stream."""
