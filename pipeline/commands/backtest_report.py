"""What a back-test found, for people and as JSON."""

import json
import math
from collections.abc import Sequence
from typing import Any

from pipeline.commands.console import interval, output, plain_table
from pipeline.evaluate.agreement import Agreement, Judged
from pipeline.evaluate.backtest import Backtest, PolicyChange
from pipeline.evaluate.intervals import Interval
from pipeline.evaluate.sampled import scaled

# Of an attribute's values those with the most changes are shown.
MOST_VALUES = 5


class Report:
    """Prints tables as they come, or one JSON object when it is closed."""

    def __init__(self, output_format: str) -> None:
        self._fields: dict[str, Any] | None = {} if output_format == "json" else None

    def sample(self, found: Backtest, images: int) -> None:
        """Take what a plain sample of so many images shows."""
        if self._fields is not None:
            self._fields["sample"] = {
                "images": found.images,
                "of": images,
                "policies": {each.policy_id: _scaled(each, found.images, images) for each in _changes(found)},
            }
            return
        table = plain_table("policy", "newly flagged", "newly cleared", "flags after")
        for each in _changes(found):
            counts = (each.newly_flagged, each.newly_cleared, each.after)
            table.add_row(each.policy_id, *(_count(scaled(count, found.images, images)) for count in counts))
        console = output()
        console.print(f"of a sample of {found.images} of {images} images, with 95 % intervals:")
        console.print(table)

    def whole(self, found: Backtest, agreed: Sequence[Agreement]) -> None:
        """Take what everything shows, and how people's decisions agree with it."""
        if self._fields is not None:
            policies = {each.policy_id: _change(each, found) for each in _changes(found)}
            for agreement in agreed:
                policies[agreement.policy_id]["decisions"] = _agreement(agreement)
            self._fields |= {"images": found.images, "days": sorted(found.days), "policies": policies}
            return
        _print(found)
        if agreed:
            _print_agreement(agreed)

    def close(self) -> None:
        """Print what is kept for the end."""
        if self._fields is not None:
            output().print_json(json.dumps(self._fields))


def _changes(found: Backtest) -> list[PolicyChange]:
    return list(found.policies.values())


def _print(found: Backtest) -> None:
    console = output()
    table = plain_table("policy", "flags before", "after", "newly flagged", "newly cleared", "flags a day after")
    for each in _changes(found):
        counts = (each.before, each.after, each.newly_flagged, each.newly_cleared)
        queue = found.queue(each.policy_id)
        a_day = f"{queue.value:.1f}" if math.isnan(queue.lower) else interval(queue)
        table.add_row(each.policy_id, *map(str, counts), a_day)
    console.print(table)
    console.print(f"{found.images} images of {len(found.days)} days")
    for each in _changes(found):
        for what, examples, by in (
            ("newly flagged", each.nearest_flagged, each.flagged_by),
            ("newly cleared", each.nearest_cleared, each.cleared_by),
        ):
            if examples:
                told = ", ".join(f"{example.event_id} ({example.margin:+.2f})" for example in examples)
                console.print(f"{each.policy_id}, {what}, nearest to the threshold: {told}", markup=False)
            for name, values in sorted(by.items()):
                told = ", ".join(f"{value} {count}" for value, count in values.most_common(MOST_VALUES))
                more = f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
                console.print(f"{each.policy_id}, {what}, by {name}: {told}{more}", markup=False)


def _print_agreement(agreed: Sequence[Agreement]) -> None:
    console = output()
    table = plain_table(
        "policy", "precision before", "after", "newly flagged, right", "unjudged", "newly cleared, right"
    )
    for each in agreed:
        flagged, cleared = each.newly_flagged, each.newly_cleared
        table.add_row(
            each.policy_id,
            interval(each.precision_before),
            interval(each.precision_after),
            interval(flagged.right) if flagged.decided else "–",
            str(flagged.unjudged),
            interval(cleared.right) if cleared.decided else "–",
        )
    console.print("by what people decided:")
    console.print(table)


def _count(value: Interval) -> str:
    return f"{value.value:.0f} ({math.floor(value.lower)} to {math.ceil(value.upper)})"


def _scaled(each: PolicyChange, sample: int, images: int) -> dict[str, Any]:
    counts = {"newly_flagged": each.newly_flagged, "newly_cleared": each.newly_cleared, "after": each.after}
    return {name: _ends(scaled(count, sample, images)) for name, count in counts.items()}


def _change(each: PolicyChange, found: Backtest) -> dict[str, Any]:
    return {
        "before": each.before,
        "after": each.after,
        "newly_flagged": each.newly_flagged,
        "newly_cleared": each.newly_cleared,
        "queue_per_day": _ends(found.queue(each.policy_id)),
        "newly_flagged_by": {name: dict(values) for name, values in each.flagged_by.items()},
        "newly_cleared_by": {name: dict(values) for name, values in each.cleared_by.items()},
        "nearest_flagged": [{"event": e.event_id, "margin": e.margin} for e in each.nearest_flagged],
        "nearest_cleared": [{"event": e.event_id, "margin": e.margin} for e in each.nearest_cleared],
    }


def _agreement(each: Agreement) -> dict[str, Any]:
    def judged(part: Judged) -> dict[str, Any]:
        return {"images": part.images, "decided": part.decided, "right": _ends(part.right)}

    return {
        "precision_before": _ends(each.precision_before),
        "precision_after": _ends(each.precision_after),
        "flagged_by_both": judged(each.both),
        "newly_flagged": judged(each.newly_flagged),
        "newly_cleared": judged(each.newly_cleared),
    }


def _ends(value: Interval) -> dict[str, float | None]:
    ends = {"value": value.value, "lower": value.lower, "upper": value.upper}
    return {name: None if math.isnan(number) else number for name, number in ends.items()}
