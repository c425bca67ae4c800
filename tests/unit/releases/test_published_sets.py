"""Policy sets as they are stored, compared, shadowed and shared between workers."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.encode.local import LocalEncoder
from pipeline.encode.text_cache import CachedTextEncoder
from pipeline.errors import BrokerFault, EncoderFault, PolicyError, UsageError
from pipeline.evaluation.backtest.shadow_counts import count_shadows
from pipeline.events.policies import Background, Mode, OnModelChange, PolicySet
from pipeline.events.records import Origin, Record
from pipeline.events.releases import Release, in_sample
from pipeline.policies.compile import compose, with_digest
from pipeline.policies.load import load_policy_set
from pipeline.releases.codec import decode_set, encode_set
from pipeline.releases.control_topic import ControlTopic, release_fields
from pipeline.releases.diff import policy_diffs
from pipeline.releases.shadow import with_shadow, without_shadows
from pipeline.releases.sources import PolicySetUpdate
from pipeline.stream.policy_watcher import PolicyWatcher
from pipeline.telemetry.metrics import Metrics

FULL = """id: weapons.guns
title: Guns
prompts: [a revolver, a rifle]
contrast: [a stapler]
templates: ["a photo of {}"]
aggregate: max
threshold: { value: 1.25, provisional: true }
severity: medium
action: look
owner: us
mode: enforce
scope: { surface: [listing, "avatar*"], not: { region: de } }
expires: 2031-02-03
labels: { team: dangerous }
rationale: because
children:
  - { id: shop, title: For sale, prompts: [a gun with a price tag], threshold: 2, severity: high }
