"""The rights of each role, as printed and as documented."""

import json
import re

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.errors import UsageError
from pipeline.operations.topics.acls import Operation, Right, role_named, roles_of
from pipeline.settings import Settings
from tests.support.stream import REPOSITORY

ROW = r"^\| (\w+) \| .* \| (\w+) \| ([\w-]+) (`.*`) \|$"


def printed(*words: str) -> str:
    run = CliRunner().invoke(app, ["topics", "acls", *words])
    assert run.exit_code == 0, run.output
    return run.stdout


def shown(role: str, right: Right) -> tuple[str, str, str, str]:
    return role, right.operation.value, right.resource.value, right.name + "*" * right.prefixed


def test_the_page_of_security_has_the_rights_of_the_default_settings() -> None:
    table = (REPOSITORY / "docs/security.md").read_text().partition("## Least rights")[2]
    documented = [
        (role, operation, kind, name)
        for role, operation, kind, names in re.findall(ROW, table, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", names)
    ]
    assert documented == [shown(role.name, right) for role in roles_of(Settings()) for right in role.rights]


def test_names_follow_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHWORD_GROUP_ID", "eu/moderation")
    monkeypatch.setenv("WATCHWORD_TOPIC_IMAGES", "eu.images")
    monkeypatch.setenv("WATCHWORD_POLICY_SOURCE", "topic")
    [worker] = json.loads(printed("--role", "worker", "--format", "json", "--principal", "User:CN={role}"))
    rights = {(each["operation"], each["resource"], each["name"], each["pattern"]) for each in worker["rights"]}
    assert worker["principal"] == "User:CN=worker"
    assert rights >= {
        ("Read", "topic", "eu.images", "literal"),
        ("Read", "topic", "moderation.policies", "literal"),
        ("Read", "group", "eu/moderation", "literal"),
        ("Write", "transactional-id", "eu%2Fmoderation/", "prefixed"),
    }


def test_commands_are_words_for_a_shell() -> None:
    lines = printed("--format", "commands", "--role", "publisher", "--principal", "User:CN=Ana, O=Trust").splitlines()
    assert lines[0] == (
        "kafka-acls.sh --add --allow-principal 'User:CN=Ana, O=Trust' --operation Read --topic moderation.policies"
    )
    assert len(lines) == len(role_named(Settings(), "publisher").rights)


def test_nobody_but_the_owner_creates_or_alters() -> None:
    changing = {Operation.CREATE, Operation.ALTER, Operation.ALTER_CONFIGS}
    assert {role.name for role in roles_of(Settings()) if changing & {each.operation for each in role.rights}} == {
        "owner"
    }


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(UsageError, match="`boss` is not a role; choose `worker`"):
        role_named(Settings(), "boss")
