"""
Every error of the package, one tree.

    WatchwordError
    ├── UsageError            the command, a setting or a file is wrong: say what, exit 2
    │   ├── PolicyError       a policy file is wrong: file:line:column and a caret
    │   ├── BundleError       a model bundle is missing, damaged or of another shape than its manifest says
    │   ├── ArchiveError      the archive cannot do that, or a record is nothing that it keeps
    │   ├── UnreadableRecord  a record of an output topic is not of the expected kind or version
    │   └── StackError        the local stack cannot be brought up: what is missing and how to get it
    ├── OriginalGone          the image of an archived embedding cannot be had any more
    ├── RecordFault           the record's fault: it becomes a dead letter with a reason of the closed list
    ├── DependencyFault       a dependency's fault: the chunk is tried again, nothing is skipped
    │   ├── BrokerFault       Kafka did not answer, or refused for now
    │   ├── EncoderFault      Triton did not answer, or refused for now
    │   ├── DecoderFault      no process to decode in could be started
    │   ├── StoreFault        the archive's storage did not answer, or refused for now
    │   └── NothingPublished  no policy set is on the control topic yet
    ├── ScoreFault            a score is not a finite number: nothing follows from it, least of all "not flagged"
    ├── CommitAborted         the transaction was aborted or refused: its chunks are dropped and read again
    │   └── CommitOverdue     it was not done in time: a smaller chunk may be
    ├── InstanceTaken         another worker has this `instance_id`
    ├── PositionLost          what the group committed lies past the end of the log: only a person can say why
    └── DeadLetterLimit       too large a share of the stream would be dead letters: stop before committing them
"""

from enum import StrEnum


class DeadLetterReason(StrEnum):
    """Why a record could not be judged. The list is closed: metrics, docs and the wire contract are made from it."""

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
    """What was asked cannot be done as asked; the message says what to change."""


class PolicyError(UsageError):
    """One or more policy files are invalid; the message shows each place."""


class BundleError(UsageError):
    """A model bundle cannot be used."""


class ArchiveError(UsageError):
    """The archive cannot do what was asked, or a record is nothing that it keeps."""


class UnreadableRecord(UsageError):
    """A record of a topic that Watchword writes is not of the expected kind or version, or is damaged."""

    def __init__(self, place: str, kind: str, problem: str) -> None:
        super().__init__(f"{place} cannot be read as a {kind} record: {problem}")
        self.place = place
        self.problem = problem


class StackError(UsageError):
    """The local stack cannot be brought up or taken down."""


class OriginalGone(WatchwordError):
    """The image an archived embedding is of is no longer retained, or is another one by now."""


class RecordFault(WatchwordError):
    """The record cannot be judged, now or ever."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class DependencyFault(WatchwordError):
    """Something this worker depends on failed; the same call may succeed later."""


class BrokerFault(DependencyFault):
    """Kafka did not answer in time or refused for now."""


class EncoderFault(DependencyFault):
    """The inference server did not answer in time or refused for now."""


class DecoderFault(DependencyFault):
    """No process to decode in could be started, for whatever this machine lacks at the moment."""


class StoreFault(DependencyFault):
    """The archive's storage did not answer or refused for now."""


class NothingPublished(DependencyFault):
    """The control topic holds no policy set that can be used yet."""


class CommitAborted(WatchwordError):
    """A chunk's transaction did not commit; the stream must go back to what is committed."""


class CommitOverdue(CommitAborted):
    """A chunk's transaction was not done in time; a smaller chunk may be."""


class ScoreFault(WatchwordError):
    """A policy's score is not a finite number."""


class PositionLost(WatchwordError):
    """A committed position lies past the end of the log."""


class InstanceTaken(WatchwordError):
    """Another member of the group has taken this `instance_id`, again and again."""


class DeadLetterLimit(WatchwordError):
    """Committing would dead-letter more than the allowed share of the stream."""
