"""Check of the policies: they load, lint finds no error, and no calibration is stale."""

from collections.abc import Collection, Iterator

from pipeline.counted import counted
from pipeline.errors import BundleError
from pipeline.events.policies import PolicySet
from pipeline.operations.doctor.findings import Finding, failed, fine, skipped, warning
from pipeline.operations.policies.lint import lint_policies
from pipeline.operations.workbench import Workbench
from pipeline.policies.lint.findings import Finding as LintFinding
from pipeline.policies.load import read_folder
from pipeline.policies.model_compatibility import stale_policies
from pipeline.releases.control_topic import read_published


def check_policies(workbench: Workbench) -> Iterator[Finding]:
    """Yield the state of the worker's policies. Raises `PolicyError` for an invalid set, and `BrokerFault`."""
    yield from (_folder(workbench) if workbench.settings.policy_source == "folder" else _topic(workbench))


def _folder(workbench: Workbench) -> Iterator[Finding]:
    path = workbench.settings.policies
    folder = read_folder(path)
    policy_set = folder.compose()
    try:
        errors = _errors(lint_policies(workbench, folder))
    except BundleError:
        yield skipped("policies", f"{_shown(policy_set)} from `{path}` load; lint needs the model")
        return
    if errors:
        first = f"{errors[0].path}:{errors[0].position.line}: {errors[0].message}"
        advice = f"see them all with `watchword policies lint {path}`"
        yield failed("policies", f"lint finds {counted(len(errors), 'error')}, the first: {first}", advice)
    yield from stale_findings(policy_set, workbench.bundle.lineage)
    yield fine("policies", f"{_shown(policy_set)} from `{path}` load; {counted(len(errors), 'error')} by lint")


def _topic(workbench: Workbench) -> Iterator[Finding]:
    topic = workbench.settings.topic_policies
    published = read_published(workbench.connection, topic)
    if published.current is None:
        yield failed("policies", f"`{topic}` has no policy set yet", "publish one with `watchword policies publish`")
        return
    policy_set = published.policy_set(published.current.digest)
    try:
        yield from stale_findings(policy_set, workbench.bundle.lineage)
    except BundleError:
        yield skipped("policies", "stale calibrations: the model is needed")
    seen = f"version {published.current.version} on `{topic}` loads: {_shown(policy_set)}"
    yield fine("policies", f"{seen}; lint checks folders only")


def stale_findings(policy_set: PolicySet, models: Collection[str]) -> Iterator[Finding]:
    """Yield a warning when thresholds were fitted for other prompts, labels or another model than `models`."""
    other = {policy.id for policy in stale_policies(policy_set, models)}
    changed = {policy.id for policy in policy_set.policies if policy.calibration and policy.calibration.stale}
    if stale := sorted(other | changed):
        yield warning(
            "policies",
            f"stale: {', '.join(f'`{each}`' for each in stale)}",
            "fit their thresholds again with `watchword policies calibrate`",
        )


def _errors(findings: Collection[LintFinding]) -> list[LintFinding]:
    return [each for each in findings if each.about.level == "error"]


def _shown(policy_set: PolicySet) -> str:
    return counted(len(policy_set.policies), "policy")
