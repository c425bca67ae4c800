"""The policy language: inheritance, shared lists, scopes, and children that raise the severity."""

import json
import re
from datetime import date
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from pipeline.errors import PolicyError
from pipeline.events.policies import Aggregate, Policy, Severity
from pipeline.events.scope import Scope
from pipeline.policies.json_schema import json_schema
from pipeline.policies.load import load_policy_set

REPOSITORY = Path(__file__).parents[3]

GUNS = """\
id: weapons.firearms
title: Firearms
prompts: [a revolver, a handgun]
contrast: [a stapler]
threshold: 2.5
severity: medium
action: review
owner: safety
mode: enforce
"""
BASE = "owner: safety\naction: review\nseverity: medium\nthreshold: 2.5\nmode: enforce\n"
SHARED = """\
phrases:
  firearms: [a revolver, a handgun]
  tools: [a wrench]
templates:
  plain: ["a photo of {}"]
"""


def load(folder: Path, **files: str) -> dict[str, Policy]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return {policy.id: policy for policy in load_policy_set(folder).policies}


def problem(folder: Path, **files: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load(folder, **files)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_policy_inherits_the_keys_that_it_lacks(tmp_path: Path) -> None:
    """
    It inherits from a policy or an incomplete file, over several steps.

    Its own values replace inherited ones, including whole lists.
    """
    guns = "extends: _base\nid: guns\ntitle: Guns\nprompts: [a gun]\nlabels: { law: X }\n"
    toys = "extends: guns\nid: guns.toy\ntitle: Toy guns\nprompts: [a toy gun]\nseverity: low\n"
    found = load(tmp_path, _base=BASE, guns=guns, toys=toys)
    assert found.keys() == {"guns", "guns.toy"}
    toy = found["guns.toy"]
    assert (toy.prompts, toy.severity, toy.owner, toy.threshold) == (("a toy gun",), Severity.LOW, "safety", 2.5)
    assert toy.labels == (("law", "X"),)


def test_lists_are_shared_by_name(tmp_path: Path) -> None:
    text = GUNS.replace("[a revolver, a handgun]", "[{ use: firearms }, a rifle]").replace(
        "[a stapler]", "[a stapler, { use: tools }]\ntemplates: { use: plain }"
    )
    [policy] = load(tmp_path, guns=text, shared=SHARED).values()
    assert policy.prompts == ("a handgun", "a revolver", "a rifle")
    assert policy.contrast == ("a stapler", "a wrench")
    assert policy.templates == ("a photo of {}",)


def test_the_same_meaning_has_the_same_digest(tmp_path: Path) -> None:
    """Order, spaces, defaults, inheritance, shared lists and remarks for people do not change it."""
    [plain] = load(tmp_path, guns=GUNS).values()
    written = [
        GUNS.replace("[a revolver, a handgun]", "[a handgun,  a   revolver ]"),
        "\n".join(reversed(GUNS.splitlines())),
        GUNS + "score: contrast\naggregate: log_mean_exp\nlabels: {}\nrationale: because of the law\n",
        GUNS.replace("2.5", "{ value: 2.50 }"),
        GUNS.replace("[a revolver, a handgun]", "{ use: firearms }"),
        "extends: _base\n" + "".join(line + "\n" for line in GUNS.splitlines() if f"{line}\n" not in BASE),
    ]
    for text in written:
        [other] = load(tmp_path, guns=text, shared=SHARED, _base=BASE).values()
        assert other.digest == plain.digest, text


@pytest.mark.parametrize(
    "change",
    [
        ("a handgun", "a pistol"),
        ("2.5", "2.6"),
        ("mode: enforce", "mode: enforce\naggregate: max"),
        ("mode: enforce", "mode: enforce\nscope: { surface: avatar }"),
        ("mode: enforce", "mode: enforce\nexpires: 2027-01-31"),
        ("mode: enforce", "mode: enforce\nlabels: { law: X }"),
        ("title: Firearms", "title: Guns"),
    ],
)
def test_another_meaning_has_another_digest(tmp_path: Path, change: tuple[str, str]) -> None:
    [plain] = load(tmp_path, guns=GUNS).values()
    [other] = load(tmp_path, guns=GUNS.replace(*change)).values()
    assert other.digest != plain.digest


CHILDREN = """\
children:
  - id: aimed
    title: Aimed at someone
    prompts: [a gun pointed at the camera]
    threshold: 3
    severity: critical
"""


def test_children_are_policies_that_raise_their_parents_severity(tmp_path: Path) -> None:
    """
    They inherit all other keys; an edit of a child changes the parent's digest, because the parent's flags may differ.
    """
    found = load(tmp_path, guns=GUNS + "aggregate: max\n" + CHILDREN)
    child, parent = found["weapons.firearms.aimed"], found["weapons.firearms"]
    assert (child.parent, child.severity, child.aggregate) == ("weapons.firearms", Severity.CRITICAL, Aggregate.MAX)
    assert parent.severity is Severity.MEDIUM
    edited = load(tmp_path, guns=GUNS + "aggregate: max\n" + CHILDREN.replace("threshold: 3", "threshold: 4"))
    assert edited["weapons.firearms"].digest != parent.digest


def test_a_policy_flags_until_its_last_day_is_over(tmp_path: Path) -> None:
    [policy] = load(tmp_path, guns=GUNS + "expires: 2027-01-31\n").values()
    assert policy.enforced(date(2027, 1, 31))
    assert not policy.enforced(date(2027, 2, 1))


SCOPES = {
    "surface: avatar": [True, False, False],
    "surface: [avatar, banner]": [True, True, False],
    "surface: 'ba*'": [False, True, False],
    "source: 'shop/*'": [True, False, True],
    "not: { region: eu }": [False, True, True],
    "{ surface: avatar, region: us }": [False, False, False],
    "any: [{ surface: avatar }, { region: us }]": [True, True, False],
    "all: [{ any: [{ region: eu }, { region: us }] }, { not: { surface: avatar } }]": [False, True, False],
}
EVENTS = [
    ("shop/uploads", {"surface": "avatar", "region": "eu"}),
    ("forum", {"surface": "banner", "region": "us"}),
    ("shop/listings", {}),
]


@pytest.mark.parametrize("written", SCOPES)
def test_a_scope_selects_events_of_a_policy(tmp_path: Path, written: str) -> None:
    """A missing attribute matches no value."""
    written_out = written if written.startswith("{") else f"{{ {written} }}"
    [policy] = load(tmp_path, guns=GUNS + f"scope: {written_out}\n").values()
    assert policy.scope is not None
    assert [policy.scope.admits(source, attributes) for source, attributes in EVENTS] == SCOPES[written]


def test_the_order_of_a_scope_does_not_matter(tmp_path: Path) -> None:
    scopes = ["{ any: [{ a: [x, y] }, { b: z }], c: w }", "{ c: [w], any: [{ b: z }, { a: [y, x] }] }"]
    found = [load(tmp_path, guns=GUNS + f"scope: {scope}\n")["weapons.firearms"] for scope in scopes]
    assert found[0].scope == found[1].scope
    assert isinstance(found[0].scope, Scope)
    assert found[0].digest == found[1].digest


MISTAKES = {
    "an unknown base": (
        {"guns": "extends: _bas\n" + GUNS, "_base": BASE},
        """\
guns.yaml:1:10: nothing here is called `_bas`, did you mean `_base`?
    1 | extends: _bas
      |          ^^^^""",
    ),
    "a circle": (
        {"guns": "extends: b\n" + GUNS, "other": GUNS.replace("weapons.firearms", "b\nextends: weapons.firearms")},
        """\
other.yaml:2:10: `weapons.firearms` extends this policy itself
    2 | extends: weapons.firearms
      |          ^^^^^^^^^^^^^^^^""",
    ),
    "an unknown list": (
        {"guns": GUNS.replace("a handgun", "{ use: firearm }"), "shared": SHARED},
        """\
guns.yaml:3:30: no shared phrases are called `firearm`, did you mean `firearms`?
    3 | prompts: [a revolver, { use: firearm }]
      |                              ^^^^^^^""",
    ),
    "a shared list with a prompt that is there already": (
        {"guns": GUNS.replace("a handgun", "{ use: firearms }"), "shared": SHARED},
        """\
guns.yaml:3:10: `prompts`: listed more than once: a revolver
    3 | prompts: [a revolver, { use: firearms }]
      |          ^""",
    ),
    "a mistake in what is extended": (
        {"guns": "extends: _base\nid: g\ntitle: G\nprompts: [g]\n", "_base": BASE.replace("medium", "huge")},
        """\
_base.yaml:3:11: `huge` is not a value of `severity`; it is one of `low`, `medium`, `high`, `critical`
    3 | severity: huge
      |           ^^^^""",
    ),
    "a mistake in a shared list": (
        {"guns": GUNS, "shared": SHARED.replace("a photo of {}", "a photo")},
        """\
shared.yaml:5:11: `templates.plain.0`: a template must contain `{}` once, where the prompt goes, and no other braces
    5 |   plain: ["a photo"]
      |           ^^^^^^^""",
    ),
    "a child no worse than its parent": (
        {"guns": GUNS + CHILDREN.replace("critical", "medium")},
        """\
guns.yaml:1:1: child `aimed` is no more severe than the policy itself, `medium`
    1 | id: weapons.firearms
      | ^""",
    ),
    "an unknown key of a child": (
        {"guns": GUNS + CHILDREN.replace("threshold", "treshold")},
        """\
guns.yaml:14:5: unknown key `treshold`, did you mean `threshold`?
   14 |     treshold: 3
      |     ^^^^^^^^""",
    ),
    "a scope of a number": (
        {"guns": GUNS + "scope: { age: 18 }\n"},
        """\
guns.yaml:10:15: `scope.age`: expected text or a list of texts; `*` stands for anything, and numbers need quotes
   10 | scope: { age: 18 }
      |               ^^""",
    ),
    "no date": (
        {"guns": GUNS + "expires: soon\n"},
        """\
guns.yaml:10:10: `expires`: input should be a valid date or datetime, input is too short
   10 | expires: soon
      |          ^^^^""",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_inherited_mistake_is_shown_where_it_is_written(tmp_path: Path, mistake: str) -> None:
    files, shown = MISTAKES[mistake]
    assert problem(tmp_path, **files).split("\n\n")[0] == shown


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("policies/*.yaml")), ids=lambda path: path.stem)
def test_the_schema_for_editors_admits_the_shipped_policies(path: Path) -> None:
    jsonschema.validate(YAML(typ="safe").load(path), json_schema("policy"))
    [reference] = re.findall(r"\$schema=(\S+)", path.read_text())
    assert json.loads((path.parent / reference).read_text()) == json_schema("policy")


def test_the_schema_for_editors_admits_the_whole_language_and_no_misspelling() -> None:
    text = "extends: _base\nid: guns\nprompts: [a gun, { use: firearms }]\ntemplates: { use: plain }\n" + CHILDREN
    document = YAML(typ="safe").load(
        text + "scope: { surface: [a, b], not: { any: [{ region: eu }] } }\nthreshold: 3\n"
    )
    jsonschema.validate(document, json_schema("policy"))
    jsonschema.validate(YAML(typ="safe").load(SHARED), json_schema("shared"))
    for wrong in ({"treshold": 3}, {"scope": {"age": 18}}, {"severity": "huge"}, {"prompts": [{"uses": "x"}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**document, **wrong}, json_schema("policy"))
