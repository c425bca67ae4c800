"""`watchword models evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.models.options import Policies
from pipeline.cli.session import session_of

if TYPE_CHECKING:
    from pipeline.models.evaluation.evaluate import Evaluation

FORMATS = ("markdown", "json")


def evaluate(
    context: typer.Context,
    bundles: Annotated[list[Path], typer.Argument(help="Model bundles; if several, shown side by side.")],
    data: Annotated[Path, typer.Option(help="Folder with labels.csv (file, category, split) and the images.")],
    split: Annotated[str, typer.Option(help="Split to measure. Keep `test` for final figures.")] = "val",
    slice: Annotated[  # noqa: A002 -- the option's name
        list[str] | None,
        typer.Option(help="Column of labels.csv; each of its values gets figures (repeatable)."),
    ] = None,
    captions: Annotated[
        Path | None,
        typer.Option(help="Caption table with the categories' names.  [default: the shipped table]"),
    ] = None,
    paraphrases: Annotated[
        Path | None,
        typer.Option(help="YAML file with lists of other words for the categories.  [default: the shipped file]"),
    ] = None,
    policies: Policies = Path("policies"),
    format: Annotated[str, typer.Option(help="Output format: `markdown` or `json`.")] = "markdown",  # noqa: A002 -- the option's name
    card: Annotated[
        Path | None, typer.Option(help="Markdown file to write as well; a JSON file is written next to it.")
    ] = None,
) -> None:
    """
    Measure bundles on labelled images: accuracy, weakest categories, and differences between groups of people.

    The figures: zero-shot top-1 and top-5, average precision of each category and of paraphrases as text policies,
    retrieval, calibration, the shape of the embedding space, images altered as uploads often are, slices, and prompts
    that name groups of people.

    Example: `watchword models evaluate pipeline/bundles/caltech-small --data samples --card out/card.md`
    """
    from pipeline.cli.console import require_format
    from pipeline.operations.models.evaluate import EvaluationRequest, evaluate_bundles
    from pipeline.policies.load import load_policy_set

    require_format(format, FORMATS)
    request = EvaluationRequest(tuple(bundles), data, split, tuple(slice or ()), captions, paraphrases)
    evaluations = evaluate_bundles(session_of(context).workbench, request, load_policy_set(policies))
    if card is not None:
        _write_card(card, evaluations)
    _print(evaluations, format)


def _write_card(card: Path, evaluations: Sequence["Evaluation"]) -> None:
    from pipeline.models.evaluation.card import to_json, to_markdown

    card.parent.mkdir(parents=True, exist_ok=True)
    stem = card.name.removesuffix(".md").removesuffix(".json")
    card.with_name(f"{stem}.md").write_text(to_markdown(evaluations))
    card.with_name(f"{stem}.json").write_text(to_json(evaluations) + "\n")


def _print(evaluations: Sequence["Evaluation"], output_format: str) -> None:
    import json

    from pipeline.cli.console import Lines, output, print_json
    from pipeline.models.evaluation.card import to_json, to_markdown

    if output_format == "json":
        print_json(json.loads(to_json(evaluations)), indent=2)
    else:
        output().print(Lines(to_markdown(evaluations)))
