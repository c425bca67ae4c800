"""
Draw every dashboard from a real run, for people without Grafana: `make dashboards`.

Writes the dashboards' JSON, then watches a stream for two minutes with a spoiled model near the end, and draws each
panel's own answer into a picture a dashboard and one page, dashboards.html.
"""

import argparse
import base64
import io
import math
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.stack.local import down, stack_parts, up
from pipeline.stack_settings import StackSettings
from tests.operate.observed import Observed, observed
from tests.operate.questions import BUILD, filled
from tests.support.pictures.screenshots import write_small
from tests.support.ports import free_ports
from tests.support.stream import REPOSITORY, Stack
from tests.support.waiting import wait_until

RUN_S, SPOILED_S, STEP_S = 100, 20, 2
COLUMNS, ROW_HEIGHT, NUMBER_HEIGHT = 24, 2.3, 0.6
MOST_SERIES = 10
UNITS = {"s": " s", "ops": " /s", "percentunit": " %", "bytes": " MiB", "µs": " ms"}
SCALES = {"percentunit": 100.0, "bytes": 1 / 2**20, "µs": 1e-3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=REPOSITORY / "docs/pictures", help="where to write")
    folder = parser.parse_args().folder
    BUILD.write()
    with tempfile.TemporaryDirectory() as scratch:
        stack = _stack(Path(scratch))
        try:
            with observed(stack, Path(scratch) / "observed") as watched:
                _run(watched)
                _draw(watched, folder)
        finally:
            down(stack.parts, lambda _: None)


def _stack(folder: Path) -> Stack:
    kafka, controller, grpc, http, metrics = free_ports(5)
    settings = StackSettings(
        parts=REPOSITORY / ".watchword/parts",
        state=folder / "stack",
        kafka_port=kafka,
        controller_port=controller,
        triton_grpc_port=grpc,
        triton_http_port=http,
        triton_metrics_port=metrics,
    )
    stack = Stack(settings, stack_parts(settings))
    up(stack.parts, lambda line: print(line, file=sys.stderr), settings.ready_timeout_s)
    return stack


def _run(watched: Observed) -> None:
    """Let photographs flow, decide about some flags, and spoil the model for a while."""
    with watched.flowing():
        wait_until(lambda: len(watched.flag_ids()) > watched.DECIDED, 60, "flags")
        watched.decide()
        _pass(RUN_S - SPOILED_S, "photographs flow")
        watched.switch.touch()
        _pass(SPOILED_S, "the model answers wrong")
        watched.switch.unlink()
        _pass(SPOILED_S, "and right again")


def _pass(seconds: float, said: str) -> None:
    print(f"{seconds:.0f} s: {said}", file=sys.stderr)
    time.sleep(seconds)


def _draw(watched: Observed, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for board in BUILD.BOARDS:
        path = folder / f"dashboard-{board.uid.removeprefix('watchword-')}.png"
        _draw_board(watched, board, path)
        print(path)
        pictures.append((board, path))
    parts = [
        f"<h2>{board.title}</h2><p>{board.text}</p>"
        f'<img alt="{board.title}" src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">'
        for board, path in pictures
    ]
    page = REPOSITORY / ".watchword/dashboards.html"
    page.write_text(
        "<!doctype html><meta charset=utf-8><title>Watchword dashboards</title>"
        "<style>body{font-family:sans-serif;max-width:90rem;margin:2rem auto}img{width:100%}</style>" + "".join(parts)
    )
    print(page)


def _draw_board(watched: Observed, board: Any, path: Path) -> None:
    """Draw the panels of a dashboard in the places that Grafana gives them."""
    mpl.rcParams.update({"font.size": 7, "axes.titlesize": 8, "axes.titleweight": "bold"})
    lines = [line for row in board.rows for line in _lines(row)]
    heights = [NUMBER_HEIGHT if panels[0].kind == "number" else ROW_HEIGHT for _, panels in lines]
    figure = Figure(figsize=(16, sum(heights) + 0.3 * len(lines)))
    grid = figure.add_gridspec(len(lines), COLUMNS, height_ratios=heights, hspace=0.55, wspace=2.2)
    figure.subplots_adjust(left=0.03, right=0.99, top=1 - 0.5 / figure.get_figheight(), bottom=0.03)
    for number, (title, panels) in enumerate(lines):
        column = 0
        for panel in panels:
            axes = figure.add_subplot(grid[number, column : column + panel.width])
            _draw_panel(watched, panel, axes)
            if column == 0 and title:
                axes.annotate(title, (0, 1), (0, 16), "axes fraction", "offset points", fontsize=11, color="tab:blue")
            column += panel.width
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=90)
    write_small(drawn.getvalue(), path)


