"""`watchword policies lint`: what a CLIP will get wrong about a folder of policies."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.cli.console import Lines, output, require_format
from pipeline.counted import counted
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.encode.tokenize import TextTokenizer
from pipeline.policies.lint.findings import Finding
from pipeline.policies.lint.run import lint
from pipeline.policies.lint_rules import RULES, Level
from pipeline.policies.load import PolicyFolder, read_folder
from pipeline.settings import Settings, load_settings
from pipeline.visible import json_text

FORMATS = ("text", "json", "sarif", "github")


def run_lint(folder: Path, output_format: str) -> int:
    """Print what is found; return 1 when any of it is an error or a warning, else 0."""
    require_format(output_format, FORMATS)
    found = findings_of(read_folder(folder))
    output().print(Lines(_FORMATTERS[output_format](found)))
    return int(any(each.about.level != "note" for each in found))


def findings_of(policies: PolicyFolder) -> Sequence[Finding]:
    """Lint a folder by the model of the settings. Raises `PolicyError` when a threshold is yet to be fitted."""
    bundle = Bundle.load(load_settings(Settings).model)
    bank = build_prompt_bank(policies.compose(), LocalEncoder(bundle))
    return lint(policies, bank, TextTokenizer(bundle), bundle.lineage, datetime.now(UTC).date())


def as_text(findings: Sequence[Finding]) -> str:
    """Return every finding as a compiler would show it, and how many there are."""
    counts = Counter(each.about.level for each in findings)
    levels: tuple[Level, ...] = ("error", "warning", "note")
    total = ", ".join(counted(counts[level], level) for level in levels if counts[level])
    return "\n\n".join([*(each.shown for each in findings), total or "nothing found"])


def as_json(findings: Sequence[Finding]) -> str:
    """Return a list of objects."""
    return json_text([_fields(each) for each in findings], indent=2)


def as_sarif(findings: Sequence[Finding]) -> str:
    """Return a log in the Static Analysis Results Interchange Format 2.1.0 (OASIS)."""
    rules = [
        {
            "id": rule.value,
            "shortDescription": {"text": about.why},
            "help": {"text": about.advice},
            "defaultConfiguration": {"level": about.level},
        }
        for rule, about in RULES.items()
    ]
    results = [
        {
            "ruleId": each.rule.value,
            "level": each.about.level,
            "message": {"text": f"{each.message}: {each.about.why}; {each.about.advice}"},
            "locations": [{"physicalLocation": _location(each)}],
        }
        for each in findings
    ]
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "watchword policies lint", "rules": rules}}, "results": results}],
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


_FORMATTERS = {"text": as_text, "json": as_json, "sarif": as_sarif, "github": as_github}


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


def _location(each: Finding) -> dict[str, Any]:
    start = each.position
    region = {"startLine": start.line, "startColumn": start.column, "endColumn": start.column + start.width}
    return {"artifactLocation": {"uri": quote(bytes(each.path))}, "region": region}


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _escaped(str(value)).replace(":", "%3A").replace(",", "%2C")
