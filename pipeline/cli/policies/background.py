"""`watchword policies background`."""

import typer


def background() -> None:
    """
    Print the shipped background list: ordinary things that count against every policy with `score: contrast`.

    A `background.yaml` in the folder of policies replaces it. That changes the score of every such policy: compare with
    `watchword policies backtest` before you publish.

    Example: `watchword policies background > policies/background.yaml`
    """
    from pipeline.policies.load import SHIPPED_BACKGROUND

    typer.echo(SHIPPED_BACKGROUND.read_text(encoding="utf-8"), nl=False)
