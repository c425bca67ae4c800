"""A policy's own examples: what it must say of them, and what is said when it does not."""

import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pipeline.cli.policies.examples import run_examples, try_examples
from pipeline.errors import UsageError

POLICY = """\
id: weapons.firearms
title: Firearms
prompts: [a revolver, a pistol]
threshold: {threshold}
severity: high
action: review
owner: safety
mode: "off"
scope: {{ surface: [post, listing] }}
examples:
  - {{ image: revolver.jpg, flag: true, attributes: {{ surface: post }} }}
  - {{ image: ant.jpg, flag: false, attributes: {{ surface: post }}, why: an insect }}
  - {{ image: revolver.jpg, flag: false, attributes: {{ surface: avatar }} }}
"""


@pytest.fixture
def folder(tmp_path: Path, samples: Path) -> Path:
    for kind in ("revolver", "ant"):
        shutil.copy(next((samples / "images" / kind).iterdir()), tmp_path / f"{kind}.jpg")
    return tmp_path


def write(folder: Path, threshold: float) -> None:
    (folder / "guns.yaml").write_text(POLICY.format(threshold=threshold))


def test_a_policy_is_tried_on_its_examples_in_its_scope_also_when_it_is_off(folder: Path) -> None:
    write(folder, -100)
    everything = try_examples(folder)
    assert [each.flagged for each in everything] == [True, True, False]
    write(folder, (everything[0].score + everything[1].score) / 2)
    assert everything[0].score > everything[1].score
    assert [each.passed for each in try_examples(folder)] == [True, True, True]
    assert run_examples(folder, only=None, junit=None) == 0


def test_what_fails_is_named_with_its_place_and_told_to_junit(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, -100)
    assert run_examples(folder, only="weapons.firearms", junit=tmp_path / "junit.xml") == 1
    line, total = capsys.readouterr().out.splitlines()
    assert line.startswith(
        f"{folder}/guns.yaml:12:14: `weapons.firearms`, `ant.jpg`: must not be flagged (an insect): "
    )
    assert total == "3 examples, 1 failed"
    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    assert [case.get("name") for case in suite if len(case)] == ["ant.jpg"]


def test_an_image_outside_the_scope_cannot_be_wanted(folder: Path) -> None:
    write(folder, -100)
    text = (folder / "guns.yaml").read_text()
    (folder / "guns.yaml").write_text(text.replace("flag: false, attributes: { surface: avatar }", "flag: true"))
    assert try_examples(folder)[2].line() == "is outside the policy's scope"


def test_an_image_that_is_not_there_or_is_none_is_said(folder: Path) -> None:
    write(folder, 0)
    (folder / "ant.jpg").write_bytes(b"no image")
    assert "cannot be judged: unsupported_format" in try_examples(folder)[1].line()
    (folder / "ant.jpg").unlink()
    with pytest.raises(UsageError, match=r"guns\.yaml:12:14: `ant\.jpg` is not there"):
        try_examples(folder)


def test_a_folder_without_examples_says_so(folder: Path) -> None:
    write(folder, 0)
    with pytest.raises(UsageError, match="`other` has no examples"):
        try_examples(folder, "other")
