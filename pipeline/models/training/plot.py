"""Plot of a run's metrics."""

import json
from pathlib import Path

from matplotlib.figure import Figure


def plot_run(metrics: Path, picture: Path) -> None:
    """Plot every series of a metrics.jsonl over the steps, one below the other, the loss first."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    names = ["loss", *(name for name in lines[-1] if name not in ("progress", "minutes", "step", "loss"))]
    figure = Figure(figsize=(7, 2.2 * len(names)), layout="constrained")
    for number, name in enumerate(names, start=1):
        axes = figure.add_subplot(len(names), 1, number)
        axes.plot([line["step"] for line in lines], [line.get(name) for line in lines])
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
    axes.set_xlabel("step")
    figure.savefig(picture, dpi=110)
