"""`watchword topics acls`."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of

if TYPE_CHECKING:
    from pipeline.operations.topics.acls import Role


def acls(
    context: typer.Context,
    role: Annotated[str | None, typer.Option(help="Only this role, for example `worker`.")] = None,
    principal: Annotated[
        str, typer.Option(help="Kafka principal of a role; `{role}` stands for the role's name.")
    ] = "User:watchword-{role}",
    format: Annotated[  # noqa: A002 -- the option's name
        str, typer.Option(help="Output format: `table`, `json`, or `commands` for `kafka-acls.sh`.")
    ] = "table",
) -> None:
    """
    Print the least rights that each role needs, for the topics and the group of the settings. Nothing is connected.

    Examples: `watchword topics acls --role worker` ·
    `watchword topics acls --format commands | sed 's/$/ --bootstrap-server HOST:9092/' | sh`
    """
    from pipeline.cli.console import print_json, require_format
    from pipeline.operations.topics.acls import role_named, roles_of

    require_format(format, ("table", "json", "commands"))
    settings = session_of(context).settings
    roles = roles_of(settings) if role is None else (role_named(settings, role),)
    if format == "json":
        print_json([_fields(each, principal) for each in roles], indent=2)
    elif format == "commands":
        _print_commands(roles, principal)
    else:
        _print_table(roles)


def _print_commands(roles: "Sequence[Role]", principal: str) -> None:
    from pipeline.operations.topics.acls import acl_commands

    for role in roles:
        for words in acl_commands(role, _named(principal, role)):
            typer.echo(shlex.join(words))


def _print_table(roles: "Sequence[Role]") -> None:
    from pipeline.cli.console import output, plain_table

    table = plain_table("role", "operation", "on", "name")
    for role in roles:
        for right in role.rights:
            table.add_row(role.name, right.operation.value, right.resource.value, right.name + "*" * right.prefixed)
    output().print(table)


def _fields(role: "Role", principal: str) -> dict[str, object]:
    return {
        "role": role.name,
        "job": role.job,
        "principal": _named(principal, role),
        "rights": [
            {
                "operation": right.operation.value,
                "resource": right.resource.value,
                "name": right.name,
                "pattern": "prefixed" if right.prefixed else "literal",
            }
            for right in role.rights
        ],
    }


def _named(principal: str, role: "Role") -> str:
    return principal.replace("{role}", role.name)
