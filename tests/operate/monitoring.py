"""A real Prometheus and Alertmanager beside a stream, with a pager that notes what it is sent. Loopback only."""

import json
import re
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import yaml  # type: ignore[import-untyped]

from tests.support.http import get
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus/rules").glob("*.yaml"))
LABELS = {"cluster": "test", "group": "watched"}

# Durations of rules are divided by this, so that a fault pages within seconds. Thresholds stay.
SPEED = 20
_DURATION = re.compile(r"\b(\d+)(s|m|h|d)\b")
_WINDOW = re.compile(r"\[[^\]]+\]|offset \w+")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def quickened(text: str) -> str:
    """Return rules with every duration divided by `SPEED`, and none under 3 s."""

    def quick(found: re.Match[str]) -> str:
        return f"{max(3, int(found[1]) * _SECONDS[found[2]] // SPEED)}s"

    parsed = yaml.safe_load(text)
    for group in parsed["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule["expr"] = re.sub(
                r"(?<=\[)[^\]]+(?=\])|(?<=offset )\S+?(?=\))", lambda m: _DURATION.sub(quick, m[0]), rule["expr"]
            )
            if "for" in rule:
                rule["for"] = _DURATION.sub(quick, rule["for"])
    return str(yaml.safe_dump(parsed))


class Pager:
    """A webhook's receiver."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                pager.sent += [(alert["status"], alert["labels"]["alertname"]) for alert in body["alerts"]]
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 -- the base class's name

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="pager", daemon=True).start()

    def wait_for(self, status: str, alert: str, timeout_s: float, after: int = 0) -> None:
        """Wait until an alert was sent as `firing` or `resolved`, past the first `after` messages."""
        wait_until(lambda: (status, alert) in self.sent[after:], timeout_s, f"{alert} {status}; sent {self.sent}")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Monitoring:
    """Prometheus with the shipped rules, Alertmanager, and a pager. `targets`: job to the port of each target."""

    folder: Path
    targets: Mapping[str, list[int]]
    quick: bool = True
    pager: Pager = field(default_factory=Pager)
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self._alertmanager, cluster = free_ports(3)
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(self._configuration()))
        (self.folder / "alertmanager.yaml").write_text(yaml.safe_dump(self._routing()))
        for rules in RULES:
            text = rules.read_text()
            (self.folder / f"rules-{rules.name}").write_text(quickened(text) if self.quick else text)
        try:
            self._run(
                "prometheus-alertmanager",
                f"--config.file={self.folder}/alertmanager.yaml",
                f"--storage.path={self.folder}/alertmanager",
                f"--web.listen-address=127.0.0.1:{self._alertmanager}",
                f"--cluster.listen-address=127.0.0.1:{cluster}",
            )
            self._run(
                "prometheus",
                f"--config.file={self.folder}/prometheus.yaml",
                f"--storage.tsdb.path={self.folder}/data",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--query.lookback-delta=30s",
            )
            wait_until(lambda: get(self.port, "/-/ready")[0] == 200, 30, "Prometheus")
            wait_until(lambda: get(self._alertmanager, "/-/ready")[0] == 200, 30, "Alertmanager")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.wait(20)
        self.pager.close()

    def ask(self, expr: str) -> list[dict[str, Any]]:
        """Return the present samples of an expression. Raises `AssertionError` with Prometheus' own message."""
        return self._get("query", query=expr)

    def ask_range(self, expr: str, start_s: float, end_s: float, step_s: float) -> list[dict[str, Any]]:
        """Return the series of an expression over a time, Unix seconds."""
        return self._get("query_range", query=expr, start=f"{start_s}", end=f"{end_s}", step=f"{step_s}")

    def value(self, expr: str) -> float | None:
        """Return the present value of an expression with one series or none."""
        found = self.ask(expr)
        return float(found[0]["value"][1]) if found else None

    def _get(self, path: str, **query: str) -> list[dict[str, Any]]:
        status, body = get(self.port, f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
        assert status == 200, f"{query['query']}: {body}"
        found: list[dict[str, Any]] = json.loads(body)["data"]["result"]
        return found

    def _run(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.log").open("wb") as log:
            self._started.append(subprocess.Popen([program, *arguments], stdout=log, stderr=log))

    def _configuration(self) -> dict[str, Any]:
        configuration: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text())
        jobs = {job["job_name"] for job in configuration["scrape_configs"]}
        assert self.targets.keys() <= jobs, "jobs are named as the shipped configuration names them"
        targets = [
            {
                "job_name": job,
                "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports], "labels": LABELS}],
            }
            for job, ports in self.targets.items()
        ]
        return {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [f"{self.folder}/rules-*.yaml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{self._alertmanager}"]}]}]},
            "scrape_configs": targets,
        }

    def _routing(self) -> dict[str, Any]:
        shipped: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus/alertmanager.yaml").read_text())
        shipped["route"] |= {"group_wait": "1s", "group_interval": "1s"}
        for receiver in shipped["receivers"]:
            receiver["webhook_configs"] = [{"url": f"http://127.0.0.1:{self.pager.port}/", "send_resolved": True}]
        return shipped
