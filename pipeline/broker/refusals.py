"""Refusals: failures of TLS or SASL between a client and a broker, with a message that says what to change."""

import ssl

from kafka import errors as kafka_errors

from pipeline.bounded import brief
from pipeline.tls import GONE, Tls, refusal_message

_SASL = (
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.IllegalSaslStateError,
    kafka_errors.UnsupportedSaslMechanismError,
)


class Refusal(kafka_errors.SaslAuthenticationFailedError):  # type: ignore[misc]  # untyped
    """
    A client and a broker do not accept each other.

    kafka-python treats its parent as an error that no retry of the same client mends.
    """

    def __str__(self) -> str:
        return str(self.args[0])


def refusal_of(error: BaseException, at: str, tls: Tls | None, login: tuple[str, str, str] | None) -> Refusal | None:
    """
    Return the refusal that an error of a connection to `at` (`host:port`) reports; None for any other error.

    `login`: mechanism, user name and the settings to check.
    """
    if isinstance(error, Refusal):
        return error
    found = tls_error(error)
    if found is not None and tls is not None:
        return Refusal(refusal_message(found, tls, at))
    if isinstance(error, _SASL) and login is not None:
        return Refusal(_login_message(error, at, login))
    return None


def tls_error(error: BaseException) -> ssl.SSLError | None:
    """Return the TLS error that kafka-python has wrapped, unless the peer only closed the connection."""
    for found in (error, *error.args, error.__cause__, error.__context__):
        if isinstance(found, ssl.SSLError) and not isinstance(found, GONE):
            return found
    return None


def _login_message(error: BaseException, at: str, login: tuple[str, str, str]) -> str:
    mechanism, user, hint = login
    if isinstance(error, kafka_errors.UnsupportedSaslMechanismError):
        return f"broker `{at}` does not offer the mechanism {mechanism}; check WATCHWORD_SASL_MECHANISM and the port"
    if isinstance(error, kafka_errors.IllegalSaslStateError):
        return f"broker `{at}` expects no SASL login; check WATCHWORD_SECURITY_PROTOCOL and the port"
    return f"broker `{at}` refuses the login{user} by {mechanism}: {_reason(error)}; check {hint}"


def _reason(error: BaseException) -> str:
    """Return the broker's words, without the name of the error that kafka-python writes before them."""
    return brief(str(error.args[0]).rpartition("Error: ")[2]) if error.args else "it gives no reason"
