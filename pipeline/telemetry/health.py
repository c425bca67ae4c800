"""`/metrics`, `/healthz` and `/readyz` over HTTP."""

import errno
import ipaddress
import socket
from collections.abc import Callable, Collection, Mapping

from pipeline.errors import UsageError
from pipeline.http_server import BoundedServer, Reply, Request, json_reply, text_reply
from pipeline.telemetry.catalogue import Catalogue

Checks = Callable[[], Mapping[str, object]]

# Names that no public name server answers for, so that no web page can lead a browser here by one of its own.
_LOCAL_SUFFIXES = (".localhost", ".svc", ".cluster.local")


class HealthServer:
    """
    Answers until closed.

    `alive` and `ready` return checks by name: status 200 when all that are bool are true, else 503; other values are
    information. A request is answered when its `Host` is an IP address, a name without a dot, this host's, a cluster's
    own, or one of `allowed_hosts`. Raises `UsageError` when the address cannot be served at.
    """

    def __init__(
        self,
        host: str,
        port: int,
        metrics: Catalogue,
        *,
        alive: Checks,
        ready: Checks,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        self._checks = {"/healthz": alive, "/readyz": ready}
        self._metrics = metrics
        own = {host, socket.gethostname(), *allowed_hosts}
        self._own = {name.lower().rstrip(".") for name in own}
        try:
            self._server = BoundedServer(host, port, self._respond, name="health")
        except OSError as error:
            fault = "is taken" if error.errno == errno.EADDRINUSE else "cannot be served at"
            raise UsageError(
                f"`{host}:{port}` for metrics and health {fault}: {error.strerror}; set WATCHWORD_HTTP_PORT, and "
                "WATCHWORD_HTTP_HOST to an address of this host"
            ) from error
        self.address = self._server.address

    def close(self) -> None:
        """Stop answering."""
        self._server.close()

    def _respond(self, request: Request) -> Reply:
        if request.host and not self._known(request.host_name):
            return text_reply(421, "this host name is not known here: ask by address")
        if request.method != "GET":
            return text_reply(405, "GET only")
        if request.path == "/metrics":
            content_type, body = self._metrics.render(request.accept)
            return Reply(200, content_type, body)
        if request.path not in self._checks:
            return text_reply(404, "try /metrics, /healthz or /readyz")
        checks = dict(self._checks[request.path]())
        return json_reply(checks, 200 if all(each for each in checks.values() if isinstance(each, bool)) else 503)

    def _known(self, name: str | None) -> bool:
        if name is None:
            return False
        return "." not in name or name in self._own or name.endswith(_LOCAL_SUFFIXES) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
