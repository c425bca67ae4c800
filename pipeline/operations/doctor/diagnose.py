"""Diagnosis of a stream: its settings, Kafka, Triton, policies, archive and clock."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.counted import counted
from pipeline.operations.doctor.archive import check_archive
from pipeline.operations.doctor.checks import Check, run_checks
from pipeline.operations.doctor.findings import Finding, State, failed, fine, skipped, warning
from pipeline.operations.doctor.kafka import check_broker, check_clock, check_group, check_topics
from pipeline.operations.doctor.policies import check_policies
from pipeline.operations.doctor.triton import check_model, check_triton
from pipeline.operations.workbench import Workbench
from pipeline.stack_settings import PREFIX


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Findings of every check, in the order of the checks."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing failed."""
        return all(each.state is not State.FAILED for each in self.findings)


def check_settings(workbench: Workbench) -> Iterator[Finding]:
    """Yield the number of settings in use, and a warning for each that is not meant to last."""
    settings = workbench.settings
    if settings.allow_dead_letters:
        seen = "any share of dead letters is accepted"
        yield warning("settings", seen, f"unset {PREFIX}ALLOW_DEAD_LETTERS once the broken records are through")
    if settings.fetch_allow_loopback:
        yield warning("settings", "references may name this host", f"unset {PREFIX}FETCH_ALLOW_LOOPBACK")
    yield fine("settings", f"{counted(len(settings.model_fields_set), 'setting')} of the environment, all valid")


CHECKS = (
    Check("settings", check_settings),
    Check(
        "broker",
        check_broker,
        f"start Kafka (locally: `watchword stack up`), or check {PREFIX}BOOTSTRAP_SERVERS",
    ),
    Check("topics", check_topics, needs=("broker",)),
    Check("group", check_group, needs=("broker",)),
    Check("clock", check_clock, needs=("broker",)),
    Check("model", check_model, f"check {PREFIX}MODEL", deadline_s=30),
    Check("triton", check_triton, f"check {PREFIX}TRITON_URL", needs=("model",), deadline_s=30),
    # Lint encodes every prompt on this CPU.
    Check("policies", check_policies, f"check {PREFIX}POLICIES and {PREFIX}POLICY_SOURCE", deadline_s=60),
    Check("archive", check_archive, f"check {PREFIX}ARCHIVE", deadline_s=30),
)


def diagnose(workbench: Workbench) -> Diagnosis:
    """
    Check every part that a stream needs. Nothing is written but a file in the archive, which is deleted at once.

    Raises nothing: a failure is a finding. Each check has a deadline, at most a minute.
    """
    return Diagnosis(run_checks(workbench, CHECKS))


def refused_settings(problem: str) -> Diagnosis:
    """Return the diagnosis of settings that cannot be loaded: nothing else can be checked."""
    others = (skipped(check.name, "not checked, because of `settings`") for check in CHECKS[1:])
    return Diagnosis((failed("settings", problem, "docs/settings.md lists every setting"), *others))
