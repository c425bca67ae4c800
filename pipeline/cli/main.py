"""The command line: it reads options, calls one function, and turns errors into messages and exit codes."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import structlog
import typer

from pipeline.cli import archive, stack
from pipeline.cli.decisions import app as decisions
from pipeline.cli.images import app as looking
from pipeline.cli.models import app as models
from pipeline.cli.policies import app as policies
from pipeline.errors import DeadLetterLimit, InstanceTaken, PositionLost, UsageError, WatchwordError
from pipeline.visible import visible

# The most specific first: the first that matches decides.
EXIT_CODES: tuple[tuple[type[WatchwordError], int], ...] = (
    (UsageError, 2),
    (DeadLetterLimit, 3),
    (InstanceTaken, 4),
    (PositionLost, 5),
    (WatchwordError, 1),
)
_ADVICE: dict[type[WatchwordError], str] = {
    InstanceTaken: "another worker runs under this WATCHWORD_INSTANCE_ID; give each worker its own",
    PositionLost: "the group's committed position lies past the end of the log, so that going on would skip or repeat "
    "records; docs/delivery.md, `A position past the end`, says how to find out which, and how to set it",
}

app = typer.Typer(
    name="watchword",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(looking.app)
app.add_typer(stack.app, name="stack")
app.add_typer(policies.app, name="policies")
app.add_typer(models.app, name="models")
app.add_typer(archive.app, name="archive")
app.add_typer(decisions.app, name="decisions")


def _print_version(asked: bool) -> None:  # noqa: FBT001 -- the option's value
    if asked:
        from importlib.metadata import version

        typer.echo(f"watchword {version('watchword')}")
        raise typer.Exit


@app.callback()
def prepare(
    version: Annotated[  # noqa: ARG001 -- answered before any command runs
        bool, typer.Option("--version", "-V", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Moderate images on a stream by policies written as text."""
    from pipeline.telemetry.logs import log_for_people

    log_for_people()


@app.command()
def run() -> None:
    """
    Run a worker: images from Kafka, verdicts and flags back, exactly once.

    Everything is set by WATCHWORD_ environment variables; `watchword settings` shows them. SIGTERM finishes what is in
    work and leaves.

    Exit codes: 0 stopped, 2 a setting or policy is wrong, 3 too many dead letters, 4 another worker has this
    WATCHWORD_INSTANCE_ID, 5 the committed position is past the end of the log, 1 anything else.

    Example: `WATCHWORD_INSTANCE_ID=worker-1 WATCHWORD_POLICIES=policies watchword run`
    """
    from pipeline.settings import Settings, load_settings, logging_asked
    from pipeline.telemetry.logs import configure_logging

    configure_logging(*logging_asked())
    from pipeline.stream.run import run_worker

    run_worker(load_settings(Settings))


