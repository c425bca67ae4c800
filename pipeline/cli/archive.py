"""`watchword archive`: keep embeddings, and forget them."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.counted import counted

if TYPE_CHECKING:
    from pipeline.archive.dataset import Archive

app = typer.Typer(help="Keep embeddings, search them, and forget them.", no_args_is_help=True)

Content = Annotated[str, typer.Argument(help="SHA-256 of the image's bytes, `content_digest` in verdicts.")]


def open_archive() -> "Archive":
    """Return the archive of the settings."""
    from pipeline.extras import models_extra
    from pipeline.settings import Settings, load_settings

    settings = load_settings(Settings)
    with models_extra("archive"):
        from pipeline.archive.dataset import Archive
    return Archive(settings.archive, settings.archive_options)


@app.command()
def run() -> None:
    """
    Archive what the embeddings' topic brings, until SIGTERM: every embedding once, whatever crashes.

    Example: `WATCHWORD_ARCHIVE=s3://moderation/archive watchword archive run`
    """
    import signal

    from pipeline.settings import Settings, load_settings
    from pipeline.stream.build import build_archiver
    from pipeline.telemetry.logs import configure_logging

    settings = load_settings(Settings)
    configure_logging(settings.log_format, settings.log_level)
    archiver = build_archiver(settings, open_archive())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: archiver.stop())
    archiver.run()


@app.command()
def status() -> None:
    """
    Say what is archived, by model, and what is held.

    Example: `watchword archive status`
    """
    from pipeline.cli.console import output

    archive = open_archive()
    for model in archive.models():
        output().print(f"{model}  {counted(archive.count(model), 'embedding')}")
    for held in archive.holds():
        output().print(f"held  {held.content}  {held.reason}")


@app.command()
def delete(content: Content) -> None:
    """
    Delete every embedding of one image, of all models, and its bytes from every file.

    Stop `watchword archive run` first: what it had not finished storing would be removed too.

    Example: `watchword archive delete 3a7bd3e2…`
    """
    archive = open_archive()
    deleted = archive.delete(content)
    archive.purge()
    typer.echo(f"{counted(deleted, 'embedding')} deleted")


@app.command()
def hold(
    content: Content, reason: Annotated[str, typer.Option(help="Who asked, and where that is written.")] = ""
) -> None:
    """
    Keep an image's embeddings whatever their age and whoever asks, until `release`.

    Example: `watchword archive hold 3a7bd3e2… --reason "order 12/2031"`
    """
    typer.echo(f"{counted(open_archive().hold(content, reason), 'embedding')} held")


@app.command()
def release(content: Content) -> None:
    """
    End a hold.

    Example: `watchword archive release 3a7bd3e2…`
    """
    typer.echo(f"{counted(open_archive().release(content), 'embedding')} released")


@app.command()
def expire(days: Annotated[int, typer.Option(min=1, help="Older embeddings go, unless they are held.")]) -> None:
    """
    Delete what is older, and its bytes from every file. As for `delete`, stop `watchword archive run` first.

    Example: `watchword archive expire --days 90`
    """
    archive = open_archive()
    deleted = archive.expire(datetime.now(UTC) - timedelta(days=days))
    archive.purge()
    typer.echo(f"{counted(deleted, 'embedding')} deleted")


@app.command()
def compact() -> None:
    """
    Join small files, and remove those that nothing needs any more.

    Example: `watchword archive compact`
    """
    open_archive().compact()
    typer.echo("compacted")


@app.command()
def index() -> None:
    """
    Index embeddings for search, where there are so many that it pays. Run it again as the archive grows.

    Example: `watchword archive index`
    """
    archive = open_archive()
    from pipeline.archive.search import index as build

    for model in archive.models():
        typer.echo(f"{model}  {'indexed' if build(archive, model) else 'too few to need an index'}")
