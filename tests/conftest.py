"""Fixtures for every test. The stack is real; it starts once per session, with a separate state folder."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.settings import BUNDLED_MODEL
from pipeline.stack.local import down, stack_parts, up
from pipeline.stack_settings import StackSettings
from tests.support.ports import free_ports
from tests.support.remembered import Embeddings
from tests.support.schedule import GroupScheduling
from tests.support.secure_broker import SecureKafka, secure_broker
from tests.support.stream import Stack

REPOSITORY = Path(__file__).parents[1]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    return GroupScheduling(config, log)


@pytest.fixture(scope="session")
def samples() -> Path:
    return REPOSITORY / "samples"


@pytest.fixture(scope="session")
def policies() -> Path:
    return REPOSITORY / "policies"


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return Bundle.load(BUNDLED_MODEL)


@pytest.fixture(scope="session")
def encoded() -> Embeddings:
    """What `LocalEncoder`s of this process have encoded."""
    return Embeddings()


@pytest.fixture(scope="session")
def encoder(bundle: Bundle, encoded: Embeddings) -> LocalEncoder:
    with encoded.used():
        return LocalEncoder(bundle, threads=2)


@pytest.fixture(scope="module")
def remembered(encoded: Embeddings) -> Iterator[Embeddings]:
    """Encode no image and no text twice. For modules whose facts are not the encoder's."""
    with encoded.used():
        yield encoded


@pytest.fixture(scope="session")
def revolver(samples: Path) -> bytes:
    return sorted((samples / "images/revolver").iterdir())[0].read_bytes()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state = tmp_path_factory.mktemp("stack")
    ports = free_ports(5)
    settings = StackSettings(
        parts=REPOSITORY / ".watchword/parts",
        state=state,
        kafka_port=ports[0],
        controller_port=ports[1],
        triton_grpc_port=ports[2],
        triton_http_port=ports[3],
        triton_metrics_port=ports[4],
    )
    parts = stack_parts(settings)
    try:
        up(parts, lambda line: None, settings.ready_timeout_s)
        yield Stack(settings, parts, text_cache=state / "texts.sqlite")
    finally:
        down(parts, lambda line: None)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """A broker of its own, with listeners for TLS and SASL and with access-control lists."""
    broker = secure_broker(tmp_path_factory.mktemp("secure"))
    try:
        up([broker], lambda line: None, 90)
        yield broker
    finally:
        down([broker], lambda line: None)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not reach the tests."""
    for name in [name for name in os.environ if name.startswith("WATCHWORD_")]:
        monkeypatch.delenv(name)
