"""`/metrics`, `/healthz` and `/readyz` over HTTP."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pipeline.errors import UsageError
from pipeline.telemetry import METRICS_CONTENT_TYPE, Catalogue

Checks = Callable[[], Mapping[str, bool]]


class HealthServer:
    """Answers until closed. `alive` and `ready` name their checks; all true is status 200, else 503."""

    def __init__(self, host: str, port: int, metrics: Catalogue, *, alive: Checks, ready: Checks) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, METRICS_CONTENT_TYPE, metrics.render())
                elif self.path in ("/healthz", "/readyz"):
                    checks = dict(alive() if self.path == "/healthz" else ready())
                    body = json.dumps(checks).encode() + b"\n"
                    self._answer(200 if all(checks.values()) else 503, "application/json", body)
                else:
                    self._answer(404, "text/plain", b"try /metrics, /healthz or /readyz\n")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
                """Keep probes out of the log."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise UsageError(
                f"`{host}:{port}` for metrics and health is taken: {error.strerror}; set WATCHWORD_HTTP_PORT"
            ) from error
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
