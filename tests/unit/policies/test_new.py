"""Policy files written by `watchword policies new`, and the printed background list."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.main import app
from pipeline.errors import UsageError
from pipeline.events.policies import Mode, Policy, Severity
from pipeline.policies.load import load_policy_set
from tests.unit.policies.test_policy_files import GOOD, problem


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["policies", *map(str, arguments)])


def only_policy(folder: Path) -> Policy:
    [policy] = load_policy_set(folder).policies
    return policy


def test_a_new_policy_is_valid_and_flags_nothing(tmp_path: Path) -> None:
    made = run("new", "sale.chandeliers", "--policies", tmp_path / "policies")
    assert made.exit_code == 0
    assert made.stdout.startswith(f"{tmp_path}/policies/sale-chandeliers.yaml written")
    policy = only_policy(tmp_path / "policies")
    assert policy.prompts == ("chandeliers",)
    assert policy.title == "Chandeliers"
    assert policy.mode is Mode.SHADOW
    assert policy.provisional
    assert run("check", tmp_path / "policies").exit_code == 0


@pytest.mark.parametrize("text", ["yes", "a: b", "# c", "it's", '"quoted"', "- a", "é", "12", "a #1"])
def test_a_given_text_is_in_the_file_unchanged(tmp_path: Path, text: str) -> None:
    options = ("--prompt", text, "--prompt", "a lamp", "--action", text, "--owner", text, "--severity", "high")
    assert run("new", "a1", "--policies", tmp_path, *options).exit_code == 0
    policy = only_policy(tmp_path)
    assert policy.prompts == tuple(sorted([text, "a lamp"]))
    assert policy.action == text
    assert policy.owner == text
    assert policy.severity is Severity.HIGH


@pytest.mark.parametrize("policy_id", ["no", "12", "1.5", "true", "null", "a_b.c", "_", "background", "shared"])
def test_a_given_id_is_in_the_file_unchanged(tmp_path: Path, policy_id: str) -> None:
    assert run("new", policy_id, "--policies", tmp_path, "--prompt", "a lamp").exit_code == 0
    assert only_policy(tmp_path).id == policy_id


def test_a_file_that_exists_is_not_written_over(tmp_path: Path) -> None:
    run("new", "sale.chandeliers", "--policies", tmp_path)
    (tmp_path / "sale-chandeliers.yaml").write_text("mine")
    refused = run("new", "sale.chandeliers", "--policies", tmp_path)
    assert isinstance(refused.exception, UsageError)
    assert "exists already" in str(refused.exception)
    assert (tmp_path / "sale-chandeliers.yaml").read_text() == "mine"


NO_ID = (
    "`Chandeliers for sale` is not an id: use small letters, digits and `_`, with dots between, "
    "such as `sale.chandeliers`"
)


def test_a_bad_id_is_refused_in_plain_words(tmp_path: Path) -> None:
    """`new` refuses it, and so does a policy file, with its position."""
    refused = run("new", "Chandeliers for sale", "--policies", tmp_path)
    assert str(refused.exception) == NO_ID
    assert list(tmp_path.iterdir()) == []
    shown = problem(tmp_path, GOOD.replace("id: weapons.firearms", "id: Chandeliers for sale"))
    assert shown.startswith("weapons.yaml:1:5:")
    assert NO_ID in shown


def test_a_prompt_that_no_policy_may_have_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    refused = run("new", "sale.chandeliers", "--policies", tmp_path, "--prompt", "x" * 501)
    assert "500 characters" in str(refused.exception)
    assert list(tmp_path.iterdir()) == []


def test_the_printed_background_is_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(GOOD)
    shipped = load_policy_set(tmp_path)
    (tmp_path / "background.yaml").write_text(run("background").stdout)
    assert load_policy_set(tmp_path).digest == shipped.digest
