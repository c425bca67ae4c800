"""Results of a back-test as tables and as one JSON object."""

import math
from collections.abc import Sequence
from typing import Any

from pipeline.cli.console import interval, output, plain_table
from pipeline.counted import counted
from pipeline.evaluation.backtest.agreement import Agreement, Judged
from pipeline.evaluation.backtest.result import Backtest, Flip, PolicyChange
from pipeline.evaluation.stats.binomial import scaled
from pipeline.evaluation.stats.intervals import Interval
from pipeline.operations.policies.backtest import BacktestResult

# Number of an attribute's values that are printed, those with the most changes.
SHOWN_VALUES = 5


def print_sample(result: BacktestResult) -> None:
    """Print the numbers estimated from a sample."""
    table = plain_table("policy", "newly flagged", "newly cleared", "flags after")
    sample = result.found.images
    for each in result.found.policies.values():
        counts = (each.newly_flagged, each.newly_cleared, each.after)
        table.add_row(each.policy_id, *(_count(scaled(count, sample, result.images)) for count in counts))
    console = output()
    console.print(f"estimated from {sample} of {counted(result.images, 'image')}, with 95 % intervals:")
    console.print(table)


def print_whole(result: BacktestResult) -> None:
    """Print the numbers of all images, the examples, and the agreement with people's decisions."""
    _print_changes(result.found)
    for each in result.found.policies.values():
        _print_examples(each)
    if result.agreements:
        _print_agreements(result.agreements)


def json_fields(sampled: BacktestResult | None, whole: BacktestResult | None) -> dict[str, Any]:
    """Return the fields of the JSON object."""
    fields: dict[str, Any] = {}
    if sampled is not None:
        found, images = sampled.found, sampled.images
        policies = {each.policy_id: _scaled_fields(each, found.images, images) for each in found.policies.values()}
        fields["sample"] = {"images": found.images, "of": images, "policies": policies}
    if whole is not None:
        changes = {each.policy_id: _change_fields(each, whole.found) for each in whole.found.policies.values()}
        for agreement in whole.agreements:
            changes[agreement.policy_id]["decisions"] = _agreement_fields(agreement)
        fields |= {"images": whole.found.images, "days": sorted(whole.found.days), "policies": changes}
    return fields


def _print_changes(found: Backtest) -> None:
    table = plain_table("policy", "flags before", "after", "newly flagged", "newly cleared", "flags a day after")
    for each in found.policies.values():
        counts = (each.before, each.after, each.newly_flagged, each.newly_cleared)
        queue = found.queue(each.policy_id)
        a_day = f"{queue.value:.1f}" if math.isnan(queue.lower) else interval(queue)
        table.add_row(each.policy_id, *map(str, counts), a_day)
    console = output()
    console.print(table)
    console.print(f"{counted(found.images, 'image')} of {counted(len(found.days), 'day')}")


def _print_examples(change: PolicyChange) -> None:
    console = output()
    for flip, examples, by in (
        (Flip.NEWLY_FLAGGED, change.nearest_flagged, change.flagged_by),
        (Flip.NEWLY_CLEARED, change.nearest_cleared, change.cleared_by),
    ):
        if examples:
            nearest = ", ".join(f"{example.event_id} ({example.margin:+.2f})" for example in examples)
            console.print(f"{change.policy_id}, {flip}, nearest to the threshold: {nearest}")
        for name, values in sorted(by.items()):
            most = ", ".join(f"{value} {count}" for value, count in values.most_common(SHOWN_VALUES))
            more = f" and {len(values) - SHOWN_VALUES} more" if len(values) > SHOWN_VALUES else ""
            console.print(f"{change.policy_id}, {flip}, by {name}: {most}{more}")


def _print_agreements(agreements: Sequence[Agreement]) -> None:
    table = plain_table(
        "policy", "precision before", "after", "newly flagged, right", "undecided", "newly cleared, right"
    )
    for each in agreements:
        flagged, cleared = each.newly_flagged, each.newly_cleared
        table.add_row(
            each.policy_id,
            interval(each.precision_before),
            interval(each.precision_after),
            interval(flagged.right) if flagged.decided else "–",
            str(flagged.undecided),
            interval(cleared.right) if cleared.decided else "–",
        )
    console = output()
    console.print("by people's decisions:")
    console.print(table)


def _count(value: Interval) -> str:
    return f"{value.value:.0f} ({math.floor(value.lower)} to {math.ceil(value.upper)})"


def _scaled_fields(each: PolicyChange, sample: int, images: int) -> dict[str, Any]:
    counts = {"newly_flagged": each.newly_flagged, "newly_cleared": each.newly_cleared, "after": each.after}
    return {name: _interval_fields(scaled(count, sample, images)) for name, count in counts.items()}


def _change_fields(each: PolicyChange, found: Backtest) -> dict[str, Any]:
    return {
        "before": each.before,
        "after": each.after,
        "newly_flagged": each.newly_flagged,
        "newly_cleared": each.newly_cleared,
        "queue_per_day": _interval_fields(found.queue(each.policy_id)),
        "newly_flagged_by": {name: dict(values) for name, values in each.flagged_by.items()},
        "newly_cleared_by": {name: dict(values) for name, values in each.cleared_by.items()},
        "nearest_flagged": [{"event": e.event_id, "margin": e.margin} for e in each.nearest_flagged],
        "nearest_cleared": [{"event": e.event_id, "margin": e.margin} for e in each.nearest_cleared],
    }


def _agreement_fields(each: Agreement) -> dict[str, Any]:
    return {
        "precision_before": _interval_fields(each.precision_before),
        "precision_after": _interval_fields(each.precision_after),
        "flagged_by_both": _judged_fields(each.both),
        "newly_flagged": _judged_fields(each.newly_flagged),
        "newly_cleared": _judged_fields(each.newly_cleared),
    }


def _judged_fields(part: Judged) -> dict[str, Any]:
    return {"images": part.images, "decided": part.decided, "right": _interval_fields(part.right)}


def _interval_fields(value: Interval) -> dict[str, float]:
    return {"value": value.value, "lower": value.lower, "upper": value.upper}
