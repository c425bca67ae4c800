"""`watchword policies publish`, `history`, `diff`, `rollback`: what is in force, and how it comes to be."""

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import connection_of, policy_topic
from pipeline.cli.console import Lines, output, plain_table, print_json, progress_output, require_format
from pipeline.cli.policies.examples import tried_examples
from pipeline.cli.policies.lint import findings_of
from pipeline.cli.session import user_name
from pipeline.cli.transition import note_access
from pipeline.counted import counted
from pipeline.errors import PolicyError, UsageError
from pipeline.events.policies import PolicySet
from pipeline.events.releases import Release
from pipeline.policies.load import PolicyFolder, load_policy_set, read_folder
from pipeline.releases.control_topic import ControlTopic, ReleaseRequest, publish, read_published, release_fields
from pipeline.releases.diff import PolicyDiff, policy_diffs
from pipeline.releases.shadow import with_shadow, without_shadows
from pipeline.settings import POLICY_SET_BYTES, Settings, load_settings
from pipeline.visible import one_line


class CurrentRelease:
    """The control topic of the settings, and what it held when it was opened."""

    def __init__(self) -> None:
        self._settings = load_settings(Settings)
        self._connection = connection_of(self._settings)
        ensure_topics(self._connection, [policy_topic(self._settings)])
        self.published: ControlTopic = read_published(self._connection, self._settings.topic_policies)

    @property
    def version(self) -> int:
        """The version in force; 0 before the first."""
        return self.published.version

    def in_force(self) -> PolicySet | None:
        """Return the set in force, None before the first and when it cannot be read here, which is said."""
        current = self.published.current
        if current is None:
            return None
        try:
            return self.published.policy_set(current.digest)
        except PolicyError as error:
            progress_output().print(Lines(f"what is in force cannot be compared with: {error}"))
            return None

    def require_in_force(self) -> PolicySet:
        """Return the set in force. Raises `UsageError` when there is none that can be read."""
        live = self.in_force()
        if live is None:
            raise UsageError("nothing that can be read is in force; name a folder of policies instead of `current`")
        return live

    def publish(self, proposal: ReleaseRequest) -> Release:
        """Put a set in force, or raise `UsageError`."""
        topic = self._settings.topic_policies
        return publish(self._connection, topic, proposal, max_record_bytes=POLICY_SET_BYTES)


def run_publish(
    folder: Path, *, note: str, author: str | None, parent: int | None, canary: str | None, shadow: bool, yes: bool
) -> int:
    """Check a folder, show what it would change, and put it in force; return 1 when it must not be."""
    share = _share(canary) if canary else None
    if share is not None and shadow:
        raise UsageError("`--canary` and `--shadow` are two ways to try a set; choose one")
    # Read once: what is checked is what is published.
    policies, control, console = read_folder(folder), CurrentRelease(), progress_output()
    policy_set = policies.compose()
    if not _checked(policies, console):
        return 1
    live = control.in_force()
    if (share is not None or shadow) and live is None:
        raise UsageError("nothing that can be read is in force to try this beside; publish a set without it")
    proposed = with_shadow(live, policy_set) if shadow and live else policy_set
    changes = policy_diffs(live, proposed)
    current = control.published.current
    if not changes and (share is not None or (current and current.canary is None)):
        console.print(f"version {control.version} already means this; nothing to publish")
        return 0
    _show(changes, control, console, share)
    if live is not None:
        _look_back(live, policy_set, console)
    if not yes:
        typer.confirm("Put it in force?", abort=True, err=True)
    given = ReleaseRequest(
        policy_set=live if share is not None and live else proposed,
        parent=control.version if parent is None else parent,
        author=author or user_name(),
        note=note,
        canary=(proposed, share) if share is not None else None,
    )
    _say(control.publish(given), console)
    return 0


def run_rollback(name: str | None, *, note: str, author: str | None, yes: bool) -> int:
    """Put an earlier set in force again: as a release of its own, so that history only ever grows."""
    control, console = CurrentRelease(), progress_output()
    current = control.published.current
    if current is None:
        raise UsageError("nothing published yet; `watchword policies publish` does that")
    if name is None and current.canary is not None:
        target = current  # without its canary
    else:
        target = control.published.named(name) if name else _before(control.published, current)
    policy_set = control.published.policy_set(target.digest)
    _show(policy_diffs(control.in_force(), policy_set), control, console, None)
    if not yes:
        typer.confirm(f"Put version {target.version}'s set in force again?", abort=True, err=True)
    told = note or f"back to version {target.version}"
    _say(control.publish(ReleaseRequest(policy_set, control.version, author or user_name(), told)), console)
    return 0


