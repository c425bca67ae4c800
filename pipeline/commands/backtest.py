"""`watchword policies backtest`: what an edit would have done to what was archived."""

import json
import math
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, overload

import pyarrow as pa
from rich.progress import Progress
from threadpoolctl import threadpool_limits

from pipeline.archive.dataset import Archive, from_on, vectors_of
from pipeline.commands.archive import open_archive
from pipeline.commands.console import interval, output, plain_table, progress_output, require_format
from pipeline.commands.publish import named_set
from pipeline.commands.times import since_of
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import UsageError
from pipeline.evaluate.backtest import Backtest, Comparison, Image, Part, PolicyChange
from pipeline.events.policies import PolicySet
from pipeline.judge.score import Judge
from pipeline.settings import Settings, load_settings

COLUMNS = ["event_id", "source", "attributes", "time", "vector"]


def run_backtest(after: str, before: str, *, since: str, output_format: str) -> int:
    """Print what `after` would have said that `before` did not; return 1 when anything would have changed."""
    require_format(output_format, ("table", "json"))
    bundle = Bundle.load(load_settings(Settings).model)
    found = _backtest(open_archive(), bundle, named_set(before), named_set(after), since_of(since))
    if not found.images:
        raise UsageError(f"the archive has nothing of this model since {since}")
    if output_format == "json":
        output().print_json(json.dumps(_fields(found)))
    else:
        _print(found)
    return int(any(each.newly_flagged or each.newly_cleared for each in found.policies.values()))


def archive_summary(before: PolicySet, after: PolicySet, since: str = "7d") -> list[str]:
    """Return, a line a policy, what an edit would have done since then; nothing where nothing is archived."""
    archive, bundle = open_archive(), Bundle.load(load_settings(Settings).model)
    if bundle.digest not in archive.models():
        return []
    found = _backtest(archive, bundle, before, after, since_of(since))
    changes = [each for each in found.policies.values() if each.newly_flagged or each.newly_cleared]
    lines = [
        f"{each.policy_id}: {each.newly_flagged} newly flagged, {each.newly_cleared} newly cleared, "
        f"{found.queue(each.policy_id).value:.1f} flags a day"
        for each in changes
    ]
    return [f"of {found.images} images archived since {since}:", *(lines or ["no flag changes"])]


def _backtest(archive: Archive, bundle: Bundle, before: PolicySet, after: PolicySet, since: datetime) -> Backtest:
    encoder = LocalEncoder(bundle)
    # One thread a product, and as many products at a time as there are cores: the cores then also widen and pool.
    with threadpool_limits(limits=1, user_api="blas"):
        comparison = Comparison(
            before,
            after,
            lambda policy_set: Judge(build_prompt_bank(policy_set, encoder)),
            threads=os.cpu_count() or 1,
        )
        return comparison.run(_parts(archive, bundle.digest, since))


def _parts(archive: Archive, model: str, since: datetime) -> Iterator[Part]:
    where = from_on(since)
    total = archive.dataset(model).count_rows(filter=where)
    with Progress(console=progress_output(), transient=True) as progress:
        task = progress.add_task("judging what was archived", total=total)
        for batch in archive.scan(model, COLUMNS, where):
            yield part_of(batch)
            progress.advance(task, batch.num_rows)


class ArchivedImages(Sequence[Image]):
    """The images of a batch of archived rows, each made when it is asked for."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    @overload
    def __getitem__(self, place: int) -> Image: ...

    @overload
    def __getitem__(self, place: slice) -> list[Image]: ...

    def __getitem__(self, place: int | slice) -> Image | list[Image]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        event_id, source, attributes, time = (self._batch.column(name)[place].as_py() for name in COLUMNS[:4])
        return Image(event_id, source, json.loads(attributes), f"{time:%Y-%m-%d}")


def part_of(batch: pa.RecordBatch) -> Part:
    """Return a batch of archived rows as what is judged."""
    days = batch.column("time").cast(pa.date32(), safe=False).unique().to_pylist()
    return Part(vectors_of(batch), ArchivedImages(batch), frozenset(day.isoformat() for day in days))


def _print(found: Backtest) -> None:
    console = output()
    table = plain_table("policy", "flags before", "after", "newly flagged", "newly cleared", "flags a day after")
    for each in found.policies.values():
        counts = (each.before, each.after, each.newly_flagged, each.newly_cleared)
        queue = found.queue(each.policy_id)
        a_day = f"{queue.value:.1f}" if math.isnan(queue.lower) else interval(queue)
        table.add_row(each.policy_id, *map(str, counts), a_day)
    console.print(table)
    console.print(f"{found.images} images of {len(found.days)} days")
    for each in found.policies.values():
        for what, examples in (("newly flagged", each.nearest_flagged), ("newly cleared", each.nearest_cleared)):
            if examples:
                told = ", ".join(f"{example.event_id} ({example.margin:+.2f})" for example in examples)
                console.print(f"{each.policy_id}, {what}, nearest to the threshold: {told}", markup=False)


def _fields(found: Backtest) -> dict[str, Any]:
    return {
        "images": found.images,
        "days": sorted(found.days),
        "policies": {each.policy_id: _change(each, found) for each in found.policies.values()},
    }


def _change(each: PolicyChange, found: Backtest) -> dict[str, Any]:
    queue = found.queue(each.policy_id)
    ends = [None if math.isnan(value) else value for value in (queue.value, queue.lower, queue.upper)]
    return {
        "before": each.before,
        "after": each.after,
        "newly_flagged": each.newly_flagged,
        "newly_cleared": each.newly_cleared,
        "queue_per_day": dict(zip(("value", "lower", "upper"), ends, strict=True)),
        "newly_flagged_by_source": dict(each.flagged_by),
        "newly_cleared_by_source": dict(each.cleared_by),
        "nearest_flagged": [{"event": e.event_id, "margin": e.margin} for e in each.nearest_flagged],
        "nearest_cleared": [{"event": e.event_id, "margin": e.margin} for e in each.nearest_cleared],
    }