def _lines(row: Any) -> list[tuple[str, list[Any]]]:
    """Return the panels of a row in as many lines as they need; the first has the row's title."""
    lines: list[tuple[str, list[Any]]] = [(row.title, [])]
    for panel in row.panels:
        if sum(each.width for each in lines[-1][1]) + panel.width > COLUMNS:
            lines.append(("", []))
        lines[-1][1].append(panel)
    return lines


def _draw_panel(watched: Observed, panel: Any, axes: Axes) -> None:
    axes.set_title(panel.title, loc="left")
    scale = SCALES.get(panel.unit, 1.0)
    if panel.kind in {"number", "table"}:
        axes.axis("off")
        _write(axes, panel, watched.monitoring.ask(filled(panel.queries[0].expr)), scale)
        return
    end = time.time()
    answers = [
        (query, watched.monitoring.ask_range(filled(query.expr), watched.started_s, end, STEP_S))
        for query in panel.queries
    ]
    if not any(found for _, found in answers):
        axes.text(0.5, 0.5, "no data: needs a GPU" if panel.hardware else "no data", ha="center", va="center")
        axes.set_axis_off()
    elif panel.kind == "heatmap":
        _draw_heatmap(axes, answers[0][1])
    else:
        _draw_lines(axes, panel, answers, scale)


def _draw_lines(axes: Axes, panel: Any, answers: list[tuple[Any, list[dict[str, Any]]]], scale: float) -> None:
    drawn = 0
    for query, found in answers:
        for series in found[:MOST_SERIES]:
            times, values = np.array([(float(at), float(value)) for at, value in series["values"]]).T
            label = query.legend
            for name, value in series["metric"].items():
                label = label.replace(f"{{{{{name}}}}}", value)
            axes.plot(times - times.min() if drawn < 0 else times, values * scale, label=label, linewidth=1)
            drawn += 1
    for limit, colour in ((panel.warn, "orange"), (panel.bad, "red")):
        if limit is not None and axes.get_ylim()[1] > 0.5 * limit * scale:
            axes.axhline(limit * scale, color=colour, linewidth=0.8, linestyle="--")
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.set_ylabel(UNITS.get(panel.unit, ""))
    axes.xaxis.set_major_formatter(lambda at, _: datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S"))
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
    axes.legend(fontsize=5.5, ncols=2, loc="upper left", framealpha=0.6, borderaxespad=0.2)
    axes.grid(alpha=0.25)


def _draw_heatmap(axes: Axes, found: list[dict[str, Any]]) -> None:
    """Draw counts by bucket over time; the buckets' counts are cumulated."""
    bounds = sorted(
        found, key=lambda series: math.inf if series["metric"]["le"] == "+Inf" else float(series["metric"]["le"])
    )
    length = max(len(series["values"]) for series in bounds)
    rows = [[0.0] * (length - len(s["values"])) + [float(value) for _, value in s["values"]] for s in bounds]
    counts = np.diff(np.array(rows), axis=0, prepend=0).clip(min=0)
    axes.imshow(counts, aspect="auto", origin="lower", cmap="viridis")
    axes.set_yticks(range(0, len(bounds), 3), [bounds[n]["metric"]["le"] for n in range(0, len(bounds), 3)])
    axes.set_xticks([])


def _write(axes: Axes, panel: Any, found: list[dict[str, Any]], scale: float) -> None:
    if panel.kind == "table":
        rows = sorted(_row(series["metric"], float(series["value"][1])) for series in found)
        axes.text(0, 0.95, "\n".join(rows), va="top", family="monospace", fontsize=7)
        return
    value = float(found[0]["value"][1]) if found else math.nan
    if math.isnan(value):
        text = "–"
    elif panel.unit == "dateTimeFromNow":
        text = f"{time.time() - value / 1000:.0f} s ago"
    else:
        text = f"{value * scale:.3g}{UNITS.get(panel.unit, '')}"
    axes.text(0.02, 0.45, text, fontsize=18, color=_colour(panel, value), va="center")


def _row(labels: dict[str, str], threshold: float) -> str:
    cells = "  ".join(f"{labels.get(name, ''):<28}" for name in ("policy", "mode", "severity", "owner", "calibration"))
    return f"{cells}  threshold {threshold:.2f}"


def _colour(panel: Any, value: float) -> str:
    if panel.warn is not None and panel.bad is not None and panel.bad < panel.warn:
        return "tab:green" if value >= panel.warn else "tab:red"
    if panel.bad is not None and value >= panel.bad:
        return "tab:red"
    return "tab:orange" if panel.warn is not None and value >= panel.warn else "tab:green"


if __name__ == "__main__":
    main()
