"""`watchword top`."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.operations.top.snapshot import Snapshot
    from pipeline.operations.workbench import Workbench


def top(
    context: typer.Context,
    worker: Annotated[
        list[str] | None, typer.Option(help="Worker's `host:port`, as `/metrics` is served (repeatable).")
    ] = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two frames.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and exit.")] = False,
) -> None:
    """
    Show a running stream: lag, rates, stages, policies, flags, dead letters and probes. Ctrl-C ends it.

    Workers are read by their `/metrics`; without `--worker`, the one of this machine at `WATCHWORD_HTTP_PORT`. Lag and
    flags come from Kafka, so they are shown while no worker runs too. Rates are over the interval.

    Examples: `watchword top --worker 10.0.0.5:9464 --worker 10.0.0.6:9464` · `watchword top --once`
    """
    from pipeline.operations.top.readings import worker_address

    session = session_of(context)
    addresses = worker or [worker_address(session.settings)]
    snapshots = _snapshots(session.workbench, addresses, interval)
    if once:
        _print(next(snapshots))
        return
    try:
        _show(snapshots)
    except KeyboardInterrupt:
        return


def _snapshots(workbench: "Workbench", addresses: "Sequence[str]", interval_s: float) -> "Iterator[Snapshot]":
    from pipeline.operations.top.snapshot import take_snapshot

    before = None
    while True:
        snapshot, before = take_snapshot(workbench, addresses, interval_s, before)
        yield snapshot


def _show(snapshots: "Iterator[Snapshot]") -> None:
    """Draw each snapshot in place of the one before; in a pipe, below it."""
    from rich.live import Live

    from pipeline.cli.console import output
    from pipeline.cli.stream.top_output import frame

    console = output()
    if not console.is_terminal:
        for snapshot in snapshots:
            _print(snapshot)
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        live.update(frame(None), refresh=True)
        for snapshot in snapshots:
            live.update(frame(snapshot), refresh=True)


def _print(snapshot: "Snapshot") -> None:
    from pipeline.cli.console import output
    from pipeline.cli.stream.top_output import frame

    output().print(frame(snapshot), soft_wrap=False)
