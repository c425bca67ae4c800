"""A replay's page: `watchword replay --html`."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.commands.console import interval
from pipeline.counted import counted
from pipeline.emit.page import THUMBNAIL_SIDE, jpeg_address
from pipeline.emit.replay_report import ErrorCard, Section, Share, write_replay_report
from pipeline.evaluate.baseline import Comparison
from pipeline.evaluate.intervals import Interval
from pipeline.evaluate.policy_result import PolicyResult, curve, worst_errors
from pipeline.evaluate.replay import Replayed
from pipeline.ingest.decode import thumbnail

MOST_ERRORS = 8


def write_replay_page(
    path: Path, replayed: Replayed, whole: dict[str, PolicyResult], compared: list[Comparison]
) -> None:
    """Write the page: policies that got worse first."""
    worse = {each.policy_id for each in compared if each.worse}
    restricted = {policy.id for policy in replayed.restricted}
    sections = [
        _section(replayed, place, whole[policy.id], worse=policy.id in worse, shown=policy.id not in restricted)
        for place, policy in enumerate(replayed.policies)
    ]
    sections.sort(key=lambda each: not each.worse)
    notes = [f"{counted(len(replayed.unjudged), 'image')} could not be judged."] if replayed.unjudged else []
    if replayed.unlabelled:
        notes.append(f"No labels for {', '.join(replayed.unlabelled)}.")
    write_replay_report(
        path,
        sections,
        images=len(replayed.images),
        notes=notes,
        policy_set=replayed.policy_set_digest,
        model=replayed.model_digest,
    )


def _section(replayed: Replayed, place: int, result: PolicyResult, *, worse: bool, shown: bool) -> Section:
    policy = replayed.policies[place]
    flagged = result.true_positives + result.false_positives
    right = result.true_positives + result.false_negatives
    provisional = ", provisional" if policy.provisional else ""
    rows = (
        ("threshold", f"{policy.threshold:.2f}{provisional}"),
        ("images in scope", str(result.images)),
        ("right to flag", f"{right}, of which {result.true_positives} are flagged"),
        ("flagged", f"{flagged}, of which {result.false_positives} are wrong"),
        ("precision", interval(result.precision)),
        ("recall", interval(result.recall)),
        ("F1", interval(result.f1)),
        ("average precision", interval(result.average_precision)),
        *((("calibration error", f"{result.calibration_error:.3f}"),) if result.reliability else ()),
    )
    return Section(
        policy_id=policy.id,
        title=policy.title,
        worse=worse,
        threshold=policy.threshold,
        provisional=policy.provisional,
        flagged=flagged,
        precision=_share(result.precision),
        recall=_share(result.recall),
        measured=bool(flagged and right),
        rows=rows,
        curve=tuple((point.recall, point.precision) for point in curve(replayed, place)),
        errors=tuple(_errors(replayed, place)) if shown else (),
    )


def _share(measured: Interval) -> Share:
    return Share(interval(measured), measured.value, measured.lower, measured.upper)


def _errors(replayed: Replayed, place: int) -> Iterator[ErrorCard]:
    """Yield the worst errors, without what a restricted policy flags or should flag."""
    for number in worst_errors(replayed, place, MOST_ERRORS):
        if not replayed.kept_back[number]:
            yield _error(replayed, place, number)


def _error(replayed: Replayed, place: int, number: int) -> ErrorCard:
    image = replayed.images[number]
    return ErrorCard(
        name=image.id,
        picture=jpeg_address(thumbnail(image.image.read_bytes(), THUMBNAIL_SIDE)),
        what="missed" if replayed.right[number, place] else "wrongly flagged",
        score=float(replayed.scores[number, place]),
        threshold=replayed.policies[place].threshold,
    )
