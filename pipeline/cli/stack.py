"""`watchword stack`: a real broker and a real Triton on this machine."""

from typing import Annotated

import typer

from pipeline.errors import UsageError

app = typer.Typer(help="A real Kafka broker and a real Triton on this machine.", no_args_is_help=True)


def _say(line: str) -> None:
    typer.echo(line, err=True)


@app.command()
def install() -> None:
    """Bring the broker's jars and Triton's environment, once; `up` does it when it is missing."""
    from pipeline.settings import StackSettings, load_settings
    from pipeline.stack.local import install as bring
    from pipeline.stack.local import stack_parts

    bring(stack_parts(load_settings(StackSettings)), _say)


@app.command()
def up() -> None:
    """
    Start what is not running and wait until it serves.

    Ports are WATCHWORD_STACK_KAFKA_PORT, _CONTROLLER_PORT, _TRITON_GRPC_PORT, _TRITON_HTTP_PORT and
    _TRITON_METRICS_PORT; data and logs are under .watchword/stack (WATCHWORD_STACK_STATE).

    Example: `watchword stack up && watchword stack status`
    """
    from pipeline.settings import StackSettings, load_settings
    from pipeline.stack.local import stack_parts
    from pipeline.stack.local import up as start

    settings = load_settings(StackSettings)
    start(stack_parts(settings), _say, settings.ready_timeout_s)


@app.command()
def status() -> None:
    """Say how each part is; exit code 1 unless all are ready."""
    from pipeline.settings import StackSettings, load_settings
    from pipeline.stack.local import stack_parts
    from pipeline.stack.local import status as look

    found = look(stack_parts(load_settings(StackSettings)))
    for part in found:
        process = f"pid {part.pid}, {part.memory_mib} MiB" if part.pid else ""
        typer.echo(f"{part.name:8}{part.state:10}{part.address:18}{process}".rstrip())
    raise typer.Exit(0 if all(part.state == "ready" for part in found) else 1)


@app.command()
def logs(
    part: Annotated[str | None, typer.Argument(help="`kafka` or `triton`.  [default: both]")] = None,
    lines: Annotated[int, typer.Option(min=1, help="So many lines of each.")] = 40,
) -> None:
    """Print the end of the parts' output."""
    from pipeline.settings import StackSettings, load_settings
    from pipeline.stack.local import stack_parts

    parts = stack_parts(load_settings(StackSettings))
    if part is not None and part not in {each.name for each in parts}:
        raise UsageError(f"`{part}` is not a part; choose {' or '.join(f'`{each.name}`' for each in parts)}")
    for each in parts:
        if part in (None, each.name):
            typer.echo(f"==> {each.process.log}\n{each.process.tail(lines)}")


@app.command()
def down() -> None:
    """End what `up` started, and nothing else."""
    from pipeline.settings import StackSettings, load_settings
    from pipeline.stack.local import down as stop
    from pipeline.stack.local import stack_parts

    stop(stack_parts(load_settings(StackSettings)), _say)
