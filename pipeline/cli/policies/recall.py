"""`watchword policies recall`: how much of what should be flagged is, from an audit of what was not."""

from pathlib import Path

import numpy as np

from pipeline.cli.console import interval, output, plain_table
from pipeline.cli.transition import InProcess
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labelled_stream import read_stream
from pipeline.evaluation.replay.outcomes import Replayed, collect
from pipeline.extras import models_extra
from pipeline.ingest.folder import read_events
from pipeline.policies.load import load_policy_set


def run_recall(folder: Path, labels: Path, split: str | None) -> None:
    """Print each labelled policy's recall, or that it is not known."""
    stream = read_stream(labels, split)
    outcomes = InProcess(load_policy_set(folder)).outcomes([image.event for image in stream.images], read_events)
    replayed = collect(stream, outcomes)
    table = plain_table("policy", "right flags", "misses found", "looked at", "recall")
    for place, policy in enumerate(replayed.policies):
        table.add_row(policy.id, *_row(replayed, place))
    output().print(table)


def _row(replayed: Replayed, place: int) -> tuple[str, str, str, str]:
    with models_extra("calibrate"):
        from pipeline.evaluation.stats.recall import estimate_recall

    flagged, right, within = (part[:, place] for part in (replayed.flagged, replayed.right, replayed.in_scope))
    drawn = np.array([image.probability or np.nan for image in replayed.images])
    # What any policy flagged is there whole, whatever the draw for another policy made of it.
    drawn[replayed.flagged.any(axis=1)] = 1.0
    looked_at = within & ~flagged
    if np.isnan(drawn[looked_at]).any():
        raise UsageError("images that were not flagged need a `probability`; it is in the `audit` of their verdicts")
    found = estimate_recall(float((flagged & right & within).sum()), drawn[looked_at & right], drawn[looked_at])
    told = interval(found.interval) if found.interval else "unknown"
    return f"{found.hits:.0f}", str(found.misses), str(int(looked_at.sum())), told
