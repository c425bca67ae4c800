"""Findings of `watchword policies lint` as text, JSON, SARIF and annotations of GitHub."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from pipeline.counted import counted
from pipeline.policies.lint.findings import Finding
from pipeline.policies.lint_rules import RULES, Level, Rule
from pipeline.visible import json_text


def as_text(findings: Sequence[Finding]) -> str:
    """Return the findings in the style of a compiler, and their counts."""
    counts = Counter(each.about.level for each in findings)
    levels: tuple[Level, ...] = ("error", "warning", "note")
    total = ", ".join(counted(counts[level], level) for level in levels if counts[level])
    return "\n\n".join([*(each.shown for each in findings), total or "nothing found"])


def as_json(findings: Sequence[Finding]) -> str:
    """Return a list of objects."""
    return json_text([_fields(each) for each in findings], indent=2)


def as_sarif(findings: Sequence[Finding]) -> str:
    """Return a log in the Static Analysis Results Interchange Format 2.1.0 (OASIS)."""
    driver = {"name": "watchword policies lint", "rules": [_sarif_rule(rule) for rule in RULES]}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_sarif_result(each) for each in findings]}],
    }
    return json_text(log, indent=2)


def as_github(findings: Sequence[Finding]) -> str:
    """Return workflow commands that annotate lines of a pull request on GitHub."""
    kinds: dict[Level, str] = {"error": "error", "warning": "warning", "note": "notice"}
    return "\n".join(
        f"::{kinds[each.about.level]} file={_property(each.path)},line={each.position.line},"
        f"col={each.position.column},title={_property(each.rule)}"
        f"::{_escaped(f'{each.message}: {each.about.why}; {each.about.advice}')}"
        for each in findings
    )


FORMATTERS: dict[str, Callable[[Sequence[Finding]], str]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "github": as_github,
}


def explanation(rule: Rule) -> str:
    """Return the level of a rule, the reason for it, the remedy, and how to silence it."""
    about = RULES[rule]
    silence = f"to silence it in one policy: `silence: {{ {rule}: the reason }}`"
    return f"{rule} ({about.level})\n  why: {about.why}\n  remedy: {about.advice}\n  {silence}"


def _fields(each: Finding) -> dict[str, Any]:
    return {
        "rule": each.rule.value,
        "level": each.about.level,
        "policy": each.policy_id,
        "file": str(each.path),
        "line": each.position.line,
        "column": each.position.column,
        "message": each.message,
        "why": each.about.why,
        "advice": each.about.advice,
    }


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    about = RULES[rule]
    return {
        "id": rule.value,
        "shortDescription": {"text": about.why},
        "help": {"text": about.advice},
        "defaultConfiguration": {"level": about.level},
    }


def _sarif_result(each: Finding) -> dict[str, Any]:
    start = each.position
    region = {"startLine": start.line, "startColumn": start.column, "endColumn": start.column + start.width}
    location = {"artifactLocation": {"uri": quote(bytes(each.path))}, "region": region}
    return {
        "ruleId": each.rule.value,
        "level": each.about.level,
        "message": {"text": f"{each.message}: {each.about.why}; {each.about.advice}"},
        "locations": [{"physicalLocation": location}],
    }


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _escaped(str(value)).replace(":", "%3A").replace(",", "%2C")
