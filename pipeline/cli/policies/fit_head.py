"""`watchword policies fit-head`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of

if TYPE_CHECKING:
    from pipeline.operations.policies.fit_head import HeadFit


def fit_head(
    context: typer.Context,
    policy: Annotated[str, typer.Argument(help="Id of a policy that still scores by its prompts.")],
    labels: Annotated[Path, typer.Option(help="Labelled stream: CSV or JSON Lines, as for `replay`.")],
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files.")] = Path("policies"),
    split: Annotated[str | None, typer.Option(help="Split of the labels to use.  [default: all]")] = None,
) -> None:
    """
    Fit a linear score on embeddings to labels, for a harm that prompts do not separate.

    The head is written to `heads/` next to the policy. The command compares it with the policy's prompts on held-out
    labels. To use the head, write `score: linear` and `head` into the policy.

    Example: `watchword policies fit-head weapons.firearms --labels labels.csv`
    """
    from pipeline.cli.console import output
    from pipeline.extras import models_extra

    with models_extra("calibrate"):
        from pipeline.operations.policies.fit_head import fit_policy_head

    for line in _lines(fit_policy_head(session_of(context).workbench, folder, policy, labels, split)):
        output().print(line)


def _lines(fit: "HeadFit") -> Iterator[str]:
    from pipeline.events.policies import ScoreKind
    from pipeline.policies.schema import head_name

    current = "the current head" if fit.policy.score is ScoreKind.LINEAR else "its prompts"
    counts = f"{fit.positives} of {fit.images} right"
    yield (
        f"`{fit.policy.id}`: average precision {fit.average_precision:.3f} on unseen labels ({counts}); "
        f"{current} {fit.current:.3f}"
    )
    if fit.average_precision <= fit.current:
        yield "the head ranks no better: keep the prompts, which need no labels and are readable"
    else:
        yield f"{fit.path}: write `score: linear` and `head: {head_name(fit.policy.id)}`, and fit the threshold again"
