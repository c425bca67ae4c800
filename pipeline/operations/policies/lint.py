"""Lint of a policy folder with the model named in the settings."""

from collections.abc import Collection
from datetime import UTC, datetime

from pipeline.encode.tokenize import TextTokenizer
from pipeline.operations.workbench import Workbench
from pipeline.policies.folder import PolicyFolder
from pipeline.policies.lint.findings import Finding
from pipeline.policies.lint.run import lint
from pipeline.policies.lint_rules import Rule


def lint_policies(
    workbench: Workbench, policies: PolicyFolder, rules: Collection[Rule] = frozenset(Rule)
) -> list[Finding]:
    """
    Return the findings of `rules` in a folder, in the order of its files.

    Raises `PolicyError` when a threshold is yet to be fitted.
    """
    bank, bundle = workbench.bank(policies.compose()), workbench.bundle
    findings = lint(policies, bank, TextTokenizer(bundle), bundle.lineage, datetime.now(UTC).date())
    return [finding for finding in findings if finding.rule in rules]
