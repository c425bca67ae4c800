"""A run's metrics as a picture."""

import json
from pathlib import Path

from matplotlib.figure import Figure


def plot_run(metrics: Path, picture: Path) -> None:
    """Draw every series of a metrics.jsonl over the steps, the loss first, one below the other."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    names = ["loss", *(name for name in lines[-1] if name not in ("progress", "minutes", "step", "loss"))]
    figure = Figure(figsize=(7, 2.2 * len(names)), layout="constrained")
    for place, name in enumerate(names):
        axes = figure.add_subplot(len(names), 1, place + 1)
        axes.plot([line["step"] for line in lines], [line.get(name) for line in lines])
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
    axes.set_xlabel("step")
    figure.savefig(picture, dpi=110)
