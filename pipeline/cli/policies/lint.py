"""`watchword policies lint`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.session import session_of


def lint(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies"),
    format: Annotated[str, typer.Option(help="Output format: `text`, `json`, `sarif` or `github`.")] = "text",  # noqa: A002 -- the option's name
    select: Annotated[list[str] | None, typer.Option(help="Rule to report, and no others (repeatable).")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Rule not to report (repeatable).")] = None,
    explain: Annotated[str | None, typer.Option(help="Rule to explain; no folder is read.")] = None,
) -> None:
    """
    Find wording that is valid but that the model misunderstands.

    Examples are negation, texts that are cut short, words that the model hardly knows, and duplicates. The model is the
    one in `WATCHWORD_MODEL`. A policy silences a rule with a reason: `silence: { negation: a brand's name }`.

    Exit codes: 0 no findings, or only notes; 1 errors or warnings; 2 the folder cannot be read.

    Examples: `watchword policies lint policies --format github` · `watchword policies lint --ignore no-contrast` ·
    `watchword policies lint --explain near-background`
    """
    from pipeline.cli.console import Lines, output, require_format
    from pipeline.cli.policies.lint_output import FORMATTERS, explanation
    from pipeline.operations.policies.lint import lint_policies
    from pipeline.policies.lint_rules import rule_named, selected_rules
    from pipeline.policies.load import read_folder

    if explain is not None:
        output().print(Lines(explanation(rule_named(explain))))
        return
    require_format(format, FORMATTERS)
    rules = selected_rules(select or (), ignore or ())
    findings = lint_policies(session_of(context).workbench, read_folder(folder), rules)
    output().print(Lines(FORMATTERS[format](findings)))
    raise typer.Exit(int(any(finding.about.level != "note" for finding in findings)))
