"""What one looks at images with: `scan`, `classify`, `search` and `sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import UsageError

app = typer.Typer()


@app.command()
def scan(
    paths: Annotated[list[Path], typer.Argument(help="Images, and folders of images.")],
    policies: Annotated[Path | None, typer.Option(help="Folder of policy files.  [default: policies]")] = None,
    format: Annotated[str, typer.Option(help="`table` or `jsonl`.")] = "table",  # noqa: A002 -- the option's name
    html: Annotated[Path | None, typer.Option(help="Also write a report, one HTML file.")] = None,
    model: Annotated[Path | None, typer.Option(help="Model bundle.  [default: the one that ships]")] = None,
) -> None:
    """
    Judge files here and now: no broker, no server.

    Exit codes: 0 nothing flagged, 1 something flagged, 2 an error, or nothing flagged but a file that could not be
    judged.

    Examples: `watchword scan samples/images/revolver` · `watchword scan . --format jsonl | jq .flags` ·
    `watchword scan uploads --html report.html`
    """
    from pipeline.cli.images.scan import run_scan

    raise typer.Exit(run_scan(paths, policies=policies, output_format=format, html=html, model=model))


@app.command()
def classify(
    images: Annotated[list[Path], typer.Argument(help="Images, and folders of images.")],
    labels: Annotated[str, typer.Option(help="What an image may be, with commas between.")],
    model: Annotated[Path | None, typer.Option(help="Model bundle.  [default: the one that ships]")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many labels to show for each image.")] = 3,
    format: Annotated[str, typer.Option(help="`table` or `jsonl`.")] = "table",  # noqa: A002 -- the option's name
    html: Annotated[Path | None, typer.Option(help="Also write a page with the pictures.")] = None,
) -> None:
    """
    Say which of a few labels fits an image best; one of them always does, so this is no moderation.

    Policies are not asked: pictures that a restricted policy would keep back are shown.

    Exit codes: 0 done, 2 an error or a file that could not be read.

    Example: `watchword classify samples/images/revolver --labels "a revolver,a stapler,a hand drill"`
    """
    from pipeline.cli.images.zero_shot import run_classify

    raise typer.Exit(run_classify(images, labels, model=model, top=top, output_format=format, html=html))


@app.command()
def search(
    text: Annotated[str | None, typer.Argument(help="What to look for, as a sentence.")] = None,
    like: Annotated[Path | None, typer.Option(help="Look for what is like this image, in the archive.")] = None,
    images: Annotated[
        list[Path] | None, typer.Option(help="Images, and folders of images.  [default: the archive]")
    ] = None,
    since: Annotated[str | None, typer.Option(help="In the archive: how far to look back, such as `7d`.")] = None,
    model: Annotated[Path | None, typer.Option(help="Model bundle, for files.  [default: the settings']")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many images to show.")] = 12,
    format: Annotated[str, typer.Option(help="`table` or `jsonl`.")] = "table",  # noqa: A002 -- the option's name
    html: Annotated[Path | None, typer.Option(help="Also write a page with the pictures.")] = None,
) -> None:
    """
    Find the images nearest to a sentence, or to an image: among files, or in the archive.

    In the archive, what a restricted policy flags is left out; of files, policies are not asked.

    Exit codes: 0 done, 2 an error or a file that could not be read.

    Examples: `watchword search "a photo of a leopard" --images samples/images --html found.html` ·
    `watchword search "a photo of a leopard" --since 30d` · `watchword search --like worst.jpg`
    """
    if images:
        from pipeline.cli.images.zero_shot import run_search

        if text is None or like is not None or since is not None:
            raise UsageError("among files one looks for a sentence; `--like` and `--since` look in the archive")
        raise typer.Exit(run_search(text, images, model=model, top=top, output_format=format, html=html))
    from pipeline.extras import models_extra

    with models_extra("archive"):
        from pipeline.cli.images.search_archive import run_archive_search

    run_archive_search(text, like, since=since, top=top, output_format=format, html=html)


@app.command()
def sweep(
    images: Annotated[list[Path], typer.Argument(help="The worst examples: images, and folders of images.")],
    since: Annotated[str, typer.Option(help="How far to look back: `7d`, `12h`, `2w`, or a day.")] = "30d",
    least: Annotated[float, typer.Option(min=0, max=1, help="The least cosine that is like them.")] = 0.8,
    top: Annotated[int, typer.Option(min=1, help="How many of each image's nearest to look at.")] = 500,
    policy: Annotated[str | None, typer.Option(help="Also write a shadow policy of this id.")] = None,
    folder: Annotated[Path, typer.Option("--policies", help="Folder it is written to.")] = Path("policies"),
    words: Annotated[str | None, typer.Option(help="What the images show, for the policy.")] = None,
    format: Annotated[str, typer.Option(help="`table` or `jsonl`.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    Find what in the archive is like an incident's images, in groups of copies.

    With `--policy` a provisional policy is written that scores by nearness to these images. It flags nothing until it
    is promoted.

    Example: `watchword sweep worst.jpg --since 30d --policy incident.no_12 --words "a counterfeit banknote"`
    """
    from pipeline.extras import models_extra

    with models_extra("archive"):
        from pipeline.cli.images.sweep import run_sweep

    run_sweep(
        images,
        since=since,
        least=least,
        top=top,
        policy_id=policy,
        folder=folder,
        words=words,
        output_format=format,
    )
