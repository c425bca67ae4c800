"""`watchword policies schema`."""

from typing import Annotated, Literal

import typer

# The types of pipeline.policies.json_schema, which is imported when the command runs.
FileKind = Literal["policy", "shared", "background"]


def schema(
    file: Annotated[
        FileKind, typer.Option(help="Kind of file: a policy's, `shared.yaml` or `background.yaml`.")
    ] = "policy",
) -> None:
    """
    Print the JSON Schema of policy files. Editors use it to complete and check them.

    Example: `watchword policies schema > policy.schema.json`, and as a policy's first line
    `# yaml-language-server: $schema=policy.schema.json`
    """
    from pipeline.cli.reference import schema_page

    typer.echo(schema_page(file), nl=False)
