"""TLS, mutual TLS and SASL with a real broker: the stream, every tool, refusals, rotation, rights and secrets."""

import json
import re
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.broker.configured import connection_of
from pipeline.broker.topics import topic_names
from pipeline.errors import RefusedByBroker
from pipeline.settings import Settings
from tests.support.http import get
from tests.support.ports import free_ports
from tests.support.secure_broker import PASSWORD, SecureKafka, token
from tests.support.secure_clients import grant_all, output, run_tool, sasl, secure_stream, tls, user
from tests.support.stream import Stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

KEY_PASSWORD = "canary-of-the-key"


@dataclass(frozen=True)
class Way:
    """One way to connect: the settings, and the principal that the broker sees."""

    environment: Mapping[str, str]
    principal: str


def encrypted_mutual(broker: SecureKafka, folder: Path) -> Way:
    found = broker.authority.issue("client", password=KEY_PASSWORD)
    files = {"ssl_certfile": found.certificate, "ssl_keyfile": found.key, "ssl_key_password": KEY_PASSWORD}
    return Way(tls(broker, broker.ports.mutual, **files), "User:CN=client")


def password_file(broker: SecureKafka, folder: Path) -> Way:
    file = folder / "password"
    file.write_text(f"{PASSWORD}\n")
    return Way(sasl(broker, "SCRAM-SHA-512", sasl_username="worker", sasl_password_file=file), "User:worker")


def token_file(broker: SecureKafka, folder: Path) -> Way:
    file = folder / "token"
    file.write_text(token("worker"))
    return Way(sasl(broker, "OAUTHBEARER", sasl_oauth_token_file=file), "User:worker")


WAYS: dict[str, Callable[[SecureKafka, Path], Way]] = {
    "TLS": lambda broker, _: Way(tls(broker, broker.ports.tls), "User:ANONYMOUS"),
    "mutual TLS": encrypted_mutual,
    "PLAIN": lambda broker, _: Way(user(broker, "worker", "PLAIN"), "User:worker"),
    "SCRAM-SHA-256": lambda broker, _: Way(user(broker, "worker", "SCRAM-SHA-256"), "User:worker"),
    "SCRAM-SHA-512": password_file,
    "OAUTHBEARER": token_file,
}


@pytest.mark.parametrize("name", WAYS)
def test_every_record_gets_its_outcome_once_over_a_secure_connection(
    stack: Stack, secure_kafka: SecureKafka, tmp_path: Path, samples: Path, name: str
) -> None:
    """The tools send and read, a worker judges, and no secret is in its log, its metrics or the shown settings."""
    way = WAYS[name](secure_kafka, tmp_path)
    [port] = free_ports(1)
    watched = {"WATCHWORD_HTTP_PORT": str(port), "WATCHWORD_LOG_LEVEL": "debug"}
    with secure_stream(stack, secure_kafka, tmp_path, {**way.environment, **watched}) as stream:
        if name != "TLS":  # without a client's name everybody is anonymous, and here that is a super user
            grant_all(stream, way.principal)
        output(stream.environment, "produce", str(samples / "images/watch"), "--source", "tests")
        count = len(stream.records(stream.settings.topic_images))
        assert count > 2
        worker = stream.worker()
        stream.wait_until_committed(count)
        told = get(port, "/metrics")[1] + get(port, "/readyz")[1] + output(stream.environment, "settings")
        worker.signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert stream.audit().adds_up
        assert len(output(stream.environment, "read", "verdicts", "--format", "jsonl").splitlines()) == count
        assert json.loads(output(stream.environment, "lag", "--format", "json"))["records"] == 0
        told += worker.log.read_text() + repr(stream.settings) + str(connection_of(stream.settings))
        told += repr(connection_of(stream.settings).client_options())
        assert [secret for secret in (PASSWORD, KEY_PASSWORD, "eyJ") if secret in told] == []


def stranger(broker: SecureKafka) -> dict[str, str]:
    found = broker.stranger.issue("stranger-client")
    return tls(broker, broker.ports.mutual, ssl_certfile=found.certificate, ssl_keyfile=found.key)


def expired_token(broker: SecureKafka) -> dict[str, str]:
    file = broker.folder / "expired-token"
    file.write_text(token("worker", life_s=-5))
    return sasl(broker, "OAUTHBEARER", sasl_oauth_token_file=file)


