"""The watcher of a worker's policy set: faults of the source never end the active set."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest

from pipeline.encode.local import LocalEncoder
from pipeline.errors import BrokerFault, EncoderFault, PolicyError, UsageError
from pipeline.events.policies import OnModelChange, PolicySet
from pipeline.policies.compile import compose, with_digest
from pipeline.policies.load import load_policy_set
from pipeline.releases.sources import PolicySetUpdate
from pipeline.stream.judge_builder import JudgeBuilder
from pipeline.stream.policy_metrics import PolicyMetrics
from pipeline.stream.policy_watcher import PolicyWatcher
from pipeline.telemetry.metrics import Metrics
from pipeline.telemetry.policy_labels import PolicyLabels
from tests.support.publishing import two_policies


@pytest.fixture
def full(tmp_path: Path) -> PolicySet:
    return load_policy_set(two_policies(tmp_path / "policies"))


def edited(policy_set: PolicySet, **changes: object) -> PolicySet:
    """Return the set with its first policy changed."""
    first, *others = policy_set.policies
    return compose([with_digest(dataclasses.replace(first, **changes)), *others], policy_set.background)  # type: ignore[arg-type]  # by field


class Given:
    """A source with scripted answers."""

    def __init__(
        self, poll: list[PolicySetUpdate | Exception | None], previous: Sequence[PolicySetUpdate] = ()
    ) -> None:
        self.given, self.before, self.asked_again = poll, previous, 0

    def poll(self) -> PolicySetUpdate | None:
        found = self.given.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def reset(self) -> None:
        self.asked_again += 1

    def previous(self) -> Iterator[PolicySetUpdate]:
        return iter(self.before)

    def close(self) -> None: ...


def watch(source: Given, encoder: LocalEncoder) -> PolicyWatcher:
    metrics = PolicyMetrics(Metrics(), PolicyLabels(100, lambda _: None), encoder.model_digest)
    return PolicyWatcher(source, JudgeBuilder(encoder, {encoder.model_digest}), metrics)


def test_an_unusable_set_keeps_the_earlier_one(full: PolicySet, encoder: LocalEncoder) -> None:
    """At the start the worker uses the newest valid earlier set; later it keeps the active set, for every fault."""
    other = edited(full, threshold=9.0)
    source = Given(
        [PolicyError("no"), PolicyError("no"), BrokerFault("away"), None, PolicySetUpdate(other, 4)],
        [PolicySetUpdate(full, 2)],
    )
    watching = watch(source, encoder)
    watching.load()
    for _ in range(3):
        assert watching.current().judge.bank.policy_set == full
        assert watching.current().version == 2
        watching.refresh()
    watching.refresh()
    assert watching.current().judge.bank.policy_set == other
    with pytest.raises(PolicyError):
        watch(Given([PolicyError("no")]), encoder).load()


def test_a_start_finds_a_set_despite_faults(full: PolicySet, encoder: LocalEncoder) -> None:
    """The text tower does not answer at first, and the newest earlier set is for another model."""
    policies = [
        dataclasses.replace(policy, model="b" * 64, on_model_change=OnModelChange.REFUSE) for policy in full.policies
    ]
    elsewhere = compose(policies, full.background)
    source = Given(
        [PolicyError("no"), PolicyError("no"), None], [PolicySetUpdate(elsewhere, 3), PolicySetUpdate(full, 2)]
    )
    watching = watch(source, encoder)
    with mock.patch.object(encoder, "encode_texts", side_effect=EncoderFault("away")), pytest.raises(EncoderFault):
        watching.load()
    assert source.asked_again == 1, "so that the next try is told again"
    watching.load()
    assert watching.current().version == 2


def test_an_unreadable_edit_does_not_stop_the_watcher(full: PolicySet, encoder: LocalEncoder) -> None:
    other = edited(full, threshold=9.0)
    source = Given([PolicySetUpdate(full, 1), PermissionError("no"), UsageError("no right"), PolicySetUpdate(other, 2)])
    watching = watch(source, encoder)
    watching.load()
    for _ in range(3):
        watching.refresh()
    assert watching.watching()
    assert watching.current().version == 2
