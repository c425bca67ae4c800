"""`watchword stack`: a Kafka broker and a Triton server on this machine."""

from typing import Annotated

import typer

from pipeline.cli.session import session_of
from pipeline.errors import UsageError

app = typer.Typer(help="Run a Kafka broker and a Triton server on this machine.", no_args_is_help=True)


@app.command()
def install(context: typer.Context) -> None:
    """
    Install the broker's jars and Triton's environment.

    `up` does this too if they are missing.

    Example: `watchword stack install`
    """
    from pipeline.stack.local import install as install_parts
    from pipeline.stack.local import stack_parts

    session = session_of(context)
    install_parts(stack_parts(session.stack_settings), session.progress.notify)


@app.command()
def up(context: typer.Context) -> None:
    """
    Start the parts that are not running, and wait until all parts are ready.

    The ports are WATCHWORD_STACK_KAFKA_PORT, _CONTROLLER_PORT, _TRITON_GRPC_PORT, _TRITON_HTTP_PORT and
    _TRITON_METRICS_PORT; data and logs are under .watchword/stack (WATCHWORD_STACK_STATE).

    Example: `watchword stack up && watchword stack status`
    """
    from pipeline.stack.local import stack_parts
    from pipeline.stack.local import up as start_parts

    session = session_of(context)
    start_parts(stack_parts(session.stack_settings), session.progress.notify, session.stack_settings.ready_timeout_s)


@app.command()
def status(context: typer.Context) -> None:
    """
    Show the state of each part.

    Exit codes: 0 every part is ready, 1 a part is not, 2 an error.

    Example: `watchword stack status`
    """
    from pipeline.stack.local import stack_parts
    from pipeline.stack.local import status as status_of

    found = status_of(stack_parts(session_of(context).stack_settings))
    for part in found:
        process = f"pid {part.pid}, {part.memory_mib} MiB" if part.pid else ""
        typer.echo(f"{part.name:8}{part.state:10}{part.address:18}{process}".rstrip())
    raise typer.Exit(0 if all(part.state == "ready" for part in found) else 1)


@app.command()
def logs(
    context: typer.Context,
    part: Annotated[str | None, typer.Argument(help="Part: `kafka` or `triton`.  [default: both]")] = None,
    lines: Annotated[int, typer.Option(min=1, help="Number of lines to show for each part.")] = 40,
) -> None:
    """
    Print the last lines of each part's log.

    Example: `watchword stack logs triton --lines 100`
    """
    from pipeline.stack.local import stack_parts

    parts = stack_parts(session_of(context).stack_settings)
    if part is not None and part not in {each.name for each in parts}:
        raise UsageError(f"`{part}` is not a part; choose {' or '.join(f'`{each.name}`' for each in parts)}")
    for each in parts:
        if part in (None, each.name):
            typer.echo(f"==> {each.process.log}\n{each.process.tail(lines)}")


@app.command()
def down(context: typer.Context) -> None:
    """
    Stop the parts that `up` started, and nothing else.

    Example: `watchword stack down`
    """
    from pipeline.stack.local import down as stop_parts
    from pipeline.stack.local import stack_parts

    session = session_of(context)
    stop_parts(stack_parts(session.stack_settings), session.progress.notify)
