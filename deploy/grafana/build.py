"""Dashboards as Grafana reads them. `python deploy/grafana/build.py` writes deploy/grafana/dashboards."""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from models import MODELS
from panels import HERE, Board, Panel, Row
from stream import STREAM

from policies import ONE_POLICY, POLICIES

BOARDS = (STREAM, POLICIES, MODELS, ONE_POLICY)
FOLDER = Path(__file__).parent / "dashboards"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="prometheus")
HEIGHTS = {"number": 4, "table": 10}
COLUMNS = 24


def document(board: Board) -> str:
    """Return a dashboard as JSON."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.text)
        .tags(["watchword"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
    )
    for variable in _variables(board):
        made = made.with_variable(variable)
    for annotation in _annotations():
        made = made.annotation(annotation)
    made = made.link(
        dashboard.DashboardLink("Watchword")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags(["watchword"])
        .keep_time(True)
    )
    number, y = 0, 0
    for row in board.rows:
        made = made.with_row(dashboard.Row(row.title).id(number := number + 1).grid_pos(_place(0, y, COLUMNS, 1)))
        y += 1
        for panel, place in _placed(row, y):
            made = made.with_panel(_panel(panel).id(number := number + 1).grid_pos(place))
            y = max(y, place.y + place.h)
    return json.dumps(json.loads(JSONEncoder(sort_keys=True).encode(made.build())), indent=2, sort_keys=True) + "\n"


def _placed(row: Row, y: int) -> list[tuple[Panel, models.GridPos]]:
    """Return the panels of a row from left to right, in as many lines as they need."""
    placed, x = [], 0
    for panel in row.panels:
        height = HEIGHTS.get(panel.kind, 8)
        if x + panel.width > COLUMNS:
            x, y = 0, y + height
        placed.append((panel, _place(x, y, panel.width, height)))
        x += panel.width
    return placed


def _place(x: int, y: int, width: int, height: int) -> models.GridPos:
    return models.GridPos(x=x, y=y, w=width, h=height)


def _panel(panel: Panel) -> Any:
    made = _BUILDERS[panel.kind]().title(panel.title).description(panel.text).datasource(SOURCE).unit(panel.unit)
    for index, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).ref_id(chr(ord("A") + index)).datasource(SOURCE)
        target = target.legend_format(query.legend or "__auto")
        if panel.kind in {"number", "table"}:
            target = target.instant()
        else:
            target = target.range().exemplar(panel.title == "Latency")
        if panel.kind != "lines":
            target = target.format(PromQueryFormat.TABLE if panel.kind == "table" else _format(panel))
        made = made.with_target(target)
    if panel.runbook:
        link = dashboard.DashboardLink(f"Runbook: {panel.runbook}").url(f"${{runbook}}#{panel.runbook.lower()}")
        made = made.links([link.target_blank(True)])
    if thresholds := _thresholds(panel):
        made = made.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(thresholds))
    return made


def _format(panel: Panel) -> PromQueryFormat:
    return PromQueryFormat.HEATMAP if panel.kind == "heatmap" else PromQueryFormat.TIME_SERIES


def _thresholds(panel: Panel) -> list[models.Threshold]:
    """Return colours from low to high; where low is bad, as with probes, from red to green."""
    if panel.warn is not None and panel.bad is not None and panel.bad < panel.warn:
        return [models.Threshold(color="red"), models.Threshold(value=panel.warn, color="green")]
    steps = [models.Threshold(color="green")]
    if panel.warn is not None and panel.warn != panel.bad:
        steps.append(models.Threshold(value=panel.warn, color="orange"))
    if panel.bad is not None:
        steps.append(models.Threshold(value=panel.bad, color="red"))
    return steps if len(steps) > 1 else []


def _lines() -> Any:
    legend = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.LIST)
    return timeseries.Panel().legend(legend.placement(common_models.LegendPlacement.BOTTOM)).fill_opacity(8).min(0)


def _bars() -> Any:
    return _lines().draw_style(common_models.GraphDrawStyle.BARS).fill_opacity(60)


def _number() -> Any:
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    return stat.Panel().reduce_options(last).graph_mode(common_models.BigValueGraphMode.NONE)


_BUILDERS = {"lines": _lines, "bars": _bars, "number": _number, "heatmap": heatmap.Panel, "table": table.Panel}


def _variables(board: Board) -> list[Any]:
    variables: list[Any] = [
        dashboard.ConstantVariable("runbook").label("Runbook").value("/docs/runbook.md"),
        _labels("cluster", "Cluster", "label_values(watchword_probe_up, cluster)"),
        _labels("group", "Group", 'label_values(watchword_probe_up{cluster=~"$cluster"}, group)'),
    ]
    if board.by_policy:
        variables.append(
            _labels("policy", "Policy", f"label_values(watchword_policy_info{{{HERE}}}, policy)", every=False)
        )
    return variables


def _labels(name: str, label: str, query: str, *, every: bool = True) -> Any:
    made = dashboard.QueryVariable(name).label(label).query(query).datasource(SOURCE)
    made = made.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
    return made.multi(True).include_all(True).all_value(".*") if every else made


def _annotations() -> list[Any]:
    started = f'changes(process_start_time_seconds{{job="watchword",{HERE}}}[1m]) > 0'
    published = f"changes(watchword_policy_set_active_timestamp_seconds{{{HERE}}}[1m]) > 0"
    return [
        _annotation("Workers started", started, "blue"),
        _annotation("Policy set activated", published, "purple"),
    ]


def _annotation(name: str, expr: str, colour: str) -> Any:
    return dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(colour).expr(expr)


def write() -> None:
    """Write every dashboard."""
    FOLDER.mkdir(exist_ok=True)
    for board in BOARDS:
        (FOLDER / f"{board.uid}.json").write_text(document(board))


if __name__ == "__main__":
    write()
