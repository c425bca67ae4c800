"""Network client of every Kafka client: certificates and credentials as they are now, and refusals that are told."""

import functools
import time
from collections.abc import Callable
from typing import Any

import structlog
from kafka import errors as kafka_errors
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from pipeline.broker.login import Login
from pipeline.broker.refusals import Refusal, refusal_of
from pipeline.errors import UsageError
from pipeline.tls import Tls

log = structlog.get_logger()

# The shortest time between two log events about refusals of one client.
TELL_S = 10.0


def net_client(tls: Tls | None, login: Login | None) -> Callable[..., KafkaNetClient]:
    """Return the factory that kafka-python calls for the network client of a consumer, producer or admin client."""

    def make(**configs: Any) -> KafkaNetClient:
        net = NetworkSelector(**configs)
        return KafkaNetClient(net, GuardedConnections(net, tls, login, **configs), **configs)

    return make


class LastWords:
    """
    Receives like `receive`, and hands out what came before the end of a connection before that end.

    kafka-python 3.0.12 discards it when both arrive in one read, and with it the answer of a broker that refuses a
    login and closes.
    """

    def __init__(self, receive: Callable[[], tuple[bytes, Exception | None]]) -> None:
        self._receive = receive
        self._end: Exception | None = None

    def __call__(self) -> tuple[bytes, Exception | None]:
        """Return what arrived, and the error that ended the connection."""
        if self._end is not None:
            return b"", self._end
        data, self._end = self._receive()
        return (data, None) if data else (data, self._end)


class GuardedConnections(KafkaConnectionManager):  # type: ignore[misc]  # untyped
    """
    Connections that read certificates and credentials when they connect, so that both can be rotated.

    kafka-python 3.0.12 loses refusals. It raises a failed TLS handshake as a lost connection, and it swallows a refused
    login, forgetting the pause between tries with it. Its clients then try again for 30 s and report a time-out, or go
    on for ever without an error. Here the first refusal ends the bootstrap, once every bootstrap broker has refused.
    """

    def __init__(self, net: NetworkSelector, tls: Tls | None, login: Login | None, **configs: Any) -> None:
        super().__init__(net, **configs)
        self._tls, self._login = tls, login
        self._refusals: dict[object, Refusal] = {}
        self._problem: BaseException | None = None
        self._accepted, self._told_at = False, -TELL_S

    def get_connection(self, node_id: object, *args: Any, **options: Any) -> Any:
        """Return the connection to a node. Raises `Refusal` when every bootstrap broker has refused."""
        if node_id in self._refusals and self.connection_delay(node_id) > 0:
            self._raise_refusal(node_id)
        known = self._conns.get(node_id)
        if known is None:
            self._read_password()
        connection = super().get_connection(node_id, *args, **options)
        if connection is not known:
            connection.init_future.add_callback(lambda _: self._accept(node_id))
            connection.init_future.add_errback(functools.partial(self._note, node_id))
        return connection

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        if self._tls is not None:
            try:
                self.config["ssl_context"] = self._tls.context()
            except UsageError as error:
                raise Refusal(str(error)) from error
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        transport._sock_recv = LastWords(transport._sock_recv)  # noqa: SLF001 -- there is no public hook
        return transport

    async def _connect(self, node: Any, connection: Any, *args: Any, **options: Any) -> None:
        await super()._connect(node, connection, *args, **options)
        if node.node_id in self._refusals:
            self.update_backoff(node.node_id)

    async def _do_bootstrap(self, deadline: float | None) -> Any:
        try:
            return await super()._do_bootstrap(deadline)
        except kafka_errors.KafkaTimeoutError as error:
            raise kafka_errors.KafkaTimeoutError(f"{error.args[0]}; {self._last_problem()}") from error

    def _last_problem(self) -> str:
        found = f"last problem: {self._problem or 'the broker closed the connection'}"
        # A broker only closes a connection that speaks another protocol than its listener.
        closed = any(word in found for word in ("closed", "disconnected", "EOF"))
        return f"{found}; if this lasts, check WATCHWORD_SECURITY_PROTOCOL and the port" if closed else found

    def _read_password(self) -> None:
        if self._login is None:
            return
        try:
            self.config["sasl_plain_password"] = self._login.read_password()
        except Refusal:
            # While the file is away, the password that it had before may still do.
            if self.config["sasl_plain_password"] is None:
                raise

    def _note(self, node_id: object, error: BaseException) -> None:
        """Keep a failure of a connection, as a refusal if it is one."""
        self._problem = error
        node = self.cluster.broker_metadata(node_id)
        at = f"{node.host}:{node.port}" if node else str(node_id)
        login = self._login
        told = (login.mechanism, f" of `{login.username}`" if login.username else "", login.hint) if login else None
        refusal = refusal_of(error, at, self._tls, told)
        if refusal is None:
            self._refusals.pop(node_id, None)
        else:
            self._refusals[node_id] = self._problem = refusal
            self._tell(at, refusal)

    def _accept(self, node_id: object) -> None:
        self._refusals.pop(node_id, None)
        self._accepted = True

    def _tell(self, at: str, refusal: Refusal) -> None:
        """Log a refusal after this client was accepted before: its calls only wait, without an error."""
        now = time.monotonic()
        if self._accepted and now - self._told_at >= TELL_S:
            self._told_at = now
            log.warning("broker_refused", broker=at, problem=str(refusal))

    def _raise_refusal(self, node_id: object) -> None:
        if not self.cluster.is_bootstrap(node_id):
            return  # kafka-python's own pause between tries applies
        if all(broker.node_id in self._refusals for broker in self.cluster.bootstrap_brokers()):
            raise self._refusals[node_id]
