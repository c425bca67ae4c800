"""`watchword policies new`."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def new(
    id: Annotated[str, typer.Argument(help="Id of the policy, for example `sale.chandeliers`.")],  # noqa: A002 -- the argument's name
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files.")] = Path("policies"),
    prompt: Annotated[
        list[str] | None, typer.Option(help="Phrase to catch (repeatable).  [default: the id's last part]")
    ] = None,
    severity: Annotated[
        Literal["low", "medium", "high", "critical"], typer.Option(help="Severity of its flags.")
    ] = "medium",
    action: Annotated[str, typer.Option(help="Instruction for the person who acts on a flag.")] = "review",
    owner: Annotated[str | None, typer.Option(help="Responsible team or person.  [default: you]")] = None,
) -> None:
    """
    Write a new policy file with a comment on each key. The policy flags nothing until you set `mode: enforce` in it.

    Example: `watchword policies new sale.chandeliers --prompt "a chandelier" --prompt "a crystal lamp"`
    """
    from pipeline.cli.console import output
    from pipeline.events.policies import Severity
    from pipeline.operations.policies.new import create_policy
    from pipeline.policies.starter import PolicyDraft
    from pipeline.user import user_name

    draft = PolicyDraft(id, tuple(prompt or ()), Severity(severity), action, owner or user_name())
    path = create_policy(folder, draft)
    output().print(f"{path} written; edit it, then `watchword policies check {folder}` and `… lint {folder}`")