"""


@pytest.fixture
def full(tmp_path: Path) -> PolicySet:
    (tmp_path / "guns.yaml").write_text(FULL)
    return load_policy_set(tmp_path)


def edited(policy_set: PolicySet, **changes: object) -> PolicySet:
    """Return the set with its first policy changed."""
    first, *children = policy_set.policies
    changed = with_digest(dataclasses.replace(first, **changes), children)  # type: ignore[arg-type]  # by field
    return compose([changed, *children], policy_set.background)


def test_a_stored_set_comes_back_whole(full: PolicySet, policies: Path) -> None:
    for policy_set in (full, load_policy_set(policies)):
        assert decode_set(encode_set(policy_set), policy_set.digest) == policy_set
    assert full.policies[0].expires == date(2031, 2, 3)


def test_a_set_that_is_not_what_its_digest_names_is_refused(full: PolicySet) -> None:
    """Whatever was changed, in a policy, a child, or the background; and what is no set at all."""
    for found, other in (("a rifle", "a knife"), ("price tag", "bow"), ("enforce", "shadow"), ("1.25", "1.0")):
        damaged = encode_set(full).replace(found.encode(), other.encode())
        with pytest.raises(PolicyError, match="means something else here"):
            decode_set(damaged, full.digest)
    fields = json.loads(encode_set(full))
    fields["background"]["prompts"].pop()
    with pytest.raises(PolicyError, match="another version of watchword"):
        decode_set(json.dumps(fields).encode(), full.digest)
    with pytest.raises(PolicyError, match="cannot be read"):
        decode_set(b"{}", full.digest)


def test_a_language_with_more_in_it_leaves_old_digests_alone(full: PolicySet) -> None:
    """A field at its default is no part of the digest, so that one added later changes none of what is stored."""
    policy = full.policies[0]
    plain = dataclasses.replace(policy, scope=None, expires=None, labels=(), model=None)
    assert with_digest(plain).digest != with_digest(policy).digest
    stored = json.loads(encode_set(full))
    for name in ("model", "on_model_change", "parent"):
        del stored["policies"][0][name]
    assert decode_set(json.dumps(stored).encode(), full.digest) == full


def test_a_difference_is_told_by_what_it_means(full: PolicySet) -> None:
    changed = edited(full, prompts=("a revolver", "a shotgun"), threshold=2.0, expires=None, labels=())
    [change] = policy_diffs(full, changed)
    assert (change.policy_id, change.kind) == ("weapons.guns", "changed")
    assert change.details == (
        "- prompts: a rifle",
        "+ prompts: a shotgun",
        "threshold: 1.25 -> 2",
        "expires: 2031-02-03 -> nothing",
        "- labels: team = dangerous",
    )
    assert policy_diffs(full, full) == []
    [added, *_] = policy_diffs(None, full)
    assert (added.kind, added.details[1]) == ("added", "threshold 1.25 (provisional)")
    without = compose([], full.background)
    assert {change.kind for change in policy_diffs(full, without)} == {"removed"}
    other = dataclasses.replace(full, background=Background(full.background.prompts[1:], full.background.templates))
    [background] = policy_diffs(full, other)
    assert background.details == (f"- prompts: {full.background.prompts[0]}",)


def test_a_shadow_set_stands_beside_the_live_one_under_ids_of_its_own(full: PolicySet) -> None:
    both = with_shadow(full, edited(full, threshold=3.0))
    assert [(policy.id, policy.mode) for policy in both.policies] == [
        ("weapons.guns", Mode.ENFORCE),
        ("weapons.guns.shop", Mode.ENFORCE),
        ("weapons.guns.shop~shadow", Mode.SHADOW),
        ("weapons.guns~shadow", Mode.SHADOW),
    ]
    assert both.policies[:2] == full.policies, "what is in force stays what it is, under its own digests"
    parents = {policy.id: policy.parent for policy in both.policies}
    assert parents["weapons.guns.shop~shadow"] == "weapons.guns~shadow"
    assert without_shadows(both) == full
    assert decode_set(encode_set(both), both.digest) == both
    assert with_shadow(both, edited(full, threshold=3.0)) == both, "a shadow replaces those before it"
    with pytest.raises(PolicyError, match="nothing to shadow"):
        with_shadow(full, full)
    with pytest.raises(PolicyError, match="another background"):
        with_shadow(full, dataclasses.replace(full, background=Background(("a tree",), ("{}",))))


def verdict(event_id: str, **answers: tuple[float, str]) -> dict[str, object]:
    said = [
        {"id": name, "score": score, "threshold": 1.0, "flagged": score >= 1, "digest": digest}
        for name, (score, digest) in answers.items()
    ]
    return {"event": {"id": event_id}, "policies": said}


def test_shadows_are_counted_against_what_is_in_force() -> None:
    """By their present digest only, and only where both judged."""
    verdicts = [
        verdict("both", new=(2, "d"), old=(2, "o")),
        verdict("flagged", new=(5, "d"), old=(0, "o")),
        verdict("surer", new=(9, "d"), old=(0, "o")),
        verdict("cleared", new=(0, "d"), old=(2, "o")),
        verdict("neither", new=(0, "d"), old=(0, "o")),
        verdict("before its edit", new=(9, "earlier"), old=(0, "o")),
        verdict("out of its scope", old=(2, "o")),
    ]
    [count] = count_shadows(verdicts, {"new": "old"}, {"new": "d"})
    assert (count.images, count.both, count.newly_flagged, count.newly_cleared) == (5, 1, 2, 1)
    assert count.examples_flagged == ("surer", "flagged")
    assert count.examples_cleared == ("cleared",)
    assert (count.shadow_share.value, count.live_share.value) == (0.6, 0.4)
    [alone] = count_shadows(verdicts, {"new": None}, {"new": "d"})
    assert (alone.images, alone.newly_flagged, alone.newly_cleared) == (5, 3, 0)


def release(version: int, digest: str = "d" * 64) -> Release:
    return Release(digest, version, version - 1, datetime(2031, 1, version, tzinfo=UTC), "ana", f"note {version}")


def record(key: str, value: bytes | None) -> Record:
    return Record(Origin("control", 0, 0), key.encode(), value, (), 0)


def stored(each: Release) -> bytes:
    return json.dumps(release_fields(each)).encode()


def test_the_past_survives_compaction() -> None:
    """Of `current` the last record stays; each version has a record of its own."""
    published = ControlTopic()
    published.take([record(f"version/{n}", stored(release(n))) for n in (1, 2, 3)])
    published.take([record("current", stored(release(3))), record("set/abc", b"{}"), record("other", b"x")])
    assert [each.version for each in published.history()] == [3, 2, 1]
    assert published.current == release(3)
    assert published.named("2") == release(2)
    assert published.named("dddddd") == release(3)
    for name in ("4", "ddd", "eeeeee"):
        with pytest.raises(UsageError, match="history` lists them"):
            published.named(name)


def test_a_record_that_is_no_release_hides_none_of_the_others() -> None:
    published = ControlTopic()
    published.take([record("current", b"{}"), record("version/1", stored(release(1))), record("set/a", None)])
    assert published.version == 1
    assert published.releases == {1: release(1)}
    assert published.current is None


class Given:
    """A source that says what it is told to."""

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
    return PolicyWatcher(source, encoder, {encoder.model_digest}, Metrics())


def test_what_cannot_be_used_leaves_what_was(full: PolicySet, encoder: LocalEncoder) -> None:
    """At the start, the newest valid set before it; later, the one in force, whatever goes wrong."""
    other = edited(full, threshold=9.0)
    source = Given(
        [PolicyError("no"), PolicyError("no"), BrokerFault("away"), None, PolicySetUpdate(other, 4)],
        [PolicySetUpdate(full, 2)],
    )
    watching = watch(source, encoder)
    watching.load(lambda _: None)
    for _ in range(3):
        assert watching.current().judge.bank.policy_set == full
        assert watching.current().version == 2
        watching.refresh()
    watching.refresh()
    assert watching.current().judge.bank.policy_set == other
    with pytest.raises(PolicyError):
        watch(Given([PolicyError("no")]), encoder).load(lambda _: None)


def test_a_start_finds_a_set_whatever_goes_wrong_on_the_way(full: PolicySet, encoder: LocalEncoder) -> None:
    """The text tower is away just then, and the newest of the earlier sets is for another model."""
    policies = [
        dataclasses.replace(policy, model="b" * 64, on_model_change=OnModelChange.REFUSE) for policy in full.policies
    ]
    elsewhere = compose(policies, full.background)
    source = Given(
        [PolicyError("no"), PolicyError("no"), None], [PolicySetUpdate(elsewhere, 3), PolicySetUpdate(full, 2)]
    )
    watching = watch(source, encoder)
    with mock.patch.object(encoder, "encode_texts", side_effect=EncoderFault("away")), pytest.raises(EncoderFault):
        watching.load(lambda _: None)
    assert source.asked_again == 1, "so that the next try is told again"
    watching.load(lambda _: None)
    assert watching.current().version == 2


def test_an_edit_that_may_not_be_read_leaves_the_watch_alive(full: PolicySet, encoder: LocalEncoder) -> None:
    other = edited(full, threshold=9.0)
    source = Given([PolicySetUpdate(full, 1), PermissionError("no"), UsageError("no right"), PolicySetUpdate(other, 2)])
    watching = watch(source, encoder)
    watching.load(lambda _: None)
    for _ in range(3):
        watching.refresh()
    assert watching.watching()
    assert watching.current().version == 2


def test_a_share_is_drawn_by_event_and_by_purpose() -> None:
    ids = [str(number) for number in range(20_000)]
    canary = {event_id for event_id in ids if in_sample(0.1, "shop", event_id, "canary")}
    wider = {event_id for event_id in ids if in_sample(0.2, "shop", event_id, "canary")}
    other = {event_id for event_id in ids if in_sample(0.1, "shop", event_id, "audit")}
    assert canary < wider, "what a small share has, a larger one has too"
    assert len(canary) == pytest.approx(2000, abs=5 * 42)
    assert len(canary & other) == pytest.approx(200, abs=5 * 14), "two purposes have nothing to do with each other"
    assert not any(in_sample(0.0, "shop", event_id, "canary") for event_id in ids)
    assert all(in_sample(1.0, "shop", event_id, "canary") for event_id in ids)


class Counting:
    """A text tower that remembers what it was asked."""

    model_digest, logit_scale = "m" * 64, 20.0

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        angles = np.array([len(text) for text in texts], dtype=np.float32)
        return np.stack([np.cos(angles), np.sin(angles), 0 * angles, 0 * angles], axis=1)


def test_a_text_is_encoded_once_for_good(tmp_path: Path) -> None:
    """In a file that the next process reads; another model's texts are others."""
    tower, file = Counting(), tmp_path / "new/cache.sqlite"
    first = CachedTextEncoder(tower, file).encode_texts(["a", "bb", "a"])
    second = CachedTextEncoder(tower, file).encode_texts(["bb", "ccc"])
    assert tower.asked == ["a", "bb", "ccc"]
    np.testing.assert_allclose(first[:, 0], np.cos([1, 2, 1]), rtol=1e-6)
    np.testing.assert_allclose(second[:, 0], np.cos([2, 3]), rtol=1e-6)
    other = Counting()
    other.model_digest = "n" * 64
    CachedTextEncoder(other, file).encode_texts(["a"])
    assert other.asked == ["a"]


def test_a_cache_that_is_no_cache_costs_time_only(tmp_path: Path) -> None:
    file = tmp_path / "cache.sqlite"
    file.write_bytes(b"not a database, and long enough to be looked at" * 50)
    tower = Counting()
    assert CachedTextEncoder(tower, file).encode_texts(["a"]).shape == (1, 4)
    assert file.read_bytes().startswith(b"not a database")
