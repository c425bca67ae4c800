"""`watchword policies label`: look at a sample of what was archived, and know what a policy is worth."""

import signal
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pipeline.archive.dataset import Archive
from pipeline.cli.archive import open_archive
from pipeline.cli.console import output, progress_output
from pipeline.cli.decisions.commands import send
from pipeline.cli.policies.publish import active_policy_set, resolve_policy_set
from pipeline.cli.session import user_name
from pipeline.cli.times import since_of
from pipeline.cli.transition import note_access
from pipeline.counted import counted
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import UsageError
from pipeline.evaluation.labelling.estimates import Labelling
from pipeline.evaluation.labelling.session import Answer, Candidate, LabellingSession
from pipeline.evaluation.stats.stratified_sample import Kind, Stratum, draw_sample
from pipeline.events.policies import PolicySet
from pipeline.judge.score import Judge
from pipeline.operations.originals import open_originals
from pipeline.operations.policies.archived_scores import ArchivedScores, score_archive
from pipeline.policies.compile import policy_named
from pipeline.policies.load import PolicyFolder, read_folder, threshold_of
from pipeline.releases.shadow import without_shadows
from pipeline.settings import Settings, load_settings
from pipeline.studio.label_figures import figures
from pipeline.studio.label_server import LabelServer

# What a threshold is to be shown to have where the policy does not say.
PRECISION, CONFIDENCE = 0.9, 0.95
_COLUMNS = ("key", "event_id", "source", "content", "reference")


@dataclass(frozen=True)
class Wanted:
    """What is to be labelled, and how."""

    policy_id: str
    folder: Path
    before: str | None
    since: str
    count: int
    seed: int
    port: int
    file: Path | None
    reviewer: str | None


def run_label(wanted: Wanted) -> None:
    """Serve the page until someone finishes, then send the decisions and say what they show."""
    settings = load_settings(Settings)
    bundle, archive = Bundle.load(settings.model), open_archive()
    folder = read_folder(wanted.folder)
    after = folder.with_unfitted_at_zero()
    policy, before = policy_named(after, wanted.policy_id), _before(settings, wanted.before, after)
    if policy.id in note_access((*before.policies, *after.policies), f"policies label {policy.id}"):
        raise UsageError(f"`{policy.id}` is restricted: no image of it is shown")
    encoder = LocalEncoder(bundle)
    scored = score_archive(
        archive,
        bundle.digest,
        since_of(wanted.since),
        policy.id,
        before=Judge(build_prompt_bank(before, encoder)),
        after=Judge(build_prompt_bank(after, encoder)),
    )
    if not len(scored.keys):
        raise UsageError(f"the archive has nothing within the scope of `{wanted.policy_id}` since {wanted.since}")
    rng = np.random.default_rng(wanted.seed)
    strata = draw_sample(scored.scores, scored.before, scored.after, wanted.count, rng)
    precision, confidence = _target(folder, wanted.policy_id)
    labelling = Labelling(strata, scored.scores, target=precision, confidence=confidence, rng=rng)
    with open_originals(settings) as originals:
        session = LabellingSession(
            wanted.policy_id,
            _candidates(archive, bundle.digest, scored, labelling.order),
            labelling,
            originals.fetch,
            file=wanted.file or Path(f"labels-{wanted.policy_id}-{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl"),
            reviewer=wanted.reviewer or user_name(),
        )
        _serve(session, wanted.port, f"{policy.title} ({policy.id})", _about(strata, wanted.since, precision))
    _close(settings, session)


def _before(settings: Settings, name: str | None, after: PolicySet) -> PolicySet:
    """Return what the edit is compared with: what is named, else what workers judge by, else itself."""
    if name is not None:
        return resolve_policy_set(name)
    live = active_policy_set(settings)
    if live is None:
        progress_output().print("there is nothing in force to compare with: no edit is looked at")
        return after
    return without_shadows(live)


def _target(folder: PolicyFolder, policy_id: str) -> tuple[float, float]:
    target = threshold_of(folder, policy_id).target
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


def _about(strata: list[Stratum], since: str, precision: float) -> str:
    drawn, images = sum(len(each.drawn) for each in strata), sum(len(each.members) for each in strata)
    flips = sum(len(each.members) for each in strata if each.kind in (Kind.NEWLY_FLAGGED, Kind.NEWLY_CLEARED))
    edit = f"; the edit flips {flips}" if flips else ""
    sample = f"{drawn} of {counted(images, 'image')} since {since}"
    return f"{sample}{edit}. A threshold is wanted with precision {precision:g}."


def _serve(session: LabellingSession, port: int, title: str, about: str) -> None:
    with closing(LabelServer(session, title=title, about=about, port=port)) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.finished.set())
        progress_output().print(f"label at {server.address}", soft_wrap=True)
        server.finished.wait()


def _close(settings: Settings, session: LabellingSession) -> None:
    console, found = output(), session.decisions()
    for name, text in figures(session.findings()):
        console.print(f"{name}: {text}")
    if not found:
        console.print("nothing was decided")
        return
    send(settings, found)
    unsure = session.count(Answer.UNSURE)
    console.print(f"{counted(len(found), 'decision')} sent, and written to {session.file}; unsure about {unsure}")
