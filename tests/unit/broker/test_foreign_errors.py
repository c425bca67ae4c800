"""The client's errors become ours, the most specific first, and none is left out."""

import inspect

import pytest
from kafka import errors as kafka_errors

from pipeline.broker.connection import translate
from pipeline.errors import BrokerFault, CommitAborted, InstanceTaken, UsageError

CLIENTS = [
    kind for _, kind in inspect.getmembers(kafka_errors, inspect.isclass) if issubclass(kind, kafka_errors.KafkaError)
]


@pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_client_has_one_of_ours(kind: type[kafka_errors.KafkaError]) -> None:
    error = kind({}) if kind is kafka_errors.LogTruncationError else kind()
    assert type(translate(error)) in (BrokerFault, CommitAborted, InstanceTaken, UsageError)


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
def test_what_decides_the_fate_is_told_apart(kind: type[Exception], ours: type[Exception]) -> None:
    assert type(translate(kind())) is ours


def test_what_is_not_the_clients_stays_itself() -> None:
    error = ValueError("x")
    assert translate(error) is error
