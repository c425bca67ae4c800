"""Labelling: a sample of the archive for people to look at, and the session that takes their answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pipeline.archive.dataset import Archive
from pipeline.errors import UsageError
from pipeline.evaluation.labelling.estimates import Labelling
from pipeline.evaluation.labelling.session import Candidate, LabellingSession
from pipeline.evaluation.stats.stratified_sample import Stratum, draw_sample
from pipeline.events.policies import Policy, PolicySet
from pipeline.operations.originals import open_originals
from pipeline.operations.policies.archived_scores import ArchivedScores, score_archive
from pipeline.operations.workbench import Workbench
from pipeline.policies.compile import policy_named
from pipeline.policies.folder import PolicyFolder
from pipeline.policies.load import read_folder
from pipeline.releases.current import active_policy_set, resolve_policy_set
from pipeline.releases.shadow import without_shadows

# Target of the threshold where the policy names none.
PRECISION, CONFIDENCE = 0.9, 0.95
_COLUMNS = ("key", "event_id", "source", "content", "reference")


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """
    A policy of a folder, and the sample to draw for it.

    `before` names the policy set that an edit is compared with, None for the active one. The sample has `count` images
    archived at `since` or later. `file` takes the decisions, a new file here where it is None; `reviewer` is the person
    who decides, the workbench's user where it is None.
    """

    policy_id: str
    folder: Path
    before: str | None
    since: datetime
    count: int
    seed: int
    file: Path | None
    reviewer: str | None


@dataclass(frozen=True, slots=True)
class LabellingTask:
    """An open session, its policy, the strata of its sample, and the precision that a threshold is wanted for."""

    session: LabellingSession
    policy: Policy
    strata: list[Stratum]
    precision: float


@contextmanager
def open_labelling(workbench: Workbench, wanted: LabelRequest) -> Iterator[LabellingTask]:
    """
    Draw a sample of the archive, and hold the session that shows it and takes the answers.

    Raises `UsageError` when the policy is restricted, or the archive has no image in its scope.
    """
    bundle, archive = workbench.bundle, workbench.archive
    folder = read_folder(wanted.folder)
    after = folder.with_unfitted_at_zero()
    policy, before = policy_named(after, wanted.policy_id), _before(workbench, wanted.before, after)
    if policy.id in workbench.access.note((*before.policies, *after.policies), f"policies label {policy.id}"):
        raise UsageError(f"`{policy.id}` is restricted: no image of it is shown")
    scored = score_archive(
        workbench, wanted.since, policy.id, before=workbench.judge(before), after=workbench.judge(after)
    )
    if not len(scored.keys):
        since = f"{wanted.since:%Y-%m-%d %H:%M} UTC"
        raise UsageError(f"the archive has nothing within the scope of `{wanted.policy_id}` since {since}")
    rng = np.random.default_rng(wanted.seed)
    strata = draw_sample(scored.scores, scored.before, scored.after, wanted.count, rng)
    precision, confidence = _target(folder, wanted.policy_id)
    labelling = Labelling(strata, scored.scores, target=precision, confidence=confidence, rng=rng)
    with open_originals(workbench.settings) as originals:
        session = LabellingSession(
            wanted.policy_id,
            _candidates(archive, bundle.digest, scored, labelling.order),
            labelling,
            originals.fetch,
            file=wanted.file or Path(f"labels-{wanted.policy_id}-{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl"),
            reviewer=wanted.reviewer or workbench.user,
        )
        yield LabellingTask(session, policy, strata, precision)


def _before(workbench: Workbench, name: str | None, after: PolicySet) -> PolicySet:
    """Return the set that an edit is compared with: the named one, else the active one, else the edit itself."""
    if name is not None:
        return resolve_policy_set(name, workbench.settings, workbench.progress)
    live = active_policy_set(workbench.settings, workbench.progress)
    if live is None:
        workbench.progress.notify("no policy set is active, so there is no edit to compare with it")
        return after
    return without_shadows(live)


def _target(folder: PolicyFolder, policy_id: str) -> tuple[float, float]:
    target = folder.threshold_of(policy_id).target
    if target is None or target.precision is None:
        return PRECISION, CONFIDENCE
    return target.precision, target.confidence


def _candidates(archive: Archive, model: str, scored: ArchivedScores, order: list[int]) -> list[Candidate]:
    keys = {place: scored.keys[place].as_py() for place in order}
    rows: dict[str, dict[str, str]] = {}
    for batch in archive.of(model, "key", keys.values(), _COLUMNS):
        rows |= {row["key"]: row for row in batch.to_pylist()}
    return [
        Candidate(place, **rows[keys[place]], flagged=bool(scored.before[place]), withheld=bool(scored.withheld[place]))
        for place in order
    ]
