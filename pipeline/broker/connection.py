"""Connections of every Kafka client, and the translation of its errors into ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import errors as kafka_errors

from pipeline.broker.login import ClientTokens, Login
from pipeline.broker.net_client import net_client
from pipeline.broker.refusals import Refusal
from pipeline.errors import BrokerFault, CommitAborted, InstanceTaken, RefusedByBroker, UsageError
from pipeline.tls import Tls


@dataclass(frozen=True, slots=True)
class Connection:
    """
    The address, protocol and credentials of the brokers. Every Kafka client is made with its options.

    `tls` is None for protocols without TLS, `login` for those without SASL.
    """

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    tls: Tls | None = None
    login: Login | None = None

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments of a consumer or producer."""
        # The client would create gauges for every node and topic. Our metrics are in telemetry.
        return {**self.options(), "metrics_enabled": False}

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of every client. They have no secret: credentials are read on connecting."""
        login = self.login
        return {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "security_protocol": self.security_protocol,
            "sasl_mechanism": login.mechanism if login else None,
            "sasl_plain_username": login.username if login else None,
            "sasl_oauth_token_provider": ClientTokens(login.tokens) if login and login.tokens else None,
            "kafka_client": net_client(self.tls, login),
            "reconnect_backoff_max_ms": 2000,
        }


# Most specific first: the first row that matches decides. An error in no row is fatal and crashes under its own name,
# because it is not known whether a retry can help.
_MAPPED: tuple[tuple[tuple[type[Exception], ...], type[Exception]], ...] = (
    ((kafka_errors.FencedInstanceIdError,), InstanceTaken),
    (
        (
            kafka_errors.SaslAuthenticationFailedError,
            kafka_errors.IllegalSaslStateError,
            kafka_errors.UnsupportedSaslMechanismError,
        ),
        RefusedByBroker,
    ),
    (
        (
            kafka_errors.AuthorizationError,
            kafka_errors.UnacceptableCredentialError,
            kafka_errors.SecurityDisabledError,
            kafka_errors.DelegationTokenAuthDisabledError,
            kafka_errors.DelegationTokenExpiredError,
            kafka_errors.DelegationTokenNotFoundError,
            kafka_errors.KafkaConfigurationError,
            kafka_errors.InvalidConfigurationError,
            kafka_errors.InvalidGroupIdError,
            kafka_errors.InconsistentGroupProtocolError,
            kafka_errors.GroupMaxSizeReachedError,
            kafka_errors.InvalidTransactionTimeoutError,
            kafka_errors.InvalidSessionTimeoutError,
            kafka_errors.InvalidTopicError,
            kafka_errors.InvalidPartitionsError,
            kafka_errors.InvalidReplicationFactorError,
            kafka_errors.InvalidReplicationAssignmentError,
            kafka_errors.PolicyViolationError,
            kafka_errors.TopicDeletionDisabledError,
            kafka_errors.UnsupportedVersionError,
            kafka_errors.UnrecognizedBrokerVersion,
            kafka_errors.UnsupportedCodecError,
            kafka_errors.UnsupportedCompressionTypeError,
            kafka_errors.UnsupportedForMessageFormatError,
        ),
        UsageError,
    ),
    (
        (
            # The limit of a topic was lowered. It is read again before the next try.
            kafka_errors.MessageSizeTooLargeError,
            kafka_errors.RecordListTooLargeError,
            kafka_errors.IllegalGenerationError,
            kafka_errors.UnknownMemberIdError,
            kafka_errors.FencedMemberEpochError,
            kafka_errors.StaleMemberEpochError,
            kafka_errors.RebalanceInProgressError,
            kafka_errors.CommitFailedError,
            kafka_errors.TransactionAbortableError,
            kafka_errors.TransactionAbortedError,
            kafka_errors.ProducerFencedError,
            kafka_errors.InvalidProducerEpochError,
            kafka_errors.InvalidProducerIdMappingError,
            kafka_errors.InvalidTxnStateError,
            kafka_errors.TransactionCoordinatorFencedError,
            kafka_errors.TransactionalIdNotFoundError,
            kafka_errors.UnknownProducerIdError,
            kafka_errors.OutOfOrderSequenceNumberError,
            kafka_errors.DuplicateSequenceNumberError,
        ),
        CommitAborted,
    ),
    (
        (
            kafka_errors.RetriableError,
            kafka_errors.BrokerNotAvailableError,
            # The broker's error for faults without a code of their own, for example a failed disk.
            kafka_errors.UnknownError,
            # A node that left the cluster between two reads of the metadata.
            kafka_errors.UnknownBrokerIdError,
            # A damaged response: the client closes the connection and opens another.
            kafka_errors.KafkaProtocolError,
            # A batch damaged in transit. Kafka's Java client retries it too.
            kafka_errors.CorruptRecordError,
            kafka_errors.CorruptRecordException,
            # Invalid positions, which the next rewind corrects.
            kafka_errors.OffsetOutOfRangeError,
            kafka_errors.NoOffsetForPartitionError,
            kafka_errors.LogTruncationError,
        ),
        BrokerFault,
    ),
)


_UNAUTHORIZED = re.compile(r"\b\w+AuthorizationFailedError\b")


def translate(error: Exception) -> Exception:
    """
    Return our error for a client's error, or the error itself if it is fatal.

    A plain `KafkaError` is translated as the error that it wraps. If it wraps none, it reports a temporary state of the
    client, for example a heartbeat that found no coordinator, and another try may succeed.
    """
    if type(error) is kafka_errors.KafkaError:
        cause = _wrapped(error)
        return translate(cause) if cause else BrokerFault(f"kafka: {error}")
    for kinds, ours in _MAPPED:
        if isinstance(error, kinds):
            return ours(f"kafka: {_told(error)}")
    return error


def _wrapped(error: Exception) -> Exception | None:
    """Return the error that a plain `KafkaError` wraps; a producer's first refusal is wrapped as text alone."""
    cause: Exception | None = error.__cause__ if isinstance(error.__cause__, kafka_errors.KafkaError) else None
    named = _UNAUTHORIZED.search(str(error))
    return getattr(kafka_errors, named[0])() if named and cause is None else cause


def _told(error: Exception) -> str:
    if isinstance(error, Refusal):
        return str(error)
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, kafka_errors.AuthorizationError):
        return f"{told}; this client's user lacks a right, and `watchword topics acls` lists those of each role"
    return told


@contextmanager
def translated() -> Iterator[None]:
    """Raise our errors in place of the client's; fatal errors pass unchanged."""
    try:
        yield
    except kafka_errors.KafkaError as error:
        ours = translate(error)
        if ours is error:
            raise
        raise ours from error
