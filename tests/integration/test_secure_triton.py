"""TLS and mutual TLS with a real Triton: both towers encode, a worker judges, and what is not accepted is said."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.encode.bundle import Bundle
from pipeline.encode.triton import TritonEncoder
from pipeline.encode.triton_tls import triton_tls_of
from pipeline.errors import RefusedByTriton
from pipeline.settings import Settings
from pipeline.stack.local import down, up
from pipeline.stack.triton import TritonPart
from pipeline.stack_settings import StackSettings
from tests.support.certificates import Authority
from tests.support.ports import free_ports
from tests.support.stream import REPOSITORY, Stack, Stream

pytestmark = pytest.mark.integration


class SecureTriton(TritonPart):
    """A Triton that asks clients for a certificate."""

    def __init__(self, settings: StackSettings, folder: Path) -> None:
        super().__init__(settings)
        self.authority, self.stranger = Authority(folder, "authority"), Authority(folder, "stranger")
        self._own = self.authority.issue("triton")
        self.client = self.authority.issue("client")
        self.strange_client = self.stranger.issue("strange-client")

    def options(self) -> list[str]:
        return [
            "--grpc-use-ssl=true",
            "--grpc-use-ssl-mutual=true",
            f"--grpc-server-cert={self._own.certificate}",
            f"--grpc-server-key={self._own.key}",
            f"--grpc-root-cert={self.authority.file}",
        ]

    def trusted(self, **changed: Path | None) -> dict[str, Any]:
        """Return the settings of a client that it accepts, with some changed."""
        client = self.client
        files = {"ca": self.authority.file, "cert": client.certificate, "key": client.key, **changed}
        return {"triton_tls": True, **{f"triton_{name}_file": path for name, path in files.items() if path}}


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureTriton]:
    grpc, http, metrics = free_ports(3)
    state = tmp_path_factory.mktemp("triton")
    settings = StackSettings(
        parts=REPOSITORY / ".watchword/parts",
        state=state,
        triton_grpc_port=grpc,
        triton_http_port=http,
        triton_metrics_port=metrics,
    )
    part = SecureTriton(settings, state)
    try:
        up([part], lambda _: None, settings.ready_timeout_s)
        yield part
    finally:
        down([part], lambda _: None)


def encoder(triton: SecureTriton, bundle: Bundle, settings: dict[str, Any], url: str | None = None) -> TritonEncoder:
    return TritonEncoder(
        bundle,
        url or triton.address,
        timeout_s=10,
        batch_size=4,
        slots=1,
        shared_memory="off",
        on_error=lambda _: None,
        tls=triton_tls_of(Settings(**settings)),
    )


def test_both_towers_encode_over_mutual_tls(triton: SecureTriton, bundle: Bundle) -> None:
    over_tls = encoder(triton, bundle, triton.trusted())
    over_tls.check()
    side = bundle.manifest.image_size
    images = over_tls.encode_images(np.zeros((2, side, side, 3), np.uint8))
    texts = over_tls.encode_texts(["a photo of a watch"])
    assert (images.shape[1], len(images), len(texts)) == (texts.shape[1], 2, 1)
    over_tls.close()


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("authority", r"the certificate of Triton .* is not signed by .*stranger.pem.*set WATCHWORD_TRITON_CA_FILE"),
        ("no certificate", "asks for a client certificate; set WATCHWORD_TRITON_CERT_FILE and"),
        ("certificate", "does not accept the client certificate `.*strange-client.crt.*TRITON_CERT_FILE"),
    ],
)
def test_a_refused_connection_says_what_to_change(
    triton: SecureTriton, bundle: Bundle, case: str, message: str
) -> None:
    strange = triton.strange_client
    changed: dict[str, dict[str, Path | None]] = {
        "authority": {"ca": triton.stranger.file},
        "no certificate": {"cert": None, "key": None},
        "certificate": {"cert": strange.certificate, "key": strange.key},
    }
    refused = encoder(triton, bundle, triton.trusted(**changed[case]))
    with pytest.raises(RefusedByTriton, match=message):
        refused.check()
    refused.close()


def test_a_server_without_tls_is_said(triton: SecureTriton, bundle: Bundle, stack: Stack) -> None:
    refused = encoder(triton, bundle, triton.trusted(), stack.triton_url)
    with pytest.raises(RefusedByTriton, match=r"does not speak TLS .*; check WATCHWORD_TRITON_TLS"):
        refused.check()
    refused.close()


def test_a_worker_judges_over_tls_and_exits_with_2_when_it_does_not_trust_triton(
    triton: SecureTriton, stack: Stack, tmp_path: Path, revolver: bytes
) -> None:
    own = {f"WATCHWORD_{name.upper()}": str(value) for name, value in triton.trusted().items()}
    with Stream(stack, tmp_path, partitions=1, **own, WATCHWORD_TRITON_URL=triton.address) as stream:
        stream.send([stream.image("one", revolver)])
        worker = stream.worker()
        stream.wait_until_committed(1)
        worker.signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert len(stream.verdicts()) == 1
        refused = stream.worker(WATCHWORD_TRITON_CA_FILE=str(triton.stranger.file))
        assert refused.wait(60) == 2
        assert "WATCHWORD_TRITON_CA_FILE" in json.loads(refused.tail(1))["message"]
