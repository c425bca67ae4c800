"""Every error of the Kafka client is translated to one of ours, the most specific match first."""

import inspect

import pytest
from kafka import errors as kafka_errors

from pipeline.broker.connection import translate, translated
from pipeline.errors import BrokerFault, CommitAborted, InstanceTaken, UsageError, WatchwordError

CLIENTS = {
    name: kind
    for name, kind in inspect.getmembers(kafka_errors, inspect.isclass)
    if issubclass(kind, kafka_errors.KafkaError)
}

# Reviewed one by one: either no request of ours can have it, or trying again would only repeat it.
FATAL = frozenset(
    {
        "BrokerIdNotRegisteredError", "BrokerResponseError", "DelegationTokenOwnerMismatchError",
        "DelegationTokenRequestNotAllowedError", "DuplicateBrokerRegistrationError", "DuplicateResourceError",
        "DuplicateVoterError", "FeatureUpdateFailedError", "FencedStateEpochError", "GroupIdNotFoundError",
        "GroupSubscribedToTopicError", "IllegalArgumentError", "IllegalStateError", "InconsistentClusterIdError",
        "InconsistentVoterSetError", "IneligibleReplicaError", "InvalidCommitOffsetSizeError",
        "InvalidFetchRequestError", "InvalidPrincipalTypeError", "InvalidRecordError", "InvalidRecordStateError",
        "InvalidRegistrationError", "InvalidRequestError", "InvalidRequiredAcksError", "InvalidTimestampError",
        "InvalidUpdateVersionError", "InvalidVoterKeyError", "LogDirNotFoundError", "MemberIdRequiredError",
        "MismatchedEndpointTypeError", "NewLeaderElectedError", "NoError", "NoReassignmentInProgressError",
        "NonEmptyGroupError", "OffsetMetadataTooLargeError", "OffsetMovedToTieredStorageError",
        "OperationNotAttemptedError", "PositionOutOfRangeError", "PrincipalDeserializationFailureError",
        "QuotaViolationError", "ReassignmentInProgressError", "ResourceNotFoundError", "SnapshotNotFoundError",
        "StaleBrokerEpochError", "StaleControllerEpochError", "TelemetryTooLargeError", "TopicAlreadyExistsError",
        "UnknownControllerIdError", "UnknownSubscriptionIdError", "UnreleasedInstanceIdError",
        "UnsupportedAssignorError", "UnsupportedEndpointTypeError", "VoterNotFoundError",
    }
)  # fmt: skip


def made(kind: type[kafka_errors.KafkaError]) -> kafka_errors.KafkaError:
    return kind({}) if kind is kafka_errors.LogTruncationError else kind()


def test_an_error_of_the_client_is_translated_or_known_to_be_fatal() -> None:
    """An error class that a new version of the client adds fails here until someone maps it."""
    untranslated = {
        name for name, kind in CLIENTS.items() if isinstance(translate(made(kind)), kafka_errors.KafkaError)
    }
    assert untranslated == FATAL


RETRIABLE = [name for name, kind in CLIENTS.items() if getattr(kind, "retriable", False)]


@pytest.mark.parametrize("name", RETRIABLE)
def test_retriable_client_errors_are_retried(name: str) -> None:
    assert type(translate(made(CLIENTS[name]))) is BrokerFault


@pytest.mark.parametrize("kind", [kafka_errors.InvalidRequestError, type("Unheard", (kafka_errors.KafkaError,), {})])
def test_a_fatal_error_crashes_under_its_own_name(kind: type[kafka_errors.KafkaError]) -> None:
    """It is not a fault of a dependency, so no loop retries it."""
    with pytest.raises(kind) as caught, translated():
        raise kind("refused")
    assert not isinstance(caught.value, WatchwordError)


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        (kafka_errors.FencedInstanceIdError, InstanceTaken),
        (kafka_errors.IllegalGenerationError, CommitAborted),
        (kafka_errors.InvalidProducerEpochError, CommitAborted),
        (kafka_errors.TopicAuthorizationFailedError, UsageError),
        (kafka_errors.MessageSizeTooLargeError, CommitAborted),
        (kafka_errors.KafkaTimeoutError, BrokerFault),
        (kafka_errors.KafkaConnectionError, BrokerFault),
    ],
)
def test_errors_with_different_fates_are_distinguished(kind: type[Exception], ours: type[Exception]) -> None:
    assert type(translate(kind())) is ours


def test_other_exceptions_are_not_translated() -> None:
    error = ValueError("x")
    assert translate(error) is error
