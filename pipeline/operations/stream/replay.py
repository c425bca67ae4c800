"""Replays: policies measured on a labelled stream, and compared with an earlier replay."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labelled_stream import LabelledStream, read_stream
from pipeline.evaluation.replay.baseline import Baseline, BaselineComparison, compare
from pipeline.evaluation.replay.metrics import PolicyResult, results, slices, worst_errors
from pipeline.evaluation.replay.outcomes import Replayed, collect
from pipeline.events.policies import PolicySet
from pipeline.ingest.folder import read_events
from pipeline.operations.images.thumbnails import thumbnail_of_file
from pipeline.operations.stream.replay_kafka import replay_through_kafka
from pipeline.operations.stream.topic_stream import topic_stream
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import load_policy_set

SCHEME = "kafka:"
MOST_ERRORS = 8

Results = dict[str, PolicyResult]


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """
    A labelled stream, and the way to judge it.

    `stream`: a CSV or JSON Lines file, a folder, or a topic as `kafka:TOPIC` with `labels`, from `since` on and before
    `until`. `split`: only rows of this split. `policies`: a folder, by default the one in the settings. `through`: this
    process, or a worker with broker and Triton. `slices`: attributes whose values get separate results. `baseline`: a
    replay to compare with. `thumbnail_side`: longer side of the worst errors' pictures, 0 for none.
    """

    stream: str
    policies: Path | None = None
    through: Literal["process", "kafka"] = "process"
    split: str | None = None
    labels: Path | None = None
    since: datetime | None = None
    until: datetime | None = None
    slices: tuple[str, ...] = ()
    baseline: Path | None = None
    thumbnail_side: int = 0


@dataclass(frozen=True, slots=True)
class WorstError:
    """An image far on the wrong side of a threshold: `missed`, or flagged by mistake. `thumbnail` is a JPEG."""

    image_id: str
    missed: bool
    score: float
    threshold: float
    thumbnail: bytes | None


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """
    The answers of a replay and their results.

    `results`: by policy id. `slices`: by attribute, by its value and by policy id. `compared`: one comparison for each
    policy of a baseline. `errors`: by policy id, empty if pictures were not requested.
    """

    replayed: Replayed
    results: Results
    slices: Mapping[str, Mapping[str, Results]]
    compared: tuple[BaselineComparison, ...]
    errors: Mapping[str, tuple[WorstError, ...]]

    @property
    def worse(self) -> frozenset[str]:
        """The ids of the policies that are worse than the baseline, beyond noise."""
        return frozenset(each.policy_id for each in self.compared if each.worse)


def replay(workbench: Workbench, request: ReplayRequest) -> ReplayReport:
    """
    Judge a labelled stream and measure each policy that its labels name.

    Raises `UsageError` for a stream, labels or a baseline that cannot be used, and `BrokerFault`.
    """
    before = Baseline.read(request.baseline) if request.baseline else None
    folder = request.policies or workbench.settings.policies
    with _stream(workbench, request) as stream:
        if request.through == "kafka":
            replayed = replay_through_kafka(workbench, stream, folder)
        else:
            replayed = replay_stream(workbench, stream, load_policy_set(folder))
        workbench.access.note(replayed.restricted, "replay")
        return ReplayReport(
            replayed=replayed,
            results=results(replayed),
            slices={attribute: slices(replayed, attribute) for attribute in request.slices},
            compared=tuple(compare(before, replayed)) if before else (),
            errors=_errors(replayed, request.thumbnail_side) if request.thumbnail_side else {},
        )


def replay_stream(workbench: Workbench, stream: LabelledStream, policy_set: PolicySet) -> Replayed:
    """Judge a labelled stream in this process, with the steps of a worker. Raises `UsageError`."""
    events = [image.event for image in stream.images]
    return collect(stream, workbench.outcomes(workbench.bank(policy_set), events, read_events))


@contextmanager
def _stream(workbench: Workbench, request: ReplayRequest) -> Iterator[LabelledStream]:
    if not request.stream.startswith(SCHEME):
        if request.labels or request.since or request.until:
            raise UsageError("`--labels`, `--since` and `--until` are for a topic, for example `kafka:images`")
        yield read_stream(Path(request.stream), request.split)
        return
    if request.labels is None:
        raise UsageError(f"`{request.stream}` needs `--labels FILE`: a CSV with the event `id` and `policies`")
    topic = request.stream.removeprefix(SCHEME)
    with topic_stream(workbench, topic, request.labels, request.since, request.until) as stream:
        yield stream


def _errors(replayed: Replayed, side: int) -> dict[str, tuple[WorstError, ...]]:
    """Return the worst errors of each policy that is not restricted, without the images that must not be shown."""
    restricted = {policy.id for policy in replayed.restricted}
    return {
        policy.id: tuple(
            _error(replayed, index, number, side)
            for number in worst_errors(replayed, index, MOST_ERRORS)
            if not replayed.withheld[number]
        )
        for index, policy in enumerate(replayed.policies)
        if policy.id not in restricted
    }


def _error(replayed: Replayed, index: int, number: int, side: int) -> WorstError:
    image = replayed.images[number]
    return WorstError(
        image_id=image.id,
        missed=bool(replayed.right[number, index]),
        score=float(replayed.scores[number, index]),
        threshold=replayed.policies[index].threshold,
        thumbnail=thumbnail_of_file(image.image, side),
    )
