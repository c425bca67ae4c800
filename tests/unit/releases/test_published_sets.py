"""Policy sets as they are stored, compared and shadowed, and the content of the control topic."""

import dataclasses
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pipeline.errors import PolicyError, UsageError
from pipeline.events.policies import Background, Mode, PolicySet
from pipeline.events.records import Origin, Record
from pipeline.events.releases import Release
from pipeline.policies.compile import compose, with_digest
from pipeline.policies.load import load_policy_set
from pipeline.releases.codec import decode_set, encode_set
from pipeline.releases.control_topic import ControlTopic, release_fields
from pipeline.releases.diff import policy_diffs
from pipeline.releases.shadow import with_shadow, without_shadows

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


def test_a_stored_set_is_read_back_unchanged(full: PolicySet, policies: Path) -> None:
    for policy_set in (full, load_policy_set(policies)):
        assert decode_set(encode_set(policy_set), policy_set.digest) == policy_set
    assert full.policies[0].expires == date(2031, 2, 3)


def test_a_set_with_a_wrong_digest_is_refused(full: PolicySet) -> None:
    """Cases: a change in a policy, a child or the background, and a value that is not a set."""
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


def test_additions_to_the_policy_language_keep_old_digests(full: PolicySet) -> None:
    """A field at its default is not part of the digest, so a field that is added later changes no stored digest."""
    policy = full.policies[0]
    plain = dataclasses.replace(policy, scope=None, expires=None, labels=(), model=None)
    assert with_digest(plain).digest != with_digest(policy).digest
    stored = json.loads(encode_set(full))
    for name in ("model", "on_model_change", "parent"):
        del stored["policies"][0][name]
    assert decode_set(json.dumps(stored).encode(), full.digest) == full


def test_a_difference_is_described_by_its_meaning(full: PolicySet) -> None:
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


def test_shadows_are_added_to_the_live_set_under_separate_ids(full: PolicySet) -> None:
    both = with_shadow(full, edited(full, threshold=3.0))
    assert [(policy.id, policy.mode) for policy in both.policies] == [
        ("weapons.guns", Mode.ENFORCE),
        ("weapons.guns.shop", Mode.ENFORCE),
        ("weapons.guns.shop~shadow", Mode.SHADOW),
        ("weapons.guns~shadow", Mode.SHADOW),
    ]
    assert both.policies[:2] == full.policies, "policies of the active set do not change, nor do their digests"
    parents = {policy.id: policy.parent for policy in both.policies}
    assert parents["weapons.guns.shop~shadow"] == "weapons.guns~shadow"
    assert without_shadows(both) == full
    assert decode_set(encode_set(both), both.digest) == both
    assert with_shadow(both, edited(full, threshold=3.0)) == both, "a shadow replaces those before it"
    with pytest.raises(PolicyError, match="nothing to shadow"):
        with_shadow(full, full)
    with pytest.raises(PolicyError, match="another background"):
        with_shadow(full, dataclasses.replace(full, background=Background(("a tree",), ("{}",))))


def release(version: int, digest: str = "d" * 64) -> Release:
    return Release(digest, version, version - 1, datetime(2031, 1, version, tzinfo=UTC), "ana", f"note {version}")


def record(key: str, value: bytes | None) -> Record:
    return Record(Origin("control", 0, 0), key.encode(), value, (), 0)


def stored(each: Release) -> bytes:
    return json.dumps(release_fields(each)).encode()


def test_history_survives_compaction() -> None:
    """The last record of `current` stays, and each version has a separate record."""
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


def test_an_invalid_release_does_not_hide_the_others() -> None:
    published = ControlTopic()
    with capture_logs() as logs:
        published.take([record("current", b"{}"), record("version/1", stored(release(1))), record("set/a", None)])
    [rejected] = logs
    assert (rejected["event"], rejected["key"]) == ("release_rejected", "current")
    assert "`digest`" in rejected["problem"]
    assert published.version == 1
    assert published.releases == {1: release(1)}
    assert published.current is None