@app.command()
def lag(
    format: Annotated[str, typer.Option(help="`table` or `json`.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    Say how many records wait, by partition, whether a worker runs or not.

    Asked of the broker: what the group has committed against where the input topic ends.

    Example: `watchword lag --format json | jq .records`
    """
    from pipeline.cli.stream.lag import show_lag

    show_lag(format)


@app.command()
def replay(
    stream: Annotated[
        str, typer.Argument(help="Labelled stream: a CSV or JSON Lines file, a folder, or a topic, `kafka:images`.")
    ],
    policies: Annotated[Path | None, typer.Option(help="Folder of policy files.  [default: policies]")] = None,
    through: Annotated[
        Literal["process", "kafka"], typer.Option(help="In this process, or over the broker and Triton.")
    ] = "process",
    labels: Annotated[Path | None, typer.Option(help="For a topic: a CSV with event `id` and `policies`.")] = None,
    since: Annotated[str | None, typer.Option(help="For a topic: records from then on, such as `2026-11-14`.")] = None,
    until: Annotated[str | None, typer.Option(help="For a topic: records before then.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Only rows whose `split` is this; `test` is for final figures.")
    ] = None,
    slice: Annotated[  # noqa: A002 -- the option's name
        list[str] | None, typer.Option(help="Attribute to tell results apart by; may be given again.")
    ] = None,
    baseline: Annotated[Path | None, typer.Option(help="Compare with a replay that `--save` kept.")] = None,
    save: Annotated[Path | None, typer.Option(help="Keep this replay, to compare later ones with.")] = None,
    format: Annotated[str, typer.Option(help="`table` or `json`.")] = "table",  # noqa: A002 -- the option's name
    html: Annotated[
        Path | None, typer.Option(help="Also write a page: curves, and the worst errors' pictures.")
    ] = None,
) -> None:
    """
    Measure policies on a labelled stream, with intervals, and say whether one got worse.

    A row has an `image` and `policies`, the ids of those that should flag it; other columns are the event's attributes.
    Worse is what noise does not explain: misses and false alarms by McNemar's test, precision by a paired bootstrap.
    `--through kafka` sends the stream over the broker and Triton of the settings, into topics of its own that are
    deleted afterwards.

    Exit codes: 0 done, 1 a policy is worse than the baseline, 2 error.

    Examples: `watchword replay samples --split val --save before.json` ·
    `watchword replay samples --split val --baseline before.json` ·
    `watchword replay kafka:images --labels decided.csv --since 2026-11-14`
    """
    from pipeline.cli.stream.replay import Asked, run_replay

    code = run_replay(
        Asked(stream, through, split, labels, since, until),
        policies=policies,
        slice_by=tuple(slice or ()),
        baseline=baseline,
        save=save,
        output_format=format,
        html=html,
    )
    raise typer.Exit(code)


@app.command()
def explain(
    flag: Annotated[str, typer.Argument(help="A flag's id, a file with its event as JSON, or `-`.")],
    policies: Annotated[
        Path | None, typer.Option(help="Folder that has the flag's set.  [default: the control topic's]")
    ] = None,
) -> None:
    """
    Make a flag again from its own fields and the archived embedding, and show why, prompt by prompt.

    Exit codes: 0 the flag is proved, 1 something is not as it says, 2 error.

    Examples: `watchword explain 3f0c…` · `watchword read flags | head -1 | watchword explain -`
    """
    from pipeline.cli.stream.explain import run_explain

    raise typer.Exit(run_explain(flag, policies))


@app.command()
def produce(
    paths: Annotated[list[Path], typer.Argument(help="Images, and folders of images.")],
    labels: Annotated[Path | None, typer.Option(help="Only files of this labels.csv, under its folder.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split of the labels.")] = None,
    source: Annotated[str, typer.Option(help="`ce_source` of the events.")] = "watchword-produce",
    repeat: Annotated[int, typer.Option(min=1, help="Send everything so many times, each an event of its own.")] = 1,
    rate: Annotated[float | None, typer.Option(help="Images a second.  [default: as fast as it goes]")] = None,
    references: Annotated[bool, typer.Option("--references", help="Send `file:` addresses, not bytes.")] = False,
) -> None:
    """
    Send images to the input topic as CloudEvents.

    Of folders, files are sent that begin as an image does; a file that is named is sent whatever it is.

    Exit codes: 0 sent, 2 an error or a file that could not be read.

    Examples: `watchword produce photo.jpg` · `watchword produce samples --labels samples/labels.csv --split val`
    """
    from pipeline.cli.stream.produce import run_produce

    code = run_produce(
        paths, labels=labels, split=split, source=source, repeat=repeat, rate=rate, references=references
    )
    raise typer.Exit(code)


@app.command()
def read(
    kind: Annotated[str, typer.Argument(help="`flags`, `verdicts` or `dead-letters`.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until Ctrl-C.")] = False,
    since: Annotated[
        str | None, typer.Option(help="Only outcomes since then: `1h`, `2d`, a day or a time; `0h` is now.")
    ] = None,
    policy: Annotated[str | None, typer.Option(help="Only flags of this policy, or verdicts that it flags.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Stop after this many.")] = None,
) -> None:
    """
    Print the outcomes of a stream so far, one JSON object a line.

    Examples: `watchword read flags | jq -r '[.event.id, .policy.id, .score] | @tsv'` ·
    `watchword read flags --follow --since 0h --policy weapons.firearms`
    """
    from contextlib import closing, nullcontext, suppress
    from itertools import islice

    from pipeline.cli.console import print_line
    from pipeline.cli.stream.read import Asked, read_outcomes

    interrupted = suppress(KeyboardInterrupt) if follow else nullcontext()
    with interrupted, closing(read_outcomes(Asked(kind, policy, since, follow))) as outcomes:
        for line in islice(outcomes, limit):
            print_line(line)


@app.command()
def demo(
    samples: Annotated[Path, typer.Option(help="Folder with the sample photographs.")] = Path("samples"),
    keep: Annotated[bool, typer.Option("--keep", envvar="KEEP", help="Leave the stack running.")] = False,
) -> None:
    """
    Run the main job from end to end: stack up, photographs in, two workers, verdicts counted from the topics.

    Exit code 1 when a record was lost or has two outcomes. Example: `watchword demo --keep`
    """
    from pipeline.cli.stream.demo import run_demo

    run_demo(samples, keep=keep)


@app.command()
def reference(page: Annotated[str, typer.Argument(help="`settings` or `metrics`.")]) -> None:
    """
    Print a reference page as Markdown; `make docs` writes both into docs/.

    Example: `watchword reference metrics > docs/metrics.md`
    """
    from pipeline.cli.reference import metrics_page, settings_page

    pages = {"settings": settings_page, "metrics": metrics_page}
    if page not in pages:
        raise UsageError(f"`{page}` is not a page; choose {' or '.join(f'`{name}`' for name in pages)}")
    typer.echo(pages[page](), nl=False)


@app.command()
def settings() -> None:
    """Show every setting as it is in force, secrets masked, as JSON."""
    from pipeline.cli.console import print_json
    from pipeline.settings import Settings, load_settings

    print_json(load_settings(Settings).shown(), indent=2)


def main() -> None:
    """Run the command; errors become a message on stderr, or a worker's last log event, and an exit code."""
    from pipeline.telemetry.logs import logs_events

    try:
        app(prog_name="watchword")
    except WatchwordError as error:
        code = next(code for kind, code in EXIT_CODES if isinstance(error, kind))
        _tell(error, code)
        sys.exit(code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception:
        if not logs_events():
            raise
        structlog.get_logger().critical("crashed", exit_code=1, exc_info=True)
        sys.exit(1)


def _tell(error: WatchwordError, code: int) -> None:
    from pipeline.telemetry.logs import logs_events

    message = f"{_ADVICE[type(error)]} ({error})" if type(error) in _ADVICE else str(error)
    if logs_events():
        structlog.get_logger().critical("stopped", error=type(error).__name__, message=message, exit_code=code)
    else:
        typer.echo(f"watchword: {visible(message)}", err=True)
