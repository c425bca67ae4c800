"""The command line: commands and their groups, and errors as messages and exit codes."""

import sys
from typing import Annotated

import structlog
import typer

from pipeline.cli import doctor, reference, settings_, stack
from pipeline.cli.archive import app as archive
from pipeline.cli.dead_letters import app as dead_letters
from pipeline.cli.decisions import app as decisions
from pipeline.cli.exit_codes import exit_code_of, message_of
from pipeline.cli.group import app as group
from pipeline.cli.images import app as images
from pipeline.cli.models import app as models
from pipeline.cli.policies import app as policies
from pipeline.cli.session import Session
from pipeline.cli.stream import app as stream
from pipeline.cli.topics import app as topics
from pipeline.errors import WatchwordError
from pipeline.visible import visible

app = typer.Typer(name="watchword", no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
app.add_typer(stream.app)
app.add_typer(images.app)
app.add_typer(stack.app, name="stack")
app.add_typer(policies.app, name="policies")
app.add_typer(models.app, name="models")
app.add_typer(archive.app, name="archive")
app.add_typer(decisions.app, name="decisions")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(topics.app, name="topics")
app.add_typer(group.app, name="group")
about = typer.Typer()
about.command()(doctor.doctor)
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
    """Moderate images in folders and on streams with policies written as text."""
    from pipeline.telemetry.logs import log_for_people

    log_for_people()
    context.obj = Session(quiet=quiet)


def main() -> None:
    """Run a command; an error becomes a message on stderr, or a worker's last log event, and an exit code."""
    from pipeline.telemetry.logs import logs_events

    try:
        app(prog_name="watchword")
    except WatchwordError as error:
        code = exit_code_of(error)
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

    message = message_of(error)
    if logs_events():
        structlog.get_logger().critical("stopped", error=type(error).__name__, message=message, exit_code=code)
    else:
        typer.echo(f"watchword: {visible(message)}", err=True)
