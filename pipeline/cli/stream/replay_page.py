"""A replay as an HTML page: `watchword replay --html`."""

from pathlib import Path

from pipeline.cli.console import interval
from pipeline.counted import counted
from pipeline.evaluation.replay.metrics import PolicyResult, curve
from pipeline.evaluation.stats.intervals import Interval
from pipeline.events.policies import Policy
from pipeline.operations.stream.replay import ReplayReport, WorstError
from pipeline.reports.page import jpeg_address
from pipeline.reports.replay import ErrorCard, Section, Share, write_replay_report


def write_replay_page(path: Path, report: ReplayReport) -> None:
    """Write the page, with the policies that got worse first."""
    replayed = report.replayed
    sections = [_section(report, index) for index in range(len(replayed.policies))]
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


def _section(report: ReplayReport, index: int) -> Section:
    policy = report.replayed.policies[index]
    result = report.results[policy.id]
    flagged = result.true_positives + result.false_positives
    positives = result.true_positives + result.false_negatives
    return Section(
        policy_id=policy.id,
        title=policy.title,
        worse=policy.id in report.worse,
        threshold=policy.threshold,
        provisional=policy.provisional,
        flagged=flagged,
        precision=_share(result.precision),
        recall=_share(result.recall),
        measured=bool(flagged and positives),
        rows=_rows(policy, result, flagged, positives),
        curve=tuple((point.recall, point.precision) for point in curve(report.replayed, index)),
        errors=tuple(map(_card, report.errors.get(policy.id, ()))),
    )


def _share(measured: Interval) -> Share:
    return Share(interval(measured), measured.value, measured.lower, measured.upper)


def _rows(policy: Policy, result: PolicyResult, flagged: int, positives: int) -> tuple[tuple[str, str], ...]:
    provisional = ", provisional" if policy.provisional else ""
    rows = [
        ("threshold", f"{policy.threshold:.2f}{provisional}"),
        ("images in scope", str(result.images)),
        ("right to flag", f"{positives}, of which {result.true_positives} are flagged"),
        ("flagged", f"{flagged}, of which {result.false_positives} are wrong"),
        ("precision", interval(result.precision)),
        ("recall", interval(result.recall)),
        ("F1", interval(result.f1)),
        ("average precision", interval(result.average_precision)),
    ]
    if result.reliability:
        rows.append(("calibration error", f"{result.calibration_error:.3f}"))
    return tuple(rows)


def _card(error: WorstError) -> ErrorCard:
    return ErrorCard(
        name=error.image_id,
        picture=jpeg_address(error.thumbnail) if error.thumbnail else None,
        what="missed" if error.missed else "wrongly flagged",
        score=error.score,
        threshold=error.threshold,
    )
