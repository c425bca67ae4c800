"""TLS of connections to Triton, from settings, and refused connections as errors that say what to change."""

from typing import Any

from pipeline.errors import UsageError
from pipeline.settings import PREFIX, Settings
from pipeline.tls import Tls, TlsNames

TRITON_TLS = TlsNames(
    peer="Triton",
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


def refusal_message(message: str, url: str, tls: Tls | None) -> str | None:
    """Return what to change for a gRPC error of a refused connection; None for any other error."""
    if tls is None:
        return None
    if "CERTIFICATE_VERIFY_FAILED" in message:
        by = f"the authorities in `{tls.authority}`" if tls.authority else "the authorities of this system"
        return (
            f"the certificate of Triton `{url}` has expired or is not signed by {by}; renew it, or set "
            f"{tls.names.authority} to the file of its authority"
        )
    if "Hostname Verification" in message or "not in peer certificate" in message:
        return f"the certificate of Triton `{url}` is for another name; use one of its names ({tls.names.address})"
    if "WRONG_VERSION_NUMBER" in message:
        return f"Triton `{url}` does not speak TLS; check WATCHWORD_TRITON_TLS and the port"
    if "ALERT" in message.upper():
        return f"Triton `{url}` does not accept the client certificate; check {tls.names.certificate} and its key"
    return None
