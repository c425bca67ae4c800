"""Commands of a stream, at the top level: `watchword run`, `watchword read` and others."""

import typer

from pipeline.cli.stream import demo, explain, lag, plan, produce, read, replay, run, top

app = typer.Typer()
app.command()(run.run)
app.command()(lag.lag)
app.command()(top.top)
app.command()(plan.plan)
app.command()(replay.replay)
app.command()(explain.explain)
app.command()(produce.produce)
app.command()(read.read)
app.command()(demo.demo)