REFUSED: dict[str, tuple[Callable[[SecureKafka], dict[str, str]], str]] = {
    "an untrusted authority": (
        lambda b: tls(b, b.ports.tls, ssl_cafile=b.stranger.file),
        r"is not signed by the authorities in `.*stranger.pem`.*; set WATCHWORD_SSL_CAFILE",
    ),
    "a certificate for another host": (lambda b: tls(b, b.ports.other_name), "is for another name"),
    "an expired certificate": (lambda b: tls(b, b.ports.expired), "has expired; renew it"),
    "no client certificate": (lambda b: tls(b, b.ports.mutual), "asks for a client certificate.*SSL_CERTFILE"),
    "an untrusted client certificate": (stranger, "does not accept the client certificate .*stranger-client"),
    "a wrong password": (
        lambda b: sasl(b, "SCRAM-SHA-256", sasl_username="worker", sasl_password="no"),
        "refuses the login of `worker` by SCRAM-SHA-256: .*; check WATCHWORD_SASL_USERNAME and WATCHWORD_SASL_PASSWORD",
    ),
    "a wrong password in plain": (
        lambda b: sasl(b, "PLAIN", sasl_username="worker", sasl_password="no"),
        "refuses the login of `worker` by PLAIN: .*Invalid username or password",
    ),
    "an expired token": (expired_token, "refuses the login by OAUTHBEARER.*check the token in .*TOKEN_FILE"),
    "a login where none is expected": (
        lambda b: {**user(b, "worker"), "WATCHWORD_BOOTSTRAP_SERVERS": f"127.0.0.1:{b.ports.tls}"},
        "expects no SASL login; check WATCHWORD_SECURITY_PROTOCOL",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_connection_is_said_at_once_and_says_what_to_change(secure_kafka: SecureKafka, name: str) -> None:
    environment, message = REFUSED[name]
    started = time.monotonic()
    error = run_tool(environment(secure_kafka), "lag").exception
    assert isinstance(error, RefusedByBroker)
    assert re.search(message, str(error)), error
    assert time.monotonic() - started < 10


def test_a_worker_refused_at_start_exits_with_2(stack: Stack, secure_kafka: SecureKafka, tmp_path: Path) -> None:
    with secure_stream(stack, secure_kafka, tmp_path, user(secure_kafka, "worker")) as stream:
        worker = stream.worker(WATCHWORD_SASL_PASSWORD="no")
        assert worker.wait(60) == 2
        last = json.loads(worker.tail(1))
        assert (last["event"], last["error"]) == ("stopped", "RefusedByBroker")
        assert "check WATCHWORD_SASL_USERNAME" in last["message"]


def test_a_running_worker_waits_for_a_valid_token_and_goes_on(
    stack: Stack, secure_kafka: SecureKafka, tmp_path: Path, samples: Path
) -> None:
    """The broker makes it log in again every few seconds. Meanwhile its log and `/readyz` say what is wrong."""
    file, [port] = tmp_path / "token", free_ports(1)
    file.write_text(token("worker"))
    environment = sasl(secure_kafka, "OAUTHBEARER", sasl_oauth_token_file=file, http_port=port)
    images = sorted((samples / "images/watch").iterdir())[:4]
    with secure_stream(stack, secure_kafka, tmp_path, environment) as stream:
        grant_all(stream, "User:worker")
        worker = stream.worker()
        stream.send(stream.image(f"a{path.name}", path.read_bytes()) for path in images)
        stream.wait_until_committed(len(images))
        wait_until(lambda: get(port, "/readyz")[0] == 200, 30, "readiness")
        file.write_text(token("worker", life_s=-5))
        wait_until(lambda: get(port, "/readyz")[0] == 503, 60, "the refusal in /readyz")
        stream.send(stream.image(f"b{path.name}", path.read_bytes()) for path in images)
        wait_until(lambda: "broker_refused" in worker.log.read_text(), 30, "the refusal in the log")
        assert "refuses the login by OAUTHBEARER" in worker.log.read_text()
        file.write_text(token("worker"))
        stream.wait_until_committed(2 * len(images))
        wait_until(lambda: get(port, "/readyz")[0] == 200, 30, "readiness again")
        worker.signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert stream.audit().adds_up
        assert "Traceback" not in worker.log.read_text()


def test_rotated_files_are_used_at_the_next_connection(secure_kafka: SecureKafka, tmp_path: Path) -> None:
    """A password and a certificate are replaced under a connection that was made before."""
    password, certificate = tmp_path / "password", tmp_path / "client.pem"
    by_password = Settings(**given(sasl(secure_kafka, "PLAIN", sasl_username="owner", sasl_password_file=password)))
    by_certificate = Settings(**given(tls(secure_kafka, secure_kafka.ports.mutual, ssl_certfile=certificate)))
    trusted = secure_kafka.authority.issue("rotating").both.read_bytes()
    password.write_text(PASSWORD)
    certificate.write_bytes(trusted)
    connections = connection_of(by_password), connection_of(by_certificate)
    for wrong in (False, True, False):
        password.write_text("no" if wrong else PASSWORD)
        certificate.write_bytes(secure_kafka.stranger.issue("rotating").both.read_bytes() if wrong else trusted)
        for connection in connections:
            with pytest.raises(RefusedByBroker) if wrong else nullcontext():
                topic_names(connection)


def given(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of an environment."""
    return {name.removeprefix("WATCHWORD_").lower(): value for name, value in environment.items()}


def test_one_refused_broker_of_two_does_not_keep_a_client_out(secure_kafka: SecureKafka) -> None:
    ports = secure_kafka.ports.other_name, secure_kafka.ports.tls
    settings = given(tls(secure_kafka, secure_kafka.ports.tls))
    settings["bootstrap_servers"] = ",".join(f"127.0.0.1:{port}" for port in ports)
    for _ in range(3):  # the client begins with any of them
        topic_names(connection_of(Settings(**settings)))


def test_doctor_says_who_refuses_whom(secure_kafka: SecureKafka, tmp_path: Path) -> None:
    """A wrong password, and a broker whose authority is not trusted; without a broker, the rest is still checked."""
    unknown = tls(secure_kafka, secure_kafka.ports.tls)
    del unknown["WATCHWORD_SSL_CAFILE"]
    wrong = sasl(secure_kafka, "SCRAM-SHA-512", sasl_username="worker", sasl_password="wrong")
    for environment, reason in ((wrong, "refuses the login of `worker`"), (unknown, "WATCHWORD_SSL_CAFILE")):
        run = run_tool({**environment, "WATCHWORD_ARCHIVE": str(tmp_path)}, "--quiet", "doctor", "--format", "json")
        found = {each["name"]: each for each in json.loads(run.stdout)}
        assert run.exit_code == 1
        assert found["broker"]["state"] == "failed"
        assert reason in found["broker"]["seen"]
        states = [found[name]["state"] for name in ("topics", "policies", "archive")]
        assert states == ["skipped", "ok", "ok"]
