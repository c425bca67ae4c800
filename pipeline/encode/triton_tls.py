"""TLS of connections to Triton, from settings, and refused connections as errors that say what to change."""

import socket
import ssl
from typing import Any

from pipeline.errors import UsageError
from pipeline.settings import Settings
from pipeline.stack_settings import PREFIX
from pipeline.tls import GONE, Tls, TlsNames, refusal_message

PROBE_S = 3.0

TRITON_TLS = TlsNames(
    peer="Triton",
    protocol=f"{PREFIX}TRITON_TLS",
    authority=f"{PREFIX}TRITON_CA_FILE",
    certificate=f"{PREFIX}TRITON_CERT_FILE",
    key=f"{PREFIX}TRITON_KEY_FILE",
    address=f"{PREFIX}TRITON_URL",
)


def triton_tls_of(settings: Settings) -> Tls | None:
    """
    Return TLS for Triton, None for a plain connection.

    Raises `UsageError` for settings that do not fit together, and for files that cannot be used.
    """
    files = settings.triton_ca_file, settings.triton_cert_file, settings.triton_key_file
    if not settings.triton_tls:
        if any(files):
            raise UsageError(f"files for TLS with Triton would have no effect: set {PREFIX}TRITON_TLS=true")
        return None
    tls = Tls(TRITON_TLS, *files)
    tls.context()
    return tls


def channel_options(tls: Tls | None) -> dict[str, Any]:
    """Return the keyword arguments for tritonclient's TLS. gRPC reads the files once, when it connects first."""
    if tls is None:
        return {}
    key = tls.key or tls.certificate
    return {
        "ssl": True,
        "root_certificates": str(tls.authority) if tls.authority else None,
        "certificate_chain": str(tls.certificate) if tls.certificate else None,
        "private_key": str(key) if key else None,
    }


def refusal_of(url: str, tls: Tls | None) -> str | None:
    """
    Connect to `url` (`host:port`) by TLS, and return what to change when that is refused; else None.

    gRPC reports a refused certificate as a closed socket.
    """
    if tls is None:
        return None
    host, _, port = url.rpartition(":")
    host = host.strip("[]")
    context = tls.context()
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, int(port)), PROBE_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            # Triton sends its settings after the handshake, or closes when it refuses the client certificate.
            return None if secured.recv(1) else _not_accepted(tls, url)
    except ssl.SSLError as error:
        return None if isinstance(error, GONE) else refusal_message(error, tls, url)
    except (OSError, ValueError):
        return None


def _not_accepted(tls: Tls, url: str) -> str:
    if tls.certificate is None:
        return f"Triton `{url}` asks for a client certificate; set {tls.names.certificate} and {tls.names.key}"
    return (
        f"Triton `{url}` does not accept the client certificate `{tls.certificate}`; "
        f"set {tls.names.certificate} to a valid one that its authority has signed"
    )
