"""Releases on a terminal: differences between policy sets, plans, and releases."""

from collections.abc import Sequence

from rich.console import Console

from pipeline.cli.console import Lines, print_json
from pipeline.counted import counted
from pipeline.events.releases import Release
from pipeline.operations.policies.publish import LOOK_BACK_DAYS, ReleasePlan
from pipeline.releases.control_topic import release_fields
from pipeline.releases.diff import PolicyDiff
from pipeline.visible import one_line

_MARKS = {"added": "+", "removed": "-", "changed": "~"}


def diff_text(diffs: Sequence[PolicyDiff]) -> str:
    """Return each policy that differs with its kind of change, and a line for each difference."""
    lines = []
    for each in diffs:
        lines.append(f"{_MARKS[each.kind]} {each.policy_id} ({each.kind})")
        lines += [f"    {one_line(detail)}" for detail in each.details]
    return "\n".join(lines) or "no difference"


def print_rejection(plan: ReleasePlan, console: Console) -> None:
    """Print the lint errors and failed examples that prevent a release."""
    for finding in plan.errors:
        console.print(Lines(finding.shown))
    for result in plan.failed_examples:
        console.print(f"`{result.example.policy_id}`, `{result.example.name}`: {result.line()}")
    errors, examples = counted(len(plan.errors), "lint error"), counted(len(plan.failed_examples), "failed example")
    console.print(f"not published: {errors}, {examples}")


def print_diffs(version: int, diffs: Sequence[PolicyDiff], share: float | None, console: Console) -> None:
    """Print the current version, the differences of a planned release, and the share of images that it will judge."""
    scope = f"for {share:.0%} of the images" if share is not None else "for all images"
    console.print(f"current version: {version}" if version else "no version is published yet")
    console.print(Lines(f"{diff_text(diffs)}\n{scope}"))


def print_evidence(without_evidence: Sequence[str], console: Console) -> None:
    """Print a warning for each policy that is enforced with a provisional threshold."""
    for policy_id in without_evidence:
        console.print(
            f"warning: `{policy_id}` is enforced, but no labels support its threshold yet (provisional); "
            f"`watchword policies label {policy_id}` collects some, and `mode: shadow` counts without flags meanwhile"
        )


def print_look_back(plan: ReleasePlan, console: Console) -> None:
    """Print how many flags the release would have changed in the last days."""
    if plan.look_back is None:
        return
    found = plan.look_back.found
    console.print(f"of {counted(found.images, 'image')} archived in the last {LOOK_BACK_DAYS} days:")
    for each in found.changed:
        queue = found.queue(each.policy_id).value
        console.print(
            f"{each.policy_id}: {each.newly_flagged} newly flagged, {each.newly_cleared} newly cleared, "
            f"{queue:.1f} flags a day"
        )
    if not found.changed:
        console.print("no flag changes")


def print_release(release: Release, console: Console) -> None:
    """Print a message that a release is active, and its JSON form to stdout."""
    canary = f", {release.canary.digest[:12]} for {release.canary.share:.0%} of the images" if release.canary else ""
    console.print(f"version {release.version} is active: policy set {release.digest[:12]}{canary}")
    print_json(release_fields(release))
