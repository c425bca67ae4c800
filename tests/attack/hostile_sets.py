"""Hostile policy sets on the control topic."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.events.policies import Background, Policy, PolicySet
from pipeline.policies.compile import compose, with_digest
from pipeline.policies.load import load_policy_set
from pipeline.releases.codec import decode_set, encode_set
from pipeline.releases.shadow import with_shadow
from tests.attack.children import Attack

POLICIES = Path(__file__).parents[2] / "policies"
NAN, INF = float("nan"), float("inf")
D = "d" * 64


def hostile_sets() -> list[Attack]:
    """Return attacks with records of the control topic."""
    shipped = load_policy_set(POLICIES)
    attacks = [_stored(name, changed) for name, changed in _wrong_sets(shipped)]
    attacks += [_value(name, value) for name, value in _wrong_values(shipped)]
    first, *rest = shipped.policies
    other = compose([with_digest(dataclasses.replace(first, threshold=9.0)), *rest], shipped.background)
    fine = {"the shipped set": shipped, "a set with shadows": with_shadow(shipped, other)}
    return attacks + [_stored(f"fine: {name}", each, refused=False) for name, each in fine.items()]


def _stored(name: str, policy_set: PolicySet, *, refused: bool = True) -> Attack:
    """Return an attack with a set stored under its correct digest."""

    def make(_: Path) -> Callable[[], object]:
        value = encode_set(policy_set)
        return lambda: decode_set(value, policy_set.digest)

    return Attack(name, make, refused)


def _value(name: str, value: bytes) -> Attack:
    return Attack(name, lambda _: lambda: decode_set(value, D))


def _wrong_sets(shipped: PolicySet) -> Iterator[tuple[str, PolicySet]]:
    changes: dict[str, dict[str, Any]] = {
        "no prompts": {"prompts": ()},
        "an empty prompt": {"prompts": ("",)},
        "a blank prompt": {"prompts": ("\u2003",)},
        "a long prompt": {"prompts": ("x" * 501,)},
        "a prompt twice": {"prompts": ("a", "a")},
        "a control character": {"prompts": ("a\x1b[2J",)},
        "no templates": {"templates": ()},
        "two places": {"templates": ("{}{}",)},
        "a named place": {"templates": ("a {x} {}",)},
        "an attribute": {"templates": ("{.__class__}",)},
        "no place": {"templates": ("a photo",)},
        "threshold not finite": {"threshold": NAN},
        "threshold infinite": {"threshold": -INF},
        "an id of a path": {"id": "../x"},
        "an id of nothing": {"id": ""},
        "a long id": {"id": "a" * 500},
        "a parent that is not there": {"parent": "weapons.none"},
        "its own parent": {"parent": shipped.policies[0].id},
        "a title of nothing": {"title": " "},
        "an owner of a megabyte": {"owner": "x" * 1_000_000},
        "a rationale of a megabyte": {"rationale": "x" * 1_000_000},
        "a model that is no digest": {"model": "x"},
        "an audit of none": {"audit_per_day": 0},
        "an audit of too many": {"audit_per_day": 10**30},
        "a label of nothing": {"labels": (("", "x"),)},
    }
    first, *rest = shipped.policies
    for name, change in changes.items():
        yield name, compose([_digested(first, change), *rest], shipped.background)
    yield "an id twice", compose([first, first], shipped.background)
    for name, background in {
        "no background": Background((), ("{}",)),
        "a background without templates": Background(("a tree",), ()),
        "a background with two places": Background(("a tree",), ("{} {}",)),
        "a background with an empty prompt": Background(("a tree", ""), ("{}",)),
    }.items():
        yield name, compose(list(shipped.policies), background)
    child = _digested(first, {"id": f"{first.id}.worse", "parent": first.id, "severity": first.severity})
    yield "a child no worse", compose([*shipped.policies, child], shipped.background)
    below = _digested(first, {"id": f"{first.id}.worse.still", "parent": child.id})
    yield "a child of a child", compose([*shipped.policies, child, below], shipped.background)


def _digested(policy: Policy, change: dict[str, Any]) -> Policy:
    return with_digest(dataclasses.replace(policy, **change))


def _wrong_values(shipped: PolicySet) -> Iterator[tuple[str, bytes]]:
    fields = json.loads(encode_set(shipped))
    first = fields["policies"][0]
    for name, value in {
        "nothing": b"",
        "no object": b"[]",
        "no json": b"{",
        "deep": b"[" * 100_000,
        "half a character": b'{"policies": "\\ud800"}',
        "not UTF-8": b'{"policies": "\xff"}',
        "100000 empty policies": b'{"policies": [' + b"{}," * 100_000 + b"{}]}",
        "17 megabytes": b" " * (17 << 20),
        "8 megabytes of lists": b"[" + b"[]," * 2_700_000 + b"[]]",
    }.items():
        yield name, value
    changes: dict[str, dict[str, Any]] = {
        "a huge number": {"threshold": int("9" * 4_000)},
        "300000 prompts that are numbers": {"prompts": [1] * 300_000},
        "100000 conditions": {"scope": {"every": [{}] * 100_000}},
        "a head that is not finite": {"score": "linear", "head": {"weights": [NAN], "bias": 0, "model": D}},
        "a head of words": {"head": {"weights": ["x"] * 300_000, "bias": 0, "model": D}},
        "no day": {"expires": "2026-02-30"},
        "an unknown mode": {"mode": "on"},
        "off, with another id": {"mode": "off", "id": "a"},
    }
    for name, change in changes.items():
        yield name, json.dumps({**fields, "policies": [{**first, **change}]}).encode()
    scope: dict[str, Any] = {"values": [["a", ["b"]]]}
    for _ in range(60):
        scope = {"unless": scope}
    yield "60 conditions deep", json.dumps({**fields, "policies": [{**first, "scope": scope}]}).encode()
