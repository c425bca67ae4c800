"""TLS of a client: the files of its trust and its certificate, checked, and the names of their settings in errors."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from pipeline.bounded import read_regular, why
from pipeline.errors import UsageError

LARGEST_FILE_BYTES = 4 << 20
# Reasons for which the broker's or server's certificate is not accepted, by OpenSSL's codes of X509_verify_cert.
# The peer closed the connection: it may be restarting.
GONE = ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64


@dataclass(frozen=True, slots=True)
class TlsNames:
    """The settings that an error names, and the `peer` whose certificate is checked."""

    peer: str
    protocol: str
    authority: str
    certificate: str
    key: str
    address: str
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """
    Files of a client in PEM format, each None when it is not set.

    Without an `authority` the system's are trusted. `key` may be None when the certificate's file has the key too.
    """

    names: TlsNames
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    key_password: SecretStr | None = None
    check_hostname: bool = True

    def context(self) -> ssl.SSLContext:
        """Read the files and return a context for connections. Raises `UsageError`, which names setting and file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.check_hostname
        self._trust(context)
        if self.certificate is not None:
            self._load_certificate(context, self.certificate)
        elif self.key is not None:
            raise UsageError(f"{self.names.key} is set without its certificate; set {self.names.certificate}")
        return context

    def _trust(self, context: ssl.SSLContext) -> None:
        if self.authority is None:
            context.load_default_certs()
            return
        _readable(self.names.authority, self.authority)
        try:
            context.load_verify_locations(self.authority)
        except ssl.SSLError as error:
            raise UsageError(f"{self.names.authority}: `{self.authority}` has no certificate in PEM format") from error

    def _load_certificate(self, context: ssl.SSLContext, certificate: Path) -> None:
        names, key = self.names, self.key or certificate
        _readable(names.certificate, certificate)
        _readable(names.key, key)
        # Without a password OpenSSL would ask for one on the terminal.
        password = self.key_password.get_secret_value() if self.key_password else ""
        try:
            context.load_cert_chain(certificate, key, password)
        except ssl.SSLError as error:
            raise UsageError(_problem(error, self, certificate, key)) from error


def refusal_message(error: ssl.SSLError, tls: Tls, at: str) -> str:
    """Return what to change for a TLS error of a connection to `at` (`host:port`)."""
    names = tls.names
    if isinstance(error, ssl.SSLCertVerificationError):
        return distrust(error, tls, at)
    reason = error.reason or str(error)
    if reason in _NO_TLS:
        return f"{names.peer} `{at}` does not speak TLS ({reason}); check {names.protocol} and the port"
    if "ALERT" in reason and tls.certificate is None:
        return f"{names.peer} `{at}` asks for a client certificate ({reason}); set {names.certificate} and {names.key}"
    if "ALERT" in reason:
        return (
            f"{names.peer} `{at}` does not accept the client certificate `{tls.certificate}` ({reason}); "
            f"set {names.certificate} to a valid one that its authority has signed"
        )
    return f"TLS with {names.peer} `{at}` failed: {error}; check {names.protocol} and the port"


def distrust(error: ssl.SSLCertVerificationError, tls: Tls, at: str) -> str:
    """Return the message for a certificate of `at` (`host:port`) that was not accepted."""
    names, code = tls.names, error.verify_code
    found = f"the certificate of {names.peer} `{at}`"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f"{found} is for another name: {error.verify_message}; connect by a name that it has ({names.address})"
    if code == _EXPIRED:
        return f"{found} has expired; renew it there"
    if code == _NOT_YET_VALID:
        return f"{found} is not valid yet; compare the clocks of both hosts"
    by = f"the authorities in `{tls.authority}`" if tls.authority else "the authorities of this system"
    return f"{found} is not signed by {by}: {error.verify_message}; set {names.authority} to the file of its authority"


def _readable(name: str, path: Path) -> None:
    try:
        read_regular(path, LARGEST_FILE_BYTES)
    except OSError as error:
        raise UsageError(f"{name}: `{path}` cannot be read: {why(error)}") from error


def _problem(error: ssl.SSLError, tls: Tls, certificate: Path, key: Path) -> str:
    names = tls.names
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{names.key}: the key in `{key}` is not the key of the certificate in `{certificate}`"
    if "NO_START_LINE" in str(error) or _has_no_certificate(certificate):
        return f"{names.certificate}: `{certificate}` has no certificate in PEM format"
    if names.password and b"ENCRYPTED" in read_regular(key, LARGEST_FILE_BYTES):
        return f"{names.key}: `{key}` cannot be decrypted; set {names.password} to its password"
    return f"{names.key}: `{key}` has no private key in PEM format that can be used without a password"


def _has_no_certificate(path: Path) -> bool:
    return b"BEGIN CERTIFICATE" not in read_regular(path, LARGEST_FILE_BYTES)
