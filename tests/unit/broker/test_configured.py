"""Settings of TLS and SASL: what does not fit together is refused before anything connects, and secrets stay hidden."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.broker.configured import connection_of
from pipeline.encode.triton_tls import triton_tls_of
from pipeline.errors import UsageError
from pipeline.settings import Settings
from tests.support.certificates import Authority

SECRET = "canary-secret"
SASL: dict[str, Any] = {"security_protocol": "SASL_SSL"}
PLAIN: dict[str, Any] = {**SASL, "sasl_mechanism": "PLAIN"}
OAUTH: dict[str, Any] = {**SASL, "sasl_mechanism": "OAUTHBEARER"}
URL: dict[str, Any] = {**OAUTH, "sasl_oauth_token_url": "https://id.example/token", "sasl_oauth_client_id": "w"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"ssl_cafile": "ca.pem"},
            "WATCHWORD_SSL_CAFILE would have no effect, because .* is PLAINTEXT: set SSL",
        ),
        ({"sasl_username": "w"}, "WATCHWORD_SASL_USERNAME would have no effect.*set SASL_SSL"),
        (SASL, "WATCHWORD_SASL_MECHANISM is not set; choose `PLAIN`"),
        ({**SASL, "sasl_mechanism": "GSSAPI"}, "`GSSAPI` is no SASL mechanism; choose `PLAIN`"),
        (PLAIN, "PLAIN needs WATCHWORD_SASL_USERNAME"),
        ({**PLAIN, "sasl_username": "w"}, "PLAIN needs WATCHWORD_SASL_PASSWORD or WATCHWORD_SASL_PASSWORD_FILE"),
        (
            {**PLAIN, "sasl_username": "w", "sasl_password": SECRET, "sasl_password_file": "p"},
            "WATCHWORD_SASL_PASSWORD and WATCHWORD_SASL_PASSWORD_FILE are both set: unset one",
        ),
        (
            {**PLAIN, "sasl_username": "w", "sasl_password_file": "nowhere"},
            "WATCHWORD_SASL_PASSWORD_FILE: `nowhere` cannot be read: No such file",
        ),
        (
            {**PLAIN, "sasl_username": "w", "sasl_password": SECRET, "sasl_oauth_token_file": "t"},
            "WATCHWORD_SASL_OAUTH_TOKEN_FILE would have no effect, because the mechanism is PLAIN",
        ),
        (OAUTH, "OAUTHBEARER needs WATCHWORD_SASL_OAUTH_TOKEN_FILE or WATCHWORD_SASL_OAUTH_TOKEN_URL"),
        ({**OAUTH, "sasl_oauth_token_file": "nowhere"}, "TOKEN_FILE: `nowhere` cannot be read"),
        (URL, "OAUTHBEARER needs WATCHWORD_SASL_OAUTH_CLIENT_SECRET or WATCHWORD_SASL_OAUTH_CLIENT_SECRET_FILE"),
        ({**URL, "sasl_oauth_token_url": "http://id.example/token"}, "would send the secret unencrypted; use `https:`"),
        ({**URL, "sasl_oauth_token_url": f"https://u:{SECRET}@id.example"}, "is no address such as .* without a user"),
        ({**SASL, "sasl_mechanism": "AWS_MSK_IAM"}, "AWS_MSK_IAM needs WATCHWORD_SASL_AWS_REGION"),
        (
            {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "AWS_MSK_IAM", "sasl_aws_region": "eu-west-1"},
            "AWS_MSK_IAM needs TLS: set WATCHWORD_SECURITY_PROTOCOL to SASL_SSL",
        ),
        ({"security_protocol": "SSL", "ssl_cafile": "nowhere"}, "WATCHWORD_SSL_CAFILE: `nowhere` cannot be read"),
        ({"security_protocol": "SSL", "ssl_keyfile": "k"}, "SSL_KEYFILE is set without its certificate"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        connection_of(Settings(**settings))
    assert SECRET not in str(caught.value)


def test_files_of_a_certificate_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """Cases: another key, an encrypted key, no certificate, no authority."""
    authority = Authority(tmp_path, "authority")
    ours, other = authority.issue("ours"), authority.issue("other")
    locked = authority.issue("locked", password=SECRET)
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")

    def connect(**settings: Any) -> None:
        given: dict[str, Any] = {"security_protocol": "SSL", "ssl_cafile": authority.file, **settings}
        connection_of(Settings(**given))

    connect(ssl_certfile=ours.certificate, ssl_keyfile=ours.key)
    connect(ssl_certfile=ours.both)
    connect(ssl_certfile=locked.certificate, ssl_keyfile=locked.key, ssl_key_password=SECRET)
    for settings, message in (
        (
            {"ssl_certfile": ours.certificate, "ssl_keyfile": other.key},
            "SSL_KEYFILE: the key in `.*other.key.*` is not",
        ),
        (
            {"ssl_certfile": locked.certificate, "ssl_keyfile": locked.key},
            "cannot be decrypted; set .*_PASSWORD",
        ),
        (
            {"ssl_certfile": locked.certificate, "ssl_keyfile": locked.key, "ssl_key_password": "no"},
            "cannot be decrypted; set WATCHWORD_SSL_KEY_PASSWORD",
        ),
        ({"ssl_certfile": empty, "ssl_keyfile": ours.key}, "SSL_CERTFILE: `.*empty.pem` has no certificate in PEM"),
        ({"ssl_certfile": ours.certificate, "ssl_keyfile": empty}, "SSL_KEYFILE: `.*empty.pem` has no private key"),
        ({"ssl_cafile": empty}, "SSL_CAFILE: `.*empty.pem` has no certificate in PEM"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            connect(**settings)
        assert SECRET not in str(caught.value)


def test_files_for_triton_are_checked_at_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    ours, other = authority.issue("ours"), authority.issue("other")
    with pytest.raises(UsageError, match="would have no effect: set WATCHWORD_TRITON_TLS=true"):
        triton_tls_of(Settings(triton_ca_file=authority.file))
    with pytest.raises(UsageError, match=r"WATCHWORD_TRITON_KEY_FILE: the key in .* is not the key of"):
        triton_tls_of(Settings(triton_tls=True, triton_cert_file=ours.certificate, triton_key_file=other.key))
    assert triton_tls_of(Settings()) is None


def test_no_secret_is_shown(tmp_path: Path) -> None:
    locked = Authority(tmp_path, "authority").issue("locked", password=SECRET)
    tls = {"ssl_certfile": locked.certificate, "ssl_keyfile": locked.key, "ssl_key_password": SECRET}
    password = {**PLAIN, **tls, "sasl_username": "w", "sasl_password": SECRET}
    client = {**URL, "sasl_oauth_client_secret": SECRET}
    for given in (password, client):
        settings = Settings(**given)
        connection = connection_of(settings)
        told = [settings, settings.shown(), connection, connection.options(), connection.client_options()]
        assert [each for each in map(repr, told) if SECRET in each] == []
        assert SECRET not in f"{settings} {connection}"
