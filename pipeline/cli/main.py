"""The command line: commands and their groups, and errors as messages and exit codes."""

import sys
from typing import Annotated

import structlog
import typer

from pipeline.cli import reference, settings_, stack
from pipeline.cli.archive import app as archive
from pipeline.cli.decisions import app as decisions
from pipeline.cli.images import app as images
from pipeline.cli.models import app as models
from pipeline.cli.policies import app as policies
from pipeline.cli.session import Session
from pipeline.cli.stream import app as stream
from pipeline.cli.topics import app as topics
from pipeline.errors import DeadLetterLimit, InstanceTaken, PositionLost, UsageError, WatchwordError
from pipeline.visible import visible

# The most specific first: the first match counts.
EXIT_CODES: tuple[tuple[type[WatchwordError], int], ...] = (
    (UsageError, 2),
    (DeadLetterLimit, 3),
    (InstanceTaken, 4),
    (PositionLost, 5),
    (WatchwordError, 1),
)
_ADVICE: dict[type[WatchwordError], str] = {
    InstanceTaken: "another worker uses this WATCHWORD_INSTANCE_ID; give each worker a different one",
    PositionLost: "the group's committed position is past the end of the log; to continue would skip or repeat "
    "records; docs/operating.md, `A position past the end`, says how to find out which, and how to set the position",
}

app = typer.Typer(name="watchword", no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
app.add_typer(stream.app)
app.add_typer(images.app)
app.add_typer(stack.app, name="stack")
app.add_typer(policies.app, name="policies")
app.add_typer(models.app, name="models")
app.add_typer(archive.app, name="archive")
app.add_typer(decisions.app, name="decisions")
app.add_typer(topics.app, name="topics")
about = typer.Typer()
about.command()(settings_.settings)
about.command()(reference.reference)
app.add_typer(about)


def _print_version(asked: bool) -> None:  # noqa: FBT001 -- the option's value
    if asked:
        from importlib.metadata import version

        typer.echo(f"watchword {version('watchword')}")
        raise typer.Exit


@app.callback()
def prepare(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 -- answered before any command runs
        bool, typer.Option("--version", "-V", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no notices.")] = False,
) -> None:
    """Moderate images on a stream by policies written as text."""
    from pipeline.telemetry.logs import log_for_people

    log_for_people()
    context.obj = Session(quiet=quiet)


def main() -> None:
    """Run a command; an error becomes a message on stderr, or a worker's last log event, and an exit code."""
    from pipeline.telemetry.logs import logs_events

    try:
        app(prog_name="watchword")
    except WatchwordError as error:
        code = next(code for kind, code in EXIT_CODES if isinstance(error, kind))
        _report(error, code)
        sys.exit(code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception:
        if not logs_events():
            raise
        structlog.get_logger().critical("crashed", exit_code=1, exc_info=True)
        sys.exit(1)


def _report(error: WatchwordError, code: int) -> None:
    """Show an error: as a log event if the command logs events, else as a line of text."""
    from pipeline.telemetry.logs import logs_events

    message = f"{_ADVICE[type(error)]} ({error})" if type(error) in _ADVICE else str(error)
    if logs_events():
        structlog.get_logger().critical("stopped", error=type(error).__name__, message=message, exit_code=code)
    else:
        typer.echo(f"watchword: {visible(message)}", err=True)
