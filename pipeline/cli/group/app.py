"""The commands of `watchword group`."""

import typer

from pipeline.cli.group import leave, members

app = typer.Typer(help="Show the members of the worker group, and remove one.", no_args_is_help=True)
app.command()(members.members)
app.command()(leave.leave)
