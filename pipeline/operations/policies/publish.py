"""Publishing of a policy folder: checks, and a plan that a command can show and confirm before it calls `activate`."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.evaluation.replay.examples import ExampleResult
from pipeline.events.policies import Mode, PolicySet
from pipeline.operations.policies.examples import run_examples
from pipeline.operations.policies.lint import lint_policies
from pipeline.operations.workbench import Workbench
from pipeline.policies.folder import PolicyFolder
from pipeline.policies.lint.findings import Finding
from pipeline.policies.load import read_folder
from pipeline.releases.control_topic import ReleaseRequest
from pipeline.releases.current import CurrentRelease
from pipeline.releases.diff import PolicyDiff, policy_diffs
from pipeline.releases.shadow import with_shadow, without_shadows

if TYPE_CHECKING:
    from pipeline.operations.policies.backtest import BacktestResult

LOOK_BACK_DAYS = 7
# The modules that the extra `archive` installs.
_ARCHIVE_MODULES = ("lance", "pyarrow", "scipy")


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """
    Options of a release.

    `author`: None for the user of the workbench; `parent`: the version that the edit was made from, None for the
    current one; `canary_share`: the share of images, between 0 and 1, that the set judges as a canary; `shadow`:
    whether the set is only scored and counted; `picture_side`: the longer side of pictures in pixels, None for none.
    """

    note: str = ""
    author: str | None = None
    parent: int | None = None
    canary_share: float | None = None
    shadow: bool = False
    picture_side: int | None = None


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """
    A release before its activation.

    `version`: the current version. Lint `errors` and `failed_examples` prevent the release. `diffs`: differences from
    the active set. `without_evidence`: ids of changed policies that are enforced with a provisional threshold.
    `look_back`: the back-test over the last days, None if there are no archived images. `request`: for `activate`, None
    if the release is prevented or changes nothing.
    """

    version: int
    errors: tuple[Finding, ...] = ()
    failed_examples: tuple[ExampleResult, ...] = ()
    diffs: tuple[PolicyDiff, ...] = ()
    without_evidence: tuple[str, ...] = ()
    look_back: "BacktestResult | None" = None
    request: ReleaseRequest | None = None

    @property
    def forbidden(self) -> bool:
        """True when a lint error or a failed example prevents the release."""
        return bool(self.errors or self.failed_examples)


def prepare_release(workbench: Workbench, folder: Path, options: PublishOptions) -> ReleasePlan:
    """
    Check a folder and plan its release; nothing is written.

    The folder is read once, so the set that was checked is the set that is published. Raises `UsageError`,
    `PolicyError` and `BrokerFault`.
    """
    if options.canary_share is not None and options.shadow:
        raise UsageError("`--canary` and `--shadow` exclude each other; choose one")
    policies, release = read_folder(folder), CurrentRelease(workbench.settings, workbench.progress)
    edited = policies.compose()
    errors, failed = _check(workbench, policies)
    if errors or failed:
        return ReleasePlan(release.version, errors, failed)
    live = release.active_set()
    proposed = _proposed(live, edited, options)
    diffs = tuple(policy_diffs(live, proposed))
    if not diffs and not _ends_canary(release, options):
        return ReleasePlan(release.version)
    look_back = _look_back(workbench, live, edited, options) if live is not None else None
    return ReleasePlan(
        release.version,
        diffs=diffs,
        without_evidence=_without_evidence(proposed, diffs),
        look_back=look_back,
        request=_request(workbench, release.version, live, proposed, options),
    )


def _check(workbench: Workbench, policies: PolicyFolder) -> tuple[tuple[Finding, ...], tuple[ExampleResult, ...]]:
    findings, examples = lint_policies(workbench, policies), run_examples(workbench, policies)
    errors = tuple(finding for finding in findings if finding.about.level == "error")
    return errors, tuple(example for example in examples if not example.passed)


def _proposed(live: PolicySet | None, edited: PolicySet, options: PublishOptions) -> PolicySet:
    if live is None and (options.shadow or options.canary_share is not None):
        raise UsageError(
            "no active policy set that can be read, so there is nothing to compare this set with; publish without "
            "`--canary` and `--shadow` first"
        )
    return with_shadow(live, edited) if options.shadow and live else edited


def _ends_canary(release: CurrentRelease, options: PublishOptions) -> bool:
    """
    Tell whether a release of the active set still changes something, because it ends a canary or is the first release.
    """
    current = release.published.current
    return options.canary_share is None and (current is None or current.canary is not None)


def _without_evidence(proposed: PolicySet, diffs: tuple[PolicyDiff, ...]) -> tuple[str, ...]:
    changed = {diff.policy_id for diff in diffs}
    enforced = [policy for policy in proposed.policies if policy.mode is Mode.ENFORCE and policy.provisional]
    return tuple(policy.id for policy in enforced if policy.id in changed)


def _request(
    workbench: Workbench, version: int, live: PolicySet | None, proposed: PolicySet, options: PublishOptions
) -> ReleaseRequest:
    parent = version if options.parent is None else options.parent
    author = options.author or workbench.user
    if options.canary_share is None or live is None:
        return ReleaseRequest(proposed, parent, author, options.note)
    return ReleaseRequest(live, parent, author, options.note, canary=proposed, canary_share=options.canary_share)


def _look_back(
    workbench: Workbench, live: PolicySet, edited: PolicySet, options: PublishOptions
) -> "BacktestResult | None":
    """
    Back-test the edit over the last days; None without the extra `archive`, or without archived images of the model.
    """
    if missing := [name for name in _ARCHIVE_MODULES if find_spec(name) is None]:
        workbench.progress.notify(
            f"no back-test: `{missing[0]}` is missing, which the extra `archive` installs (`pip install '.[archive]'`)"
        )
        return None
    from pipeline.operations.policies.backtest import BacktestRequest, BacktestRun

    since = datetime.now(UTC) - timedelta(days=LOOK_BACK_DAYS)
    request = BacktestRequest(without_shadows(live), edited, since, picture_side=options.picture_side)
    run = BacktestRun(workbench, request, command="policies publish")
    return run.whole() if workbench.bundle.digest in workbench.archive.models() else None
