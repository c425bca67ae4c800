"""`watchword policies check`."""

from pathlib import Path
from typing import Annotated

import typer


def check(folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies")) -> None:
    """
    Read a folder of policies as a worker does, and show every mistake as file:line:column.

    Example: `watchword policies check policies`
    """
    from pipeline.cli.console import output
    from pipeline.policies.load import load_policy_set

    policy_set, console = load_policy_set(folder), output()
    for policy in policy_set.policies:
        note = " (provisional)" if policy.provisional else ""
        console.print(f"{policy.id:28}{policy.mode.value:9}{policy.score.value:11} {policy.threshold:8.3f}{note}")
    console.print(f"policy set {policy_set.digest}")
