"""Tokens: renewed before they expire, kept while the endpoint is away, read from a file at each use."""

import json
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from pipeline.broker.configured import ENDPOINT_TLS
from pipeline.broker.tokens import AwsSigner, CachedTokens, FileTokens, IssuedToken, TokenEndpoint
from pipeline.errors import BrokerFault, UsageError
from pipeline.secret_files import Secret
from pipeline.tls import Tls
from tests.support.certificates import Authority

SECRET = "canary-client-secret"


class Issuer:
    """Issues numbered tokens with a life of 100 s, or fails."""

    def __init__(self) -> None:
        self.issued, self.failing = 0, False

    def __call__(self) -> IssuedToken:
        if self.failing:
            raise BrokerFault("the endpoint is away")
        self.issued += 1
        return IssuedToken(f"t{self.issued}", 100.0)


def test_a_token_is_renewed_before_it_expires_and_used_to_its_end_without_an_endpoint() -> None:
    issuer, now = Issuer(), [0.0]
    tokens = CachedTokens(issuer, lambda: now[0])
    found = []
    for at, failing in ((0, False), (79, False), (81, False), (162, True), (180, True), (180.5, False)):
        now[0], issuer.failing = at, failing
        found.append(tokens.token())
    assert found == ["t1", "t1", "t2", "t2", "t2", "t3"]
    now[0], issuer.failing = 281.0, True
    with pytest.raises(BrokerFault, match="away"):
        tokens.token()


def test_a_token_in_a_file_is_read_at_each_use(tmp_path: Path) -> None:
    file = tmp_path / "token"
    tokens = FileTokens(Secret("WATCHWORD_SASL_OAUTH_TOKEN_FILE", path=file))
    file.write_text("one\n")
    assert tokens.token() == "one"
    file.write_text("two")
    assert tokens.token() == "two"
    file.write_text("  \n")
    with pytest.raises(UsageError, match=r"TOKEN_FILE: `.*token` is empty"):
        tokens.token()


Answer = Callable[[dict[str, list[str]], str], tuple[int, bytes]]


@contextmanager
def endpoint(folder: Path, answer: Answer) -> Iterator[tuple[str, Authority]]:
    """Serve a token endpoint by TLS on this host; yield its address and authority."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status, body = answer(form, self.headers["Authorization"])
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    authority = Authority(folder, "endpoint-authority")
    own = authority.issue("endpoint")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}/token", authority
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(url: str, authority: Path) -> TokenEndpoint:
    secret = Secret("WATCHWORD_SASL_OAUTH_CLIENT_SECRET", SecretStr(SECRET))
    return TokenEndpoint(url, "watchword", secret, "kafka", Tls(ENDPOINT_TLS, authority))


def test_client_credentials_get_a_token(tmp_path: Path) -> None:
    asked = []

    def answer(form: dict[str, list[str]], authorization: str) -> tuple[int, bytes]:
        asked.append((form, authorization.startswith("Basic ")))
        return 200, json.dumps({"access_token": "abc", "token_type": "Bearer", "expires_in": 60}).encode()

    with endpoint(tmp_path, answer) as (url, authority):
        assert client(url, authority.file).issue() == IssuedToken("abc", 60.0)
    assert asked == [({"grant_type": ["client_credentials"], "scope": ["kafka"]}, True)]


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (401, b'{"error": "invalid_client"}', UsageError, "refuses client `watchword`: 401 .*invalid_client"),
        (503, b"", BrokerFault, "answered 503"),
        (429, b"", BrokerFault, "answered 429"),
        (200, b"<html>canary</html>", UsageError, "answered without `access_token`"),
    ],
)
def test_an_answer_without_a_token_is_a_clear_error(
    tmp_path: Path, status: int, body: bytes, kind: type[Exception], message: str
) -> None:
    with (
        endpoint(tmp_path, lambda *_: (status, body)) as (url, authority),
        pytest.raises(kind, match=message) as caught,
    ):
        client(url, authority.file).issue()
    assert SECRET not in str(caught.value)
    assert "canary" not in f"{caught.value} {caught.value.__cause__}"


def test_an_endpoint_that_is_not_trusted_or_away_is_a_clear_error(tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    message = r"the certificate of the token endpoint .* is not signed by.*OAUTH_CAFILE"
    served = endpoint(tmp_path, lambda *_: (200, b""))
    with served as (url, authority), pytest.raises(UsageError, match=message):
        client(url, stranger.file).issue()
    with pytest.raises(BrokerFault, match="does not answer"):
        client(url, authority.file).issue()


def test_tokens_for_aws_are_of_its_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signer is a package of AWS, which only the extra `msk` installs; here a stand-in has its interface."""

    class Signer:
        @staticmethod
        def generate_auth_token(region: str) -> tuple[str, int]:
            return f"signed for {region}", int((time.time() + 900) * 1000)

    package = ModuleType("aws_msk_iam_sasl_signer")
    package.MSKAuthTokenProvider = Signer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer", package)
    issued = AwsSigner("eu-west-1").issue()
    assert issued.value == "signed for eu-west-1"
    assert 890 < issued.life_s <= 900


def test_a_missing_signer_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer", None)
    with pytest.raises(UsageError, match="install the extra `msk`"):
        AwsSigner("eu-west-1").issue()
