"""The questions of the dashboards, with a test's own values for their variables."""

import importlib.util
import sys
from types import ModuleType
from unittest import mock

from tests.operate.monitoring import DEPLOY, LABELS

POLICY = "weapons.firearms"
VARIABLES = {
    "$cluster": LABELS["cluster"],
    "$group": LABELS["group"],
    "$__rate_interval": "15s",
    "$policy": POLICY,
}


def _code() -> ModuleType:
    """Return deploy/grafana/build.py, which is a script and no part of the package."""
    spec = importlib.util.spec_from_file_location("grafana_build", DEPLOY / "grafana/build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(sys, "path", [*sys.path]):
        spec.loader.exec_module(module)
    return module


BUILD = _code()


def filled(expr: str) -> str:
    """Return an expression with its variables filled in."""
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr
    return expr


def expressions(*, fault: bool) -> dict[str, str]:
    """Return the expressions of all panels that this machine can have data for, by dashboard, panel and query."""
    found = {}
    for board in BUILD.BOARDS:
        for panel in board.panels:
            if panel.hardware or panel.fault is not fault:
                continue
            for number, query in enumerate(panel.queries):
                found[f"{board.uid}: {panel.title} {number}"] = filled(query.expr)
    return found
