"""`watchword policies label`: look at a sample of what was archived, and know what a policy is worth."""

import shlex
import signal
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pipeline.archive.dataset import Archive
from pipeline.commands.access import note_access, user_name
from pipeline.commands.archive import open_archive
from pipeline.commands.archived_scores import ArchivedScores, score_archive
from pipeline.commands.console import output, progress_output
from pipeline.commands.deciding import read_decisions, send
from pipeline.commands.earlier_decisions import earlier_decisions
from pipeline.commands.originals import open_originals
from pipeline.commands.publish import judging_set, named_set
from pipeline.commands.times import since_of
from pipeline.counted import counted
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import UsageError
from pipeline.evaluate.earlier import draw_rest
from pipeline.evaluate.labelling import Labelling
from pipeline.evaluate.strata import Kind, Stratum
from pipeline.events.policies import Policy, PolicySet
from pipeline.judge.load import PolicyFolder, read_folder, threshold_of
from pipeline.judge.policy import policy_named
from pipeline.judge.score import Judge
from pipeline.judge.shadow import without_shadows
from pipeline.settings import Settings, load_settings
from pipeline.studio.label_figures import figures
from pipeline.studio.label_server import LabelServer, Words
from pipeline.studio.labelling_session import Answer, Candidate, LabellingSession

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
    after = folder.as_far_as_fitted()
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
    decisions = [each for each in read_decisions(settings) if each.policy == policy.id]
    earlier = earlier_decisions(archive, bundle.digest, scored, decisions)
    decided = {each.place for each in earlier.labels}
    strata = draw_rest(scored.scores, scored.before, scored.after, wanted.count, rng, decided)
    if not strata:
        raise UsageError(
            f"every image within the scope of `{policy.id}` since {wanted.since} is decided about; look further back "
            f"with `--since`, or go on: `{_next_command(wanted)}`"
        )
    precision, confidence = _target(folder, wanted.policy_id)
    labelling = Labelling(
        strata, scored.scores, target=precision, confidence=confidence, rng=rng, earlier=earlier.labels
    )
    with open_originals(settings) as originals:
        session = LabellingSession(
            wanted.policy_id,
            _candidates(archive, bundle.digest, scored, labelling.order),
            labelling,
            originals.fetch,
            file=wanted.file or Path(f"labels-{wanted.policy_id}-{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl"),
            reviewer=wanted.reviewer or user_name(),
        )
        if earlier.summary:
            progress_output().print(earlier.summary)
        _serve(session, wanted, policy, f"{_about(strata, wanted.since, precision)} {earlier.summary}".rstrip())
    _close(settings, session, _next_command(wanted))


def _before(settings: Settings, name: str | None, after: PolicySet) -> PolicySet:
    """Return what the edit is compared with: what is named, else what workers judge by, else itself."""
    if name is not None:
        return named_set(name)
    live = judging_set(settings)
    if live is None:
        progress_output().print("there is nothing in force to compare with: no edit is looked at")
        return after
    return without_shadows(live)


def _next_command(wanted: Wanted) -> str:
    return f"watchword policies calibrate {wanted.policy_id} --policies {shlex.quote(str(wanted.folder))} --decisions"


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
        Candidate(
            place, **rows[keys[place]], flagged=bool(scored.before[place]), kept_back=bool(scored.kept_back[place])
        )
        for place in order
    ]


def _about(strata: list[Stratum], since: str, precision: float) -> str:
    drawn, images = sum(len(each.drawn) for each in strata), sum(len(each.members) for each in strata)
    flips = sum(len(each.members) for each in strata if each.kind in (Kind.NEWLY_FLAGGED, Kind.NEWLY_CLEARED))
    edit = f"; the edit flips {flips}" if flips else ""
    sample = f"{drawn} of {counted(images, 'image')} since {since}"
    return f"{sample}{edit}. A threshold is wanted with precision {precision:g}."


def _serve(session: LabellingSession, wanted: Wanted, policy: Policy, about: str) -> None:
    server = LabelServer(
        session,
        title=f"{policy.title} ({policy.id})",
        about=about,
        words=Words(policy.rationale, policy.prompts, policy.contrast),
        next_command=_next_command(wanted),
        port=wanted.port,
    )
    with closing(server):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.finished.set())
        progress_output().print(f"label at {server.address}", soft_wrap=True)
        server.finished.wait()


def _close(settings: Settings, session: LabellingSession, next_command: str) -> None:
    console, found = output(), session.decisions()
    for name, text in figures(session.findings()):
        console.print(f"{name}: {text}")
    if not found:
        console.print("nothing was decided")
        return
    send(settings, found)
    unsure = session.count(Answer.UNSURE)
    console.print(f"{counted(len(found), 'decision')} sent, and written to {session.file}; unsure about {unsure}")
    console.print(f"next: {next_command}")
