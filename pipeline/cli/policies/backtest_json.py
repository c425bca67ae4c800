"""What a back-test found, as one JSON object."""

from collections.abc import Sequence
from typing import Any

from pipeline.cli.console import print_json
from pipeline.evaluation.backtest.agreement import Agreement, Judged
from pipeline.evaluation.backtest.result import Backtest, PolicyChange
from pipeline.evaluation.stats.binomial import scaled
from pipeline.evaluation.stats.intervals import Interval


class BacktestJson:
    """Collects findings and prints them when it is closed."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}

    def sample(self, found: Backtest, images: int) -> None:
        """Take what a plain sample of so many images shows."""
        policies = {each.policy_id: _scaled(each, found.images, images) for each in found.policies.values()}
        self._fields["sample"] = {"images": found.images, "of": images, "policies": policies}

    def whole(self, found: Backtest, agreed: Sequence[Agreement]) -> None:
        """Take what everything shows, and how people's decisions agree with it."""
        policies = {each.policy_id: _change(each, found) for each in found.policies.values()}
        for agreement in agreed:
            policies[agreement.policy_id]["decisions"] = _agreement(agreement)
        self._fields |= {"images": found.images, "days": sorted(found.days), "policies": policies}

    def close(self) -> None:
        """Print the object."""
        print_json(self._fields, indent=2)


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


def _ends(value: Interval) -> dict[str, float]:
    return {"value": value.value, "lower": value.lower, "upper": value.upper}
