"""`watchword demo`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of
from pipeline.counted import counted

if TYPE_CHECKING:
    from pipeline.operations.stream.demo import DemoResult


def demo(
    context: typer.Context,
    samples: Annotated[Path, typer.Option(help="Folder with the sample photographs.")] = Path("samples"),
    keep: Annotated[bool, typer.Option("--keep", envvar="KEEP", help="Keep the stack running afterwards.")] = False,
) -> None:
    """
    Run the main job from end to end on this machine, and count its outcomes from the topics.

    The demo starts the local stack, sends the sample photographs and some broken records, and runs two workers that
    judge them.

    Exit codes: 0 every record has exactly one outcome, which is right; 1 otherwise; 2 a wrong option or setting.

    Example: `watchword demo --keep`
    """
    from pipeline.cli.console import output
    from pipeline.operations.stream.demo import run_demo

    session = session_of(context)
    result = run_demo(session.workbench, session.stack_settings, samples, keep=keep)
    _print_policies(result)
    _print_flag(result)
    output().print(f"demo: {result.content.summary()}")
    output().print(f"demo: {result.delivery.summary()}")
    result.require_sound()


def _print_policies(result: "DemoResult") -> None:
    from pipeline.cli.console import Lines, output, plain_table, share

    table = plain_table("policy", "flags", "right", "precision", "should flag", "recall")
    for each in result.policies:
        counts = (str(each.flagged), str(each.right), share(each.precision), str(each.positives), share(each.recall))
        table.add_row(each.policy_id, *counts)
    console = output()
    console.print(Lines("\nEach policy on the `test` photographs:\n"))
    console.print(table)
    reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(result.reasons.items()))
    console.print(Lines(f"\nDead letters by reason: {reasons}"))
    records = result.delivery.records
    console.print(
        f"{counted(records, 'record')} in {result.seconds:.1f} s, including the start of the workers:  "
        f"{records / result.seconds:.0f}/s"
    )


def _print_flag(result: "DemoResult") -> None:
    from pipeline.cli.console import Lines, output, print_json
    from pipeline.events.wire.raw import json_fields

    for flag in result.flags[:1]:
        output().print(Lines("\nOne complete flag event:\n"))
        print_json(json_fields(flag), indent=2)
