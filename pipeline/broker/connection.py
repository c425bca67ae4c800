"""How every client of the broker connects, and how the client's errors become ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import errors as kafka_errors
from pydantic import SecretStr

from pipeline.errors import BrokerFault, CommitAborted, InstanceTaken, UsageError


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the brokers are and how to talk to them."""

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: Path | None = None

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments of a consumer or producer."""
        # The client makes gauges for every node and topic; ours are in telemetry.
        return {**self.options(), "metrics_enabled": False}

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments every client takes."""
        return {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password.get_secret_value() if self.sasl_password else None,
            "ssl_cafile": str(self.ssl_cafile) if self.ssl_cafile else None,
            "reconnect_backoff_max_ms": 2000,
        }


# The most specific first: the first that matches decides.
_MAPPED: tuple[tuple[tuple[type[Exception], ...], type[Exception]], ...] = (
    ((kafka_errors.FencedInstanceIdError,), InstanceTaken),
    (
        (
            kafka_errors.AuthorizationError,
            kafka_errors.SaslAuthenticationFailedError,
            kafka_errors.UnsupportedSaslMechanismError,
            kafka_errors.KafkaConfigurationError,
            kafka_errors.InvalidTransactionTimeoutError,
            kafka_errors.InvalidSessionTimeoutError,
            kafka_errors.InvalidTopicError,
            kafka_errors.UnsupportedVersionError,
        ),
        UsageError,
    ),
    (
        (
            # A topic's limit was lowered: it is asked for again before the next try.
            kafka_errors.MessageSizeTooLargeError,
            kafka_errors.RecordListTooLargeError,
            kafka_errors.IllegalGenerationError,
            kafka_errors.UnknownMemberIdError,
            kafka_errors.RebalanceInProgressError,
            kafka_errors.CommitFailedError,
            kafka_errors.TransactionAbortedError,
            kafka_errors.ProducerFencedError,
            kafka_errors.InvalidProducerEpochError,
            kafka_errors.InvalidProducerIdMappingError,
            kafka_errors.InvalidTxnStateError,
            kafka_errors.TransactionCoordinatorFencedError,
            kafka_errors.UnknownProducerIdError,
            kafka_errors.OutOfOrderSequenceNumberError,
        ),
        CommitAborted,
    ),
    ((kafka_errors.KafkaError,), BrokerFault),
)


def translate(error: Exception) -> Exception:
    """Return our error for one of the client's; a plain one that only wraps another is taken for that."""
    if type(error) is kafka_errors.KafkaError and isinstance(error.__cause__, kafka_errors.KafkaError):
        return translate(error.__cause__)
    for kinds, ours in _MAPPED:
        if isinstance(error, kinds):
            return ours(f"kafka: {type(error).__name__}: {error}")
    return error


@contextmanager
def translated() -> Iterator[None]:
    """Raise our errors for the client's."""
    try:
        yield
    except kafka_errors.KafkaError as error:
        raise translate(error) from error
