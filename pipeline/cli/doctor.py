"""`watchword doctor`."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import Session, session_of
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.operations.doctor.diagnose import Diagnosis
    from pipeline.operations.doctor.findings import Finding

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def doctor(
    context: typer.Context,
    format: Annotated[str, typer.Option(help="Output format: `table` or `json`.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    Check everything that a worker needs, and say what to do about each problem.

    The checks are: settings, broker, topics, group and lag, clock, model, each Triton, golden probes, policies and
    archive. Each has a deadline, and a failure hides no other. Nothing is sent to Kafka.

    Exit codes: 0 nothing failed; 1 something failed.

    Example: `watchword doctor --format json | jq '.[] | select(.state == "failed")'`
    """
    from pipeline.cli.console import print_json, require_format

    require_format(format, ("table", "json"))
    diagnosis = _diagnose(session_of(context))
    if format == "json":
        print_json([_fields(each) for each in diagnosis.findings])
    else:
        _print_table(diagnosis)
    raise typer.Exit(int(not diagnosis.healthy))


def _diagnose(session: Session) -> "Diagnosis":
    from pipeline.operations.doctor.diagnose import diagnose, refused_settings

    try:
        workbench = session.workbench
    except UsageError as error:
        return refused_settings(str(error))
    return diagnose(workbench)


def _fields(finding: "Finding") -> dict[str, str]:
    return {"name": finding.name, "state": finding.state.value, "seen": finding.seen, "advice": finding.advice}


def _print_table(diagnosis: "Diagnosis") -> None:
    from collections import Counter

    from pipeline.cli.console import output

    console = output()
    console.print(_table(diagnosis), soft_wrap=False)
    counts = Counter(each.state.value for each in diagnosis.findings)
    console.print(", ".join(f"{counts[state]} {state}" for state in _STYLES if counts[state]))


def _table(diagnosis: "Diagnosis") -> "Table":
    from rich.text import Text

    from pipeline.cli.console import plain_table
    from pipeline.visible import visible

    table = plain_table("check", "state", "found")
    for each in diagnosis.findings:
        state = Text(each.state.value, style=_STYLES[each.state.value])
        advice = f"\n→ {each.advice}" if each.advice else ""
        table.add_row(each.name, state, Text(visible(each.seen + advice)))
    return table
