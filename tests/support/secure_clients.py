"""Clients of the secure broker: environments, streams and commands."""

import os
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from typer.testing import CliRunner, Result

from pipeline.broker.connection import Connection
from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import decision_topic, policy_topic
from pipeline.cli.main import app
from pipeline.operations.topics.acls import roles_of
from tests.support.rights import grant
from tests.support.secure_broker import PASSWORD, SecureKafka
from tests.support.stream import Stack, Stream


def tls(broker: SecureKafka, port: int, **settings: object) -> dict[str, str]:
    """Return the environment of a client that trusts the broker's authority."""
    given = {"bootstrap_servers": f"127.0.0.1:{port}", "security_protocol": "SSL", "ssl_cafile": broker.authority.file}
    return {f"WATCHWORD_{name.upper()}": str(value) for name, value in {**given, **settings}.items()}


def sasl(broker: SecureKafka, mechanism: str, **settings: object) -> dict[str, str]:
    return tls(broker, broker.ports.sasl, security_protocol="SASL_SSL", sasl_mechanism=mechanism, **settings)


def user(broker: SecureKafka, name: str, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
    return sasl(broker, mechanism, sasl_username=name, sasl_password=PASSWORD)


def run_tool(environment: Mapping[str, str], *words: str) -> Result:
    with mock.patch.dict(os.environ, environment):
        return CliRunner().invoke(app, list(words))


def output(environment: Mapping[str, str], *words: str) -> str:
    run = run_tool(environment, *words)
    if run.exception is not None and not isinstance(run.exception, SystemExit):
        raise run.exception
    assert run.exit_code == 0, run.output
    return run.stdout


def plain(broker: SecureKafka) -> Connection:
    return Connection(f"127.0.0.1:{broker.ports.plain}")


class SecureStream(Stream):
    """A stream on the secure broker, whose test itself may do everything."""

    def __init__(self, stack: Stack, broker: SecureKafka, folder: Path, environment: Mapping[str, str]) -> None:
        self._broker = broker
        super().__init__(stack, folder, partitions=2, **environment)

    def own_connection(self) -> Connection:
        return plain(self._broker)


def secure_stream(stack: Stack, broker: SecureKafka, folder: Path, environment: Mapping[str, str]) -> Stream:
    stream = SecureStream(stack, broker, folder, environment)
    ensure_topics(stream.connection, [policy_topic(stream.settings), decision_topic(stream.settings)])
    return stream


def grant_all(stream: Stream, principal: str) -> None:
    for role in roles_of(stream.settings):
        grant(stream.connection, role, principal)
