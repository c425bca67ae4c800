"""Labelling: a sample of the archive for people to look at, and the session that takes their answers."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pipeline.errors import UsageError
from pipeline.evaluation.labelling.earlier import draw_rest
from pipeline.evaluation.labelling.estimates import Labelling
from pipeline.evaluation.labelling.session import Candidate, LabellingSession
from pipeline.evaluation.stats.stratified_sample import Stratum
from pipeline.events.policies import Policy, PolicySet
from pipeline.operations.decisions.topic import read_decisions
from pipeline.operations.originals import open_originals
from pipeline.operations.policies.archived_scores import ArchivedScores, score_archive
from pipeline.operations.policies.earlier_decisions import EarlierDecisions, earlier_decisions
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
    without a decision, archived at `since` or later. `file` takes the decisions, a new file here where it is None;
    `reviewer` is the person who decides, the workbench's user where it is None.
    """

    policy_id: str
    folder: Path
    before: str | None
    since: datetime
    count: int
    seed: int
    file: Path | None
    reviewer: str | None

    @property
    def images(self) -> str:
        """The images to draw from, in words."""
        return f"the images within the scope of `{self.policy_id}` since {self.since:%Y-%m-%d %H:%M} UTC"

    @property
    def next_command(self) -> str:
        """The command line that fits the threshold to all decisions."""
        folder = shlex.quote(str(self.folder))
        return f"watchword policies calibrate {self.policy_id} --policies {folder} --decisions"


@dataclass(frozen=True, slots=True)
class LabellingTask:
    """An open session, its policy, the strata of its sample, the target precision, and the earlier decisions."""

    session: LabellingSession
    policy: Policy
    strata: list[Stratum]
    precision: float
    earlier: EarlierDecisions


@contextmanager
def open_labelling(workbench: Workbench, wanted: LabelRequest) -> Iterator[LabellingTask]:
    """
    Draw a sample of the archive, and hold the session that shows it and takes the answers.

    Images with an earlier decision about the policy are not drawn again: their decisions count as labels. Raises
    `UsageError` when the policy is restricted, the archive has no image in its scope, or every image is decided.
    """
    folder = read_folder(wanted.folder)
    after = folder.with_unfitted_at_zero()
    policy = policy_named(after, wanted.policy_id)
    scored = _scored(workbench, wanted, after)
    earlier = earlier_decisions(
        workbench, scored, [each for each in read_decisions(workbench) if each.policy == policy.id]
    )
    rng = np.random.default_rng(wanted.seed)
    strata = _strata(wanted, scored, earlier, rng)
    precision, confidence = _target(folder, wanted.policy_id)
    labelling = Labelling(
        strata, scored.scores, target=precision, confidence=confidence, rng=rng, earlier=earlier.labels
    )
    with open_originals(workbench.settings) as originals:
        session = LabellingSession(
            wanted.policy_id,
            _candidates(workbench, scored, labelling.order),
            labelling,
            originals.fetch,
            file=wanted.file or Path(f"labels-{wanted.policy_id}-{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl"),
            reviewer=wanted.reviewer or workbench.user,
        )
        yield LabellingTask(session, policy, strata, precision, earlier)


def _scored(workbench: Workbench, wanted: LabelRequest, after: PolicySet) -> ArchivedScores:
    """Return the answers of both versions about the archived images, of a policy that may be shown."""
    before = _before(workbench, wanted.before, after)
    restricted = workbench.access.note((*before.policies, *after.policies), f"policies label {wanted.policy_id}")
    if wanted.policy_id in restricted:
        raise UsageError(f"`{wanted.policy_id}` is restricted: no image of it is shown")
    scored = score_archive(
        workbench, wanted.since, wanted.policy_id, before=workbench.judge(before), after=workbench.judge(after)
    )
    if not len(scored.keys):
        raise UsageError(f"the archive has none of {wanted.images}")
    return scored


def _strata(
    wanted: LabelRequest, scored: ArchivedScores, earlier: EarlierDecisions, rng: np.random.Generator
) -> list[Stratum]:
    decided = {each.place for each in earlier.labels}
    strata = draw_rest(scored.scores, scored.before, scored.after, wanted.count, rng, decided)
    if not strata:
        raise UsageError(
            f"all of {wanted.images} have a decision; look further back with `--since`, or fit the threshold: "
            f"`{wanted.next_command}`"
        )
    return strata


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


def _candidates(workbench: Workbench, scored: ArchivedScores, order: list[int]) -> list[Candidate]:
    keys = {place: scored.keys[place].as_py() for place in order}
    rows: dict[str, dict[str, str]] = {}
    for batch in workbench.archive.of(workbench.bundle.digest, "key", keys.values(), _COLUMNS):
        rows |= {row["key"]: row for row in batch.to_pylist()}
    return [
        Candidate(place, **rows[keys[place]], flagged=bool(scored.before[place]), withheld=bool(scored.withheld[place]))
        for place in order
    ]
