"""The connection to the brokers from settings, checked before anything connects."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from pipeline.broker.connection import Connection
from pipeline.broker.login import OAUTHBEARER, Login
from pipeline.broker.tokens import AwsSigner, CachedTokens, FileTokens, TokenEndpoint, Tokens
from pipeline.errors import UsageError
from pipeline.secret_files import Secret
from pipeline.settings import Settings
from pipeline.stack_settings import PREFIX
from pipeline.tls import Tls, TlsNames

AWS_MSK_IAM = "AWS_MSK_IAM"
_PASSWORD = frozenset({"sasl_username", "sasl_password", "sasl_password_file"})
_TOKEN_FILE = frozenset({"sasl_oauth_token_file"})
_TOKEN_URL = frozenset(
    {
        "sasl_oauth_token_url",
        "sasl_oauth_client_id",
        "sasl_oauth_client_secret",
        "sasl_oauth_client_secret_file",
        "sasl_oauth_scope",
        "sasl_oauth_cafile",
    }
)
# The settings of each mechanism's credentials; a setting of another one is a mistake.
MECHANISMS: dict[str, frozenset[str]] = {
    "PLAIN": _PASSWORD,
    "SCRAM-SHA-256": _PASSWORD,
    "SCRAM-SHA-512": _PASSWORD,
    OAUTHBEARER: _TOKEN_FILE | _TOKEN_URL,
    AWS_MSK_IAM: frozenset({"sasl_aws_region"}),
}
_TLS = frozenset({"ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_key_password"})
_SASL = frozenset({"sasl_mechanism"}).union(*MECHANISMS.values())
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

KAFKA_TLS = TlsNames(
    peer="broker",
    protocol=f"{PREFIX}SECURITY_PROTOCOL",
    authority=f"{PREFIX}SSL_CAFILE",
    certificate=f"{PREFIX}SSL_CERTFILE",
    key=f"{PREFIX}SSL_KEYFILE",
    password=f"{PREFIX}SSL_KEY_PASSWORD",
    address=f"{PREFIX}BOOTSTRAP_SERVERS, and `advertised.listeners` of the broker",
)
ENDPOINT_TLS = TlsNames(
    peer="the token endpoint",
    protocol=f"{PREFIX}SASL_OAUTH_TOKEN_URL",
    authority=f"{PREFIX}SASL_OAUTH_CAFILE",
    certificate="",
    key="",
    address=f"{PREFIX}SASL_OAUTH_TOKEN_URL",
)


def connection_of(settings: Settings) -> Connection:
    """
    Return the connection to the brokers; nothing is connected yet.

    Raises `UsageError` for settings that do not fit together, and for files that cannot be used.
    """
    protocol = settings.security_protocol
    tls = _tls(settings) if protocol.endswith("SSL") else None
    login = _login(settings) if protocol.startswith("SASL") else None
    if tls is None:
        _refuse_settings(settings, _TLS, f"{PREFIX}SECURITY_PROTOCOL is {protocol}: set SSL or SASL_SSL")
    if login is None:
        _refuse_settings(settings, _SASL, f"{PREFIX}SECURITY_PROTOCOL is {protocol}: set SASL_SSL or SASL_PLAINTEXT")
    return Connection(settings.bootstrap_servers, protocol, tls, login)


def _tls(settings: Settings) -> Tls:
    tls = Tls(
        KAFKA_TLS,
        settings.ssl_cafile,
        settings.ssl_certfile,
        settings.ssl_keyfile,
        settings.ssl_key_password,
        settings.ssl_check_hostname,
    )
    tls.context()
    return tls


def _login(settings: Settings) -> Login:
    mechanism = settings.sasl_mechanism
    if mechanism not in MECHANISMS:
        found = f"`{mechanism}` is no SASL mechanism" if mechanism else f"{PREFIX}SASL_MECHANISM is not set"
        raise UsageError(f"{found}; choose {', '.join(f'`{name}`' for name in MECHANISMS)}")
    _refuse_settings(settings, _SASL - MECHANISMS[mechanism] - {"sasl_mechanism"}, f"the mechanism is {mechanism}")
    if MECHANISMS[mechanism] is _PASSWORD:
        return _user(settings, mechanism)
    if mechanism == AWS_MSK_IAM:
        return _aws_login(settings)
    tokens, hint = _tokens(settings)
    return Login(OAUTHBEARER, hint, tokens=tokens)


def _user(settings: Settings, mechanism: str) -> Login:
    _require(settings, mechanism, "sasl_username")
    password = _secret(settings, mechanism, "sasl_password")
    return Login(mechanism, f"{PREFIX}SASL_USERNAME and {password.name}", settings.sasl_username, password)


def _aws_login(settings: Settings) -> Login:
    _require(settings, AWS_MSK_IAM, "sasl_aws_region")
    if settings.security_protocol != "SASL_SSL":
        raise UsageError(f"{AWS_MSK_IAM} needs TLS: set {PREFIX}SECURITY_PROTOCOL to SASL_SSL")
    # Brokers of AWS take tokens of its signer by this mechanism.
    tokens = CachedTokens(AwsSigner(settings.sasl_aws_region or "").issue)
    return Login(OAUTHBEARER, f"the AWS credentials and {PREFIX}SASL_AWS_REGION", tokens=tokens)


def _tokens(settings: Settings) -> tuple[Tokens, str]:
    """Return the source of tokens, and the settings to check when a token is refused."""
    path = settings.sasl_oauth_token_file
    if path is not None:
        _refuse_settings(settings, _TOKEN_URL, f"{PREFIX}SASL_OAUTH_TOKEN_FILE is set: unset one of them")
        file = FileTokens(Secret(f"{PREFIX}SASL_OAUTH_TOKEN_FILE", path=path))
        file.token()
        return file, f"the token in {file.file.name} and its expiry"
    if settings.sasl_oauth_token_url is None:
        raise UsageError(f"{OAUTHBEARER} needs {PREFIX}SASL_OAUTH_TOKEN_FILE or {PREFIX}SASL_OAUTH_TOKEN_URL")
    endpoint = _endpoint(settings, settings.sasl_oauth_token_url)
    return CachedTokens(endpoint.issue), f"{PREFIX}SASL_OAUTH_CLIENT_ID and its scope"


def _endpoint(settings: Settings, url: str) -> TokenEndpoint:
    _require(settings, OAUTHBEARER, "sasl_oauth_client_id")
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.username is not None:
        # The address is not shown: it may have a password.
        raise UsageError(f"{PREFIX}SASL_OAUTH_TOKEN_URL is no address such as `https://host/path` without a user")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise UsageError(f"{PREFIX}SASL_OAUTH_TOKEN_URL: `{url}` would send the secret unencrypted; use `https:`")
    tls = Tls(ENDPOINT_TLS, settings.sasl_oauth_cafile)
    tls.context()
    secret = _secret(settings, OAUTHBEARER, "sasl_oauth_client_secret")
    return TokenEndpoint(url, settings.sasl_oauth_client_id or "", secret, settings.sasl_oauth_scope, tls)


def _secret(settings: Settings, mechanism: str, name: str) -> Secret:
    """Return the secret of the setting `name` or of its file, and read it once."""
    value, path = getattr(settings, name), getattr(settings, f"{name}_file")
    variable, file_variable = _variable(name), _variable(f"{name}_file")
    if value and path:
        raise UsageError(f"{variable} and {file_variable} are both set: unset one of them")
    if not value and not path:
        raise UsageError(f"{mechanism} needs {variable} or {file_variable}")
    secret = Secret(file_variable, path=path) if path else Secret(variable, value)
    secret.read()
    return secret


def _require(settings: Settings, mechanism: str, name: str) -> None:
    if not getattr(settings, name):
        raise UsageError(f"{mechanism} needs {_variable(name)}")


def _refuse_settings(settings: Settings, names: frozenset[str], problem: str) -> None:
    """Raise `UsageError` when one of these settings is set, because it would have no effect."""
    if found := [_variable(name) for name in _set(settings, names)]:
        raise UsageError(f"{', '.join(found)} would have no effect, because {problem}")


def _set(settings: Settings, names: frozenset[str]) -> Iterator[str]:
    return (name for name in sorted(names) if getattr(settings, name) is not None)


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"
