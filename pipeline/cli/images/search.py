"""`watchword search`, among files or in the archive."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.images.options import FORMATS, Format, PicturesPage
from pipeline.cli.session import Session, session_of
from pipeline.counted import counted
from pipeline.errors import UsageError


def search(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="Sentence that describes the images to find.")] = None,
    like: Annotated[Path | None, typer.Option(help="Image file to find similar archived images for.")] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Image file, or folder of images, to search (repeatable).  [default: the archive]"),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Start of the archive's period: an age (`7d`, `12h`, `2w`) or a date (`2026-11-14`).  [default: all]"
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model bundle, with `--images`.  [default: WATCHWORD_MODEL]")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of images to show.")] = 12,
    output_format: Format = "table",
    html: PicturesPage = None,
) -> None:
    """
    Find the images nearest to a sentence or to an image, among files or in the archive.

    Archived images that a restricted policy flags are left out. No policy judges files.

    Exit codes: 0 done, 2 an error or a file that could not be read.

    Examples: `watchword search "a photo of a leopard" --images samples/images --html found.html` ·
    `watchword search "a photo of a leopard" --since 30d` · `watchword search --like worst.jpg`
    """
    from pipeline.cli.console import require_format

    require_format(output_format, FORMATS)
    session = session_of(context)
    if images:
        if text is None or like is not None or since is not None:
            raise UsageError("`--images` needs a sentence; `--like` and `--since` are for the archive")
        raise typer.Exit(_search_files(session, text, images, model, top, output_format, html))
    _search_archive(session, _query(text, like), since, top, output_format, html)


def _query(text: str | None, like: Path | None) -> str | Path:
    if text is not None and like is None:
        return text
    if like is not None and text is None:
        return like
    raise UsageError("give one thing to look for: a sentence, or an image with `--like`")


def _search_files(
    session: Session,
    text: str,
    images: list[Path],
    model: Path | None,
    top: int,
    output_format: str,
    html: Path | None,
) -> int:
    """Search files for a sentence, print the ranking, and return the exit code."""
    from pipeline.cli.images.ranking_output import print_ranking, write_ranking
    from pipeline.operations.images.ranking import search_files
    from pipeline.reports.page import THUMBNAIL_SIDE

    side = None if html is None else THUMBNAIL_SIDE
    ranking = search_files(session.workbench.with_model(model), images, text, top=top, thumbnail_side=side)
    print_ranking(ranking, "text", "cosine", output_format)
    if html is not None:
        shown, total = len(ranking.files), counted(ranking.images, "image")
        about = f"The nearest {shown} of {total}, model {ranking.model_digest[:12]}."
        write_ranking(html, ranking, title=f"Nearest to “{text}”", about=about)
    return 2 if ranking.unreadable else 0


def _search_archive(
    session: Session, query: str | Path, since: str | None, top: int, output_format: str, html: Path | None
) -> None:
    from pipeline.cli.times import since_of
    from pipeline.extras import models_extra
    from pipeline.reports.page import THUMBNAIL_SIDE

    with models_extra("archive"):
        from pipeline.cli.images.archive_output import print_neighbours, withheld_notice, write_neighbours
        from pipeline.operations.images.search_archive import search_archive

    start = None if since is None else since_of(since)
    side = None if html is None else THUMBNAIL_SIDE
    found = search_archive(session.workbench, query, since=start, top=top, picture_side=side)
    if found.withheld:
        session.progress.notify(withheld_notice(found.withheld))
    print_neighbours(found, output_format)
    if html is not None:
        write_neighbours(html, found, title=f"Nearest to {f'“{query}”' if isinstance(query, str) else query}")
