"""`watchword classify`."""

from typing import Annotated

import typer

from pipeline.cli.images.options import FORMATS, Format, Images, Model, PicturesPage
from pipeline.cli.session import session_of
from pipeline.counted import counted
from pipeline.errors import UsageError


def classify(
    context: typer.Context,
    images: Images,
    labels: Annotated[str, typer.Option(help="Labels to choose from, separated by commas.")],
    model: Model = None,
    top: Annotated[int, typer.Option(min=1, help="Number of labels to show for each image.")] = 3,
    output_format: Format = "table",
    html: PicturesPage = None,
) -> None:
    """
    Choose the best of a few labels for each image. One label always wins, even if none fits: do not use it to moderate.

    No policy judges the images: those that a restricted policy would flag are shown too.

    Exit codes: 0 done, 2 an error or a file that could not be read.

    Example: `watchword classify samples/images/revolver --labels "a revolver,a stapler,a hand drill"`
    """
    from pipeline.cli.console import require_format
    from pipeline.cli.images.ranking_output import print_ranking, write_ranking
    from pipeline.operations.images.ranking import classify_files
    from pipeline.reports.page import THUMBNAIL_SIDE

    require_format(output_format, FORMATS)
    names = _labels(labels)
    workbench = session_of(context).workbench.with_model(model)
    side = None if html is None else THUMBNAIL_SIDE
    ranking = classify_files(workbench, images, names, top=top, thumbnail_side=side)
    print_ranking(ranking, "label", "probability", output_format)
    if html is not None:
        about = f"{counted(ranking.images, 'image')} among {len(names)} labels, model {ranking.model_digest[:12]}."
        write_ranking(html, ranking, title=f"Best label of: {', '.join(names)}", about=about)
    raise typer.Exit(2 if ranking.unreadable else 0)


def _labels(labels: str) -> list[str]:
    names = list(dict.fromkeys(name for part in labels.split(",") if (name := part.strip())))
    if len(names) < 2:  # noqa: PLR2004 -- a choice needs two
        raise UsageError(f"`--labels {labels}`: give at least two different labels, separated by commas")
    return names
