"""A mistake in a policy file is shown like a compiler's error, and an invalid folder is never loaded in part."""

import shutil
from pathlib import Path

import pytest

from pipeline.errors import PolicyError
from pipeline.events.policies import Mode, ScoreKind
from pipeline.policies.load import load_policy_set

GOOD = """\
id: weapons.firearms
title: Firearms
prompts:
  - a revolver
  - a handgun
contrast: [a stapler]
score: contrast
threshold: 2.5
severity: high
action: review
owner: safety
mode: enforce
"""


def write(folder: Path, text: str, name: str = "weapons.yaml") -> Path:
    (folder / name).write_text(text)
    return folder


def problem(folder: Path, text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy_set(write(folder, text))
    return str(caught.value).replace(f"{folder}/", "")


def test_a_valid_file_is_loaded_completely(tmp_path: Path) -> None:
    [policy] = load_policy_set(write(tmp_path, GOOD)).policies
    assert (policy.id, policy.threshold, policy.mode, policy.score) == (
        "weapons.firearms",
        2.5,
        Mode.ENFORCE,
        ScoreKind.CONTRAST,
    )
    assert not policy.provisional


def test_a_threshold_may_be_marked_provisional(tmp_path: Path) -> None:
    text = GOOD.replace("threshold: 2.5", "threshold: { value: 2.5, provisional: true }")
    [policy] = load_policy_set(write(tmp_path, text)).policies
    assert (policy.threshold, policy.provisional) == (2.5, True)


MISTAKES = {
    "an unknown key": (
        GOOD.replace("threshold:", "treshold:"),
        """\
weapons.yaml:8:1: unknown key `treshold`, did you mean `threshold`?
    8 | treshold: 2.5
      | ^^^^^^^^""",
    ),
    "a wrong value of a closed list": (
        GOOD.replace("mode: enforce", "mode: enforced"),
        """\
weapons.yaml:12:7: `enforced` is not a value of `mode`, did you mean `enforce`?
   12 | mode: enforced
      |       ^^^^^^^^""",
    ),
    "a value of another type": (
        GOOD.replace("2.5", "high"),
        """\
weapons.yaml:8:12: `threshold`: expected a number, or one of `value`, `precision`, `queue`, as in `{ precision: 0.95 }`
    8 | threshold: high
      |            ^^^^""",
    ),
    "an empty list": (
        GOOD.replace("contrast: [a stapler]", "contrast: [a stapler, '']"),
        """\
weapons.yaml:6:23: `contrast.1`: string should have at least 1 character
    6 | contrast: [a stapler, '']
      |                       ^""",
    ),
    "a prompt written twice": (
        GOOD.replace("- a handgun", "- a revolver"),
        """\
weapons.yaml:4:3: `prompts`: listed more than once: a revolver
    4 |   - a revolver
      |   ^""",
    ),
    "a template without its place": (
        GOOD + "templates: ['a photo']\n",
        """\
weapons.yaml:13:13: `templates.0`: a template must contain `{}` once, where the prompt goes, and no other braces
   13 | templates: ['a photo']
      |             ^^^^^^^""",
    ),
    "a repeated key": (
        GOOD + "owner: other\n",
        """\
weapons.yaml:13:1: key `owner` is written twice, the first time on line 11
   13 | owner: other
      | ^^^^^""",
    ),
    "broken YAML": (
        GOOD.replace("[a stapler]", "[a stapler"),
        """\
weapons.yaml:7:6: did not find expected ',' or ']' while parsing a flow sequence that begins on line 6
    7 | score: contrast
      |      ^""",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_shown_with_its_position(tmp_path: Path, mistake: str) -> None:
    text, shown = MISTAKES[mistake]
    found = problem(tmp_path, text)
    assert found == shown


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert "weapons.yaml:1:1: key `owner` is missing" in problem(tmp_path, GOOD.replace("owner: safety\n", ""))


def test_every_mistake_of_every_file_is_shown_at_once(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("severity: high", "severity: huge"), "a.yaml")
    found = problem(tmp_path, GOOD.replace("threshold:", "treshold:").replace("mode:", "mod:"))
    assert [line.split(" ")[0] for line in found.splitlines() if ".yaml:" in line] == [
        "a.yaml:9:11:",
        "weapons.yaml:8:1:",
        "weapons.yaml:12:1:",
    ]


def test_an_id_may_be_in_one_file_only(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "a.yaml")
    assert "weapons.yaml:1:5: `weapons.firearms` is already the id of a.yaml" in problem(tmp_path, GOOD)


def test_the_digest_depends_on_the_meaning_not_the_text(tmp_path: Path) -> None:
    """Comments and the order of keys and files do not change it; anything that changes a score does."""
    digest = load_policy_set(write(tmp_path, GOOD)).digest
    lines = GOOD.splitlines()
    assert load_policy_set(write(tmp_path, "# why\n" + "\n".join([*lines[-4:], *lines[:-4]]) + "\n")).digest == digest
    assert load_policy_set(write(tmp_path, GOOD.replace("2.5", "2.6"))).digest != digest
    assert load_policy_set(write(tmp_path, GOOD.replace("a handgun", "a pistol"))).digest != digest
    write(tmp_path, "prompts: [a tree]\n", "background.yaml")
    assert load_policy_set(write(tmp_path, GOOD)).digest != digest


def test_a_policy_that_is_off_is_not_in_the_set(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "a.yaml")
    text = GOOD.replace("mode: enforce", "mode: off").replace("weapons.firearms", "weapons.knives")
    assert [policy.id for policy in load_policy_set(write(tmp_path, text)).policies] == ["weapons.firearms"]


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no policy files"):
        load_policy_set(tmp_path)
    with pytest.raises(PolicyError, match="not a folder"):
        load_policy_set(tmp_path / "nowhere")


def test_the_shipped_policies_load_and_are_marked_provisional(policies: Path, tmp_path: Path) -> None:
    shutil.copytree(policies, tmp_path / "p")
    loaded = load_policy_set(tmp_path / "p").policies
    assert 5 <= len(loaded) <= 8
    assert all(policy.provisional and policy.contrast for policy in loaded)
