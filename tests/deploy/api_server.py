"""A real kube-apiserver on a real etcd, on the loopback address, for as long as a context lasts."""

import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.deploy.chart import NAMESPACE, REPOSITORY, Manifest
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

TOKEN = "manifests"  # of a server that lives for one test run, on the loopback address
FOLDER = REPOSITORY / ".watchword/parts/apiserver"


@dataclass(frozen=True)
class ApiServer:
    """The server, asked as an administrator."""

    url: str

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, str]:
        """Return the status and text of an answer; status 0 when nobody answers."""
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": kind}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30, context=ssl._create_unverified_context()) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def dry_run(self, manifest: Manifest) -> tuple[int, str]:
        """Apply a manifest on the server's side without storing it; unknown fields are refused."""
        path = f"{self._collection(manifest)}/{manifest['metadata']['name']}"
        query = "dryRun=All&fieldManager=tests&fieldValidation=Strict"
        return self.ask("PATCH", f"{path}?{query}", manifest, "application/apply-patch+yaml")

    def define(self, definition: Manifest) -> None:
        """Create a custom resource's definition, and wait until it is served."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        status, text = self.ask("POST", path, definition)
        assert status == 201, text
        name = definition["metadata"]["name"]

        def established() -> bool:
            found = json.loads(self.ask("GET", f"{path}/{name}")[1]).get("status", {}).get("conditions") or ()
            return any(each["type"] == "Established" and each["status"] == "True" for each in found)

        wait_until(established, 30, name)

    def _collection(self, manifest: Manifest) -> str:
        version = manifest["apiVersion"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        resources = json.loads(self.ask("GET", root)[1])["resources"]
        [plural] = [each["name"] for each in resources if each["kind"] == manifest["kind"] and "/" not in each["name"]]
        return f"{root}/namespaces/{NAMESPACE}/{plural}"


@contextmanager
def api_server(state: Path) -> Iterator[ApiServer]:
    """Start the server with a namespace for the release, and end it afterwards."""
    [binary] = FOLDER.glob("kube-apiserver-*")
    client, peer, port = free_ports(3)
    with ExitStack() as ending:
        ending.enter_context(_running(_etcd(state, client, peer), state / "etcd.log"))
        ending.enter_context(_running(_command(binary, state, client, port), state / "apiserver.log"))
        server = ApiServer(f"https://127.0.0.1:{port}")
        wait_until(lambda: server.ask("GET", "/readyz")[0] == 200, 120, "the API server", 0.5)
        status, text = server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        assert status == 201, text
        yield server


def definitions(folder: Path) -> list[Manifest]:
    """Return the definitions of custom resources in a folder."""
    return [yaml.safe_load(path.read_text()) for path in sorted(folder.rglob("*.yaml"))]


def _etcd(state: Path, client: int, peer: int) -> list[str]:
    etcd = shutil.which("etcd")
    assert etcd is not None
    urls = {"client": f"http://127.0.0.1:{client}", "peer": f"http://127.0.0.1:{peer}"}
    return [
        etcd,
        f"--data-dir={state / 'etcd'}",
        *(f"--{option}={urls['client']}" for option in ("listen-client-urls", "advertise-client-urls")),
        *(f"--{option}={urls['peer']}" for option in ("listen-peer-urls", "initial-advertise-peer-urls")),
        f"--initial-cluster=default={urls['peer']}",
    ]


def _command(binary: Path, state: Path, etcd: int, port: int) -> list[str]:
    key, tokens = state / "key.pem", state / "tokens.csv"
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    key.write_bytes(made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    tokens.write_text(f"{TOKEN},admin,admin,system:masters\n")
    return [
        str(binary),
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={state / 'certificates'}",
        f"--token-auth-file={tokens}",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-account-issuer=https://localhost",
        "--service-cluster-ip-range=10.0.0.0/24",
    ]


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
