"""`watchword policies promote`: what shadows said beside what is in force, and one of them put in its place."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from pipeline.broker.reader import read_topics
from pipeline.broker.topology import connection_of
from pipeline.cli.console import interval, output, plain_table, progress_output
from pipeline.cli.policies.publish import CurrentRelease, run_publish
from pipeline.cli.stream.read import outcome_fields
from pipeline.cli.transition import note_access
from pipeline.errors import UsageError
from pipeline.evaluation.backtest.shadow_counts import ShadowCount, count_shadows
from pipeline.events.policies import Mode, Policy, PolicySet
from pipeline.policies.compile import compose
from pipeline.policies.load import ParsedPolicy, load_policy_set, read_folder
from pipeline.releases.shadow import SUFFIX, merge_as_shadows
from pipeline.settings import Settings, load_settings
from pipeline.visible import one_line


def run_promote(folder: Path, policy_id: str | None, *, against: str | None, note: str, yes: bool) -> int:
    """Show shadows against what is in force; with a policy of the folder, ask, and publish it as enforced."""
    settings = load_settings(Settings)
    judging = _judging(settings, folder)
    restricted = note_access(judging.policies, "policies promote")
    shadows = _shadows(judging, policy_id, against)
    if not shadows:
        raise UsageError("no shadow judges here; `mode: shadow`, or `policies publish --shadow`, makes one")
    digests = {shadow.id: shadow.digest for shadow, _ in shadows}
    pairs = {shadow.id: live.id if live else None for shadow, live in shadows}
    counts = count_shadows(_verdicts(settings), pairs, digests, restricted)
    _print(counts)
    if policy_id is None:
        return 0
    if not any(each.images for each in counts):
        raise UsageError(f"`{policy_id}` has judged nothing yet; let it run in shadow first")
    console = progress_output()
    _require_same(shadows, load_policy_set(folder))
    written = _written(folder, policy_id)
    if written.file.mode is Mode.SHADOW:
        if not yes:
            typer.confirm(
                f"Write `mode: enforce` into {one_line(written.resolved.document.path)}?", abort=True, err=True
            )
        _enforce(written)
        console.print(f"{written.resolved.document.path}: `mode: enforce`")
    if settings.policy_source == "folder":
        return 0
    return run_publish(
        folder,
        note=note or f"promote {policy_id}",
        author=None,
        parent=None,
        canary=None,
        shadow=False,
        yes=yes,
    )


def _require_same(shadows: list[tuple[Policy, Policy | None]], folder_set: PolicySet) -> None:
    """Raise `UsageError` unless the folder says what the shadow said that was measured."""
    folder = merge_as_shadows(compose([], folder_set.background), folder_set).policies
    known = {policy.id: policy.digest for policy in (*folder_set.policies, *folder)}
    for shadow, _ in shadows:
        if known.get(shadow.id) != shadow.digest:
            raise UsageError(
                f"`{shadow.id}` in the folder is another policy than the shadow that judged; let the edited one run in "
                "shadow first, or publish it as it is (`watchword policies publish`)"
            )


def _judging(settings: Settings, folder: Path) -> PolicySet:
    """Return the set that workers judge by."""
    return load_policy_set(folder) if settings.policy_source == "folder" else CurrentRelease().require_in_force()


def _shadows(policy_set: PolicySet, policy_id: str | None, against: str | None) -> list[tuple[Policy, Policy | None]]:
    """Return each shadow, or that of one policy, with the live policy it is compared with."""
    known = {policy.id: policy for policy in policy_set.policies}
    if against is not None and against not in known:
        raise UsageError(f"`--against {against}`: no such policy is in force")
    found = []
    for policy in policy_set.policies:
        if policy.mode is not Mode.SHADOW or policy.parent is not None:
            continue
        if policy_id is not None and policy.id not in (policy_id, policy_id + SUFFIX):
            continue
        live = known[against] if against else known.get(policy.id.removesuffix(SUFFIX))
        found.append((policy, live if live is not policy else None))
    return found


def _verdicts(settings: Settings) -> Iterator[dict[str, Any]]:
    for record in read_topics(connection_of(settings), [settings.topic_verdicts]):
        if fields := outcome_fields(record):
            yield fields


def _print(counts: list[ShadowCount]) -> None:
    console = output()
    table = plain_table("shadow", "against", "images", "flags", "live flags", "newly flagged", "newly cleared")
    for each in counts:
        live = interval(each.live_share) if each.against else "–"
        shares = (interval(each.shadow_share), live)
        numbers = (str(each.newly_flagged), str(each.newly_cleared))
        table.add_row(each.shadow, each.against or "–", str(each.images), *shares, *numbers)
    console.print(table)
    for each in counts:
        for kind, ids in (("newly flagged", each.examples_flagged), ("newly cleared", each.examples_cleared)):
            if ids:
                console.print(f"{each.shadow}, {kind}, the surest: {', '.join(ids)}")


def _written(folder: Path, policy_id: str) -> ParsedPolicy:
    for each in read_folder(folder).written:
        if each.file.id == policy_id:
            return each
    raise UsageError(f"`{folder}` has no policy `{policy_id}`")


def _enforce(written: ParsedPolicy) -> None:
    """Write the mode where it stands, leaving everything else of the file as it is."""
    document, place = written.resolved.written_at(("mode",))
    if "mode" not in written.resolved.content:
        document.path.write_text(f"{document.text.rstrip()}\nmode: {Mode.ENFORCE.value}\n")
        return
    if document.path != written.resolved.document.path:
        raise UsageError(f"`mode` of `{written.file.id}` is said by {document.path}; write `mode: enforce` yourself")
    position = document.position(place)
    lines = document.text.splitlines(keepends=True)
    at = position.line - 1
    lines[at] = re.sub(r"\bshadow\b", Mode.ENFORCE.value, lines[at], count=1)
    document.path.write_text("".join(lines))
