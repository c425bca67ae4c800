"""What a back-test found, as tables."""

import math
from collections.abc import Sequence

from pipeline.cli.console import interval, output, plain_table
from pipeline.counted import counted
from pipeline.evaluation.backtest.agreement import Agreement
from pipeline.evaluation.backtest.result import Backtest
from pipeline.evaluation.stats.binomial import scaled
from pipeline.evaluation.stats.intervals import Interval

# Of an attribute's values those with the most changes are shown.
MOST_VALUES = 5


class BacktestTables:
    """Prints tables as findings come."""

    def sample(self, found: Backtest, images: int) -> None:
        """Print what a plain sample of so many images shows."""
        table = plain_table("policy", "newly flagged", "newly cleared", "flags after")
        for each in found.policies.values():
            counts = (each.newly_flagged, each.newly_cleared, each.after)
            table.add_row(each.policy_id, *(_count(scaled(count, found.images, images)) for count in counts))
        console = output()
        console.print(f"of a sample of {found.images} of {counted(images, 'image')}, with 95 % intervals:")
        console.print(table)

    def whole(self, found: Backtest, agreed: Sequence[Agreement]) -> None:
        """Print what everything shows, and how people's decisions agree with it."""
        _print_changes(found)
        _print_examples(found)
        if agreed:
            _print_agreement(agreed)

    def close(self) -> None:
        """Nothing is kept for the end."""


def _print_changes(found: Backtest) -> None:
    console = output()
    table = plain_table("policy", "flags before", "after", "newly flagged", "newly cleared", "flags a day after")
    for each in found.policies.values():
        counts = (each.before, each.after, each.newly_flagged, each.newly_cleared)
        queue = found.queue(each.policy_id)
        a_day = f"{queue.value:.1f}" if math.isnan(queue.lower) else interval(queue)
        table.add_row(each.policy_id, *map(str, counts), a_day)
    console.print(table)
    console.print(f"{counted(found.images, 'image')} of {counted(len(found.days), 'day')}")


def _print_examples(found: Backtest) -> None:
    console = output()
    for each in found.policies.values():
        for what, examples, by in (
            ("newly flagged", each.nearest_flagged, each.flagged_by),
            ("newly cleared", each.nearest_cleared, each.cleared_by),
        ):
            if examples:
                told = ", ".join(f"{example.event_id} ({example.margin:+.2f})" for example in examples)
                console.print(f"{each.policy_id}, {what}, nearest to the threshold: {told}")
            for name, values in sorted(by.items()):
                told = ", ".join(f"{value} {count}" for value, count in values.most_common(MOST_VALUES))
                more = f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
                console.print(f"{each.policy_id}, {what}, by {name}: {told}{more}")


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
