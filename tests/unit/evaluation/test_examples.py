"""Examples of policies: the expected answers, and the report of a wrong answer."""

import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.errors import UsageError
from pipeline.evaluation.replay.examples import ExampleResult
from pipeline.operations.policies.examples import run_examples
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import read_folder
from pipeline.settings import Settings

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


@pytest.fixture(scope="module")
def workbench() -> Workbench:
    return Workbench(Settings(), user="tester")


def write(folder: Path, threshold: float) -> None:
    (folder / "guns.yaml").write_text(POLICY.format(threshold=threshold))


def results(workbench: Workbench, folder: Path) -> list[ExampleResult]:
    return run_examples(workbench, read_folder(folder))


def test_examples_are_judged_in_scope_even_when_the_policy_is_off(folder: Path, workbench: Workbench) -> None:
    write(folder, -100)
    everything = results(workbench, folder)
    assert [each.flagged for each in everything] == [True, True, False]
    write(folder, (everything[0].score + everything[1].score) / 2)
    assert everything[0].score > everything[1].score
    assert [each.passed for each in results(workbench, folder)] == [True, True, True]
    assert CliRunner().invoke(app, ["policies", "test", str(folder)]).exit_code == 0


def test_a_failure_has_its_position_and_is_in_the_junit_file(folder: Path, tmp_path: Path) -> None:
    write(folder, -100)
    arguments = ["--policy", "weapons.firearms", "--junit", str(tmp_path / "junit.xml")]
    shown = CliRunner().invoke(app, ["policies", "test", str(folder), *arguments])
    assert shown.exit_code == 1
    line, total = shown.stdout.splitlines()
    assert line.startswith(
        f"{folder}/guns.yaml:12:14: `weapons.firearms`, `ant.jpg`: must not be flagged (an insect): "
    )
    assert total == "3 examples, 1 failed"
    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    assert [case.get("name") for case in suite if len(case)] == ["ant.jpg"]


def test_an_image_outside_the_scope_cannot_be_flagged(folder: Path, workbench: Workbench) -> None:
    write(folder, -100)
    text = (folder / "guns.yaml").read_text()
    (folder / "guns.yaml").write_text(text.replace("flag: false, attributes: { surface: avatar }", "flag: true"))
    assert results(workbench, folder)[2].line() == "is outside the policy's scope"


def test_a_missing_or_broken_example_image_is_reported(folder: Path, workbench: Workbench) -> None:
    write(folder, 0)
    (folder / "ant.jpg").write_bytes(b"no image")
    assert "cannot be judged: unsupported_format" in results(workbench, folder)[1].line()
    (folder / "ant.jpg").unlink()
    with pytest.raises(UsageError, match=r"guns\.yaml:12:14: `ant\.jpg` does not exist"):
        results(workbench, folder)


def test_a_folder_without_examples_says_so(folder: Path) -> None:
    write(folder, 0)
    refused = CliRunner().invoke(app, ["policies", "test", str(folder), "--policy", "other"])
    assert "`other` has no examples" in str(refused.exception)
