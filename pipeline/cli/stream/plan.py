"""`watchword plan`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of

if TYPE_CHECKING:
    from pipeline.operations.capacity.plan import CapacityPlan, Demand


def plan(
    context: typer.Context,
    images_per_second: Annotated[float, typer.Option(min=0.001, help="Images per second, at the busiest time.")],
    p99: Annotated[str, typer.Option(help="99th percentile of the time to a verdict, for example `500ms` or `2s`.")],
    images: Annotated[
        list[Path] | None, typer.Option(help="Files or folders like those of the stream (repeatable).")
    ] = None,
    encode_ms: Annotated[
        float | None, typer.Option(min=0.001, help="Time of one Triton (a GPU) for one image of a full batch, in ms.")
    ] = None,
    commit_ms: Annotated[
        float | None, typer.Option(min=0.001, help="Time of a transaction without its records, in ms.")
    ] = None,
    worker: Annotated[
        str | None, typer.Option(help="`host:port` of a running worker, whose costs are read from `/metrics`.")
    ] = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds for which that worker is observed.")] = 10.0,
    utilisation: Annotated[
        float, typer.Option(min=0.05, max=0.95, help="Share of each resource that may be in use.")
    ] = 0.7,
    format: Annotated[str, typer.Option(help="Output format: `table` or `json`.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    Work out the number of workers, partitions, decode cores and Tritons for a rate and a latency.

    The costs of an image are measured here in some seconds, with the settings' model and policies. Without
    `--encode-ms`, a Triton stands for one core of this CPU. The arithmetic is printed, and what breaks first.

    Example: `watchword plan --images-per-second 2000 --p99 500ms --images samples/images --encode-ms 0.2`
    """
    from pipeline.cli.console import print_json, require_format
    from pipeline.cli.times import duration_of
    from pipeline.operations.capacity.measure import find_costs
    from pipeline.operations.capacity.plan import ChunkLimits, Demand, plan_capacity

    require_format(format, ("table", "json"))
    demand = Demand(images_per_second, duration_of(p99, "--p99"), utilisation)
    session = session_of(context)
    limits = ChunkLimits(session.settings.chunk_max_records, session.settings.chunk_max_bytes)
    costs = find_costs(
        session.workbench, images or (), encode_ms=encode_ms, commit_ms=commit_ms, worker=worker, interval_s=interval
    )
    found = plan_capacity(costs, demand, limits)
    if format == "json":
        print_json({"demand": asdict(demand), "costs": asdict(costs), "plan": asdict(found)})
    else:
        _print_plan(found, demand)


def _print_plan(found: "CapacityPlan", demand: "Demand") -> None:
    from pipeline.cli.console import output, plain_table
    from pipeline.counted import counted, plural

    console = output()
    table = plain_table("quantity", "calculation", "result")
    for step in found.steps:
        table.add_row(step.name, step.calculation, step.result)
    console.print(table, soft_wrap=False)
    processes = f"{found.decode_processes} decode {plural(found.decode_processes, 'process')}"
    console.print()
    console.print(
        f"{counted(found.workers, 'worker')} with {processes} each, {counted(found.tritons, 'Triton')}, "
        f"{counted(found.partitions, 'partition')}"
    )
    first, *others = found.reserves
    console.print(f"breaks first: {first.name}, at {first.images_per_s:.0f} images/s of {demand.images_per_s:g} wanted")
    console.print(f"then: {', '.join(f'{each.name} at {each.images_per_s:.0f}/s' for each in others)}")
