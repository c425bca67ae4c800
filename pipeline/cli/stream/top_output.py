"""Frame of `watchword top`: a snapshot as tables, one below the other; rows are cut in a narrow terminal."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.operations.top.snapshot import CountView, Snapshot, WorkerView
from pipeline.visible import one_line

# From this share of its time at work, a stage is what limits the stream.
_BUSY = 0.9
# The first columns name the row and its state; the others give way to them in a narrow terminal.
_WIDTHS = (14, 5)


def frame(snapshot: Snapshot | None) -> Group:
    """Return a snapshot as a frame; None stands for the time before the first one."""
    return Group(*(_sections(snapshot) if snapshot else [Text("reading the workers …", style="dim")]))


def _sections(snapshot: Snapshot) -> Iterator[RenderableType]:
    yield _summary(snapshot)
    yield _table(("worker", "state", "images/s", "partitions", "chunks", "oldest"), map(_worker_row, snapshot.workers))
    for worker in snapshot.workers:
        if worker.problem:
            yield Text(one_line(worker.problem), style="bold red")
    yield _table(("stage", "a chunk", "busy", "waiting"), _stage_rows(snapshot))
    if snapshot.policies:
        yield _table(("policy", "yes/s", "total", "mode"), map(_count_row, snapshot.policies))
    if snapshot.dead_letters:
        yield _table(("dead letters", "per s", "total", ""), map(_count_row, snapshot.dead_letters))
    if snapshot.flags:
        yield _table(("last flags", "policy", "score", "event"), _flag_rows(snapshot))


def _summary(snapshot: Snapshot) -> Text:
    rates = snapshot.rates
    lines = [
        _lag(snapshot),
        Text(
            f"rates    {rates.verdicts:.1f} images/s   {rates.records:.1f} records/s   {rates.flags:.1f} yes/s   "
            f"{rates.dead_letters:.1f} dead letters/s"
        ),
        Text(
            f"latency  p50 {_seconds(rates.latency_p50_s)}   p99 {_seconds(rates.latency_p99_s)}   "
            f"Triton {_seconds(rates.encoder_request_s)} a request, {rates.encoder_in_flight} in flight"
        ),
        _probes(snapshot),
    ]
    return Text("\n").join(lines)


def _lag(snapshot: Snapshot) -> Text:
    if snapshot.lag is None:
        return Text(f"lag      unknown: {one_line(snapshot.broker_problem)}", style="bold red")
    most = max(snapshot.lag.partitions, key=lambda each: each.records)
    text = Text(f"lag      {snapshot.lag.records} records of group `{one_line(snapshot.lag.group_id)}`")
    if most.records:
        text.append(f", most on partition {most.partition} ({most.records})")
    if snapshot.lag.missed:
        text.append(f", {snapshot.lag.missed} removed unread", style="bold red")
    return text


def _probes(snapshot: Snapshot) -> Text:
    probes = snapshot.probes
    failing = probes.known - probes.passing
    text = Text(f"probes   {probes.passing} of {probes.workers} pass", style="bold red" if failing > 0 else "")
    if probes.failures:
        text.append(f", {probes.failures} failed since the start")
    return text


def _worker_row(worker: WorkerView) -> tuple[str | Text, ...]:
    state = Text(one_line(worker.state), style="green" if worker.state == "ready" else "bold red")
    if worker.problem:
        return worker.address, state, "–", "–", "–", "–"
    rate = "–" if worker.images_per_s is None else f"{worker.images_per_s:.1f}"
    chunks = f"{worker.chunks}/{worker.chunks_limit}"
    return worker.address, state, rate, str(worker.partitions), chunks, _seconds(worker.lag_s)


def _stage_rows(snapshot: Snapshot) -> Iterator[tuple[str | Text, ...]]:
    for stage in snapshot.stages:
        busy = Text(f"{stage.busy:.0%}", style="bold yellow" if stage.busy >= _BUSY else "")
        yield stage.name, _seconds(stage.seconds_per_chunk), busy, str(stage.waiting)


def _count_row(count: CountView) -> tuple[str | Text, ...]:
    return count.name, f"{count.per_s:.2f}", str(count.total), count.kind


def _flag_rows(snapshot: Snapshot) -> Iterator[tuple[str | Text, ...]]:
    for flag in snapshot.flags:
        yield flag.time, flag.policy, "" if flag.score is None else f"{flag.score:.3f}", flag.event


def _table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column, width in zip_longest(columns, _WIDTHS[: len(columns)]):
        table.add_column(column, no_wrap=True, overflow="ellipsis", min_width=width)
    for row in rows:
        table.add_row(*(each if isinstance(each, Text) else Text(one_line(each)) for each in row))
    return table


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.1f} s"