def run_history(output_format: str) -> None:
    """Print every release, the newest first."""
    require_format(output_format, ("table", "json"))
    published = CurrentRelease().published
    if output_format == "json":
        print_json([release_fields(each) for each in published.history()], indent=2)
        return
    if not published.history():
        output().print("nothing published yet; `watchword policies publish` does that")
        return
    table = plain_table("version", "parent", "set", "canary", "time (UTC)", "author", "note")
    for each in published.history():
        canary = f"{each.canary.digest[:12]} {each.canary.share:.0%}" if each.canary else ""
        when = f"{each.time:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(each.version), str(each.parent), each.digest[:12], canary, when, each.author, each.note)
    output().print(table)


def run_diff(before: str, after: str) -> int:
    """Print what `after` means differently from `before`; return 1 when anything does."""
    changes = policy_diffs(resolve_policy_set(before), resolve_policy_set(after))
    output().print(Lines(as_text(changes) if changes else "no difference"))
    return int(bool(changes))


def resolve_policy_set(name: str) -> PolicySet:
    """Return the set of a folder, of a version or digest on the control topic, or the one in force, `current`."""
    if Path(name).is_dir():
        return load_policy_set(Path(name))
    control = CurrentRelease()
    if name == "current":
        return without_shadows(control.require_in_force())
    return control.published.policy_set(control.published.named(name).digest)


def active_policy_set(settings: Settings) -> PolicySet | None:
    """Return the set that workers of these settings judge by, None when there is none that can be read."""
    if settings.policy_source == "folder":
        return load_policy_set(settings.policies) if settings.policies.is_dir() else None
    return CurrentRelease().in_force()


def as_text(changes: Sequence[PolicyDiff]) -> str:
    """Return changes for people: a policy's name, and a line for each thing that differs."""
    marks = {"added": "+", "removed": "-", "changed": "~"}
    lines = []
    for each in changes:
        lines.append(f"{marks[each.kind]} {each.policy_id} ({each.kind})")
        lines += [f"    {one_line(detail)}" for detail in each.details]
    return "\n".join(lines)


def _checked(policies: PolicyFolder, console: Console) -> bool:
    """Lint a folder and try its examples; say what is wrong and return False when it must not be published."""
    errors = [each for each in findings_of(policies) if each.about.level == "error"]
    for each in errors:
        console.print(Lines(each.shown))
    failed = [each for each in tried_examples(policies) if not each.passed]
    for tried in failed:
        console.print(f"`{tried.example.policy_id}`, `{tried.example.name}`: {tried.line()}")
    if errors or failed:
        console.print(
            f"not published: {counted(len(errors), 'error of lint')}, {counted(len(failed), 'example')} failed"
        )
    return not errors and not failed


def _show(changes: Sequence[PolicyDiff], control: CurrentRelease, console: Console, share: float | None) -> None:
    what = f"for {share:.0%} of the images" if share is not None else "for all images"
    console.print(f"in force: version {control.version}" if control.version else "nothing is in force yet")
    console.print(Lines(f"{as_text(changes) or 'no difference'}\n{what}"))


def _look_back(live: PolicySet, edited: PolicySet, console: Console) -> None:
    """Say what the edit would have done to the last week, where that is archived."""
    try:
        from pipeline.cli.policies.backtest import archive_summary
    except ModuleNotFoundError:
        return  # an install without the archive
    note_access((*live.policies, *edited.policies), "policies publish")
    for line in archive_summary(without_shadows(live), edited):
        console.print(line)


def _say(release: Release, console: Console) -> None:
    canary = f", {release.canary.digest[:12]} for {release.canary.share:.0%} of the images" if release.canary else ""
    console.print(f"version {release.version} is in force: policy set {release.digest[:12]}{canary}")
    print_json(release_fields(release))


def _before(published: ControlTopic, current: Release) -> Release:
    """Return the newest release whose set is another than the one in force."""
    for release in published.history():
        if release.version < current.version and release.digest != current.digest:
            return release
    raise UsageError("no earlier set to go back to; `watchword policies history` lists what was published")


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise UsageError(f"`--canary {text}`: it is a share of the images, such as `10%`")
    return share
