"""`watchword policies`: look after the policy files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

# As in pipeline.judge.json_schema, which is imported only when it is run.
FileKind = Literal["policy", "shared", "background"]

app = typer.Typer(help="Look after policy files.", no_args_is_help=True)


@app.command()
def check(folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies")) -> None:
    """
    Read a folder of policies and say what is wrong, as file:line:column.

    Example: `watchword policies check policies`
    """
    from pipeline.judge.load import load_policy_set

    policy_set = load_policy_set(folder)
    for policy in policy_set.policies:
        note = " (provisional)" if policy.provisional else ""
        typer.echo(f"{policy.id:28}{policy.mode.value:9}{policy.score.value:11} {policy.threshold:8.3f}{note}")
    typer.echo(f"policy set {policy_set.digest}")


@app.command()
def lint(
    folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies"),
    format: Annotated[str, typer.Option(help="`text`, `json`, `sarif` or `github`.")] = "text",  # noqa: A002 -- the option's name
) -> None:
    """
    Say what the model will get wrong about policies: negation, texts cut short, words it hardly knows, duplicates.

    The model is `WATCHWORD_MODEL`. A policy silences a rule with a reason: `silence: { negation: a brand's name }`.

    Exit codes: 0 nothing but notes, 1 errors or warnings, 2 the folder cannot be read.

    Example: `watchword policies lint policies --format github`
    """
    from pipeline.commands.lint import run_lint

    raise typer.Exit(run_lint(folder, format))


@app.command(name="test")
def try_examples(
    folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies"),
    policy: Annotated[str | None, typer.Option(help="Only this policy's examples.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write the results as JUnit's XML.")] = None,
) -> None:
    """
    Try policies on their own examples, with the encoder in process.

    A policy lists images beside its file and what it must say of them:
    `examples: [{ image: examples/toy.jpg, flag: false, why: it is a toy }]`

    Exit codes: 0 every policy says what it must, 1 one does not, 2 error.

    Example: `watchword policies test policies --junit policies.xml`
    """
    from pipeline.commands.examples import run_examples

    raise typer.Exit(run_examples(folder, only=policy, junit=junit))


@app.command()
def schema(
    file: Annotated[
        FileKind, typer.Option(help="Which file: a policy's, `shared.yaml` or `background.yaml`.")
    ] = "policy",
) -> None:
    """
    Print the JSON Schema of policy files, for editors to complete and check by.

    Example: `watchword policies schema > policy.schema.json`, and as a policy's first line
    `# yaml-language-server: $schema=policy.schema.json`
    """
    from pipeline.commands.reference import schema_page

    typer.echo(schema_page(file), nl=False)


@app.command()
def measure(
    folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies"),
    data: Annotated[Path, typer.Option(help="Folder with labels.csv and policy_labels.yaml.")] = Path("samples"),
    split: Annotated[str, typer.Option(help="Which split; `test` is for final figures only.")] = "val",
) -> None:
    """
    Say how each policy does on labelled photographs, and which threshold has the best F1.

    Example: `watchword policies measure policies --data samples --split val`
    """
    from pipeline.commands.measure import run_measure

    run_measure(folder, data, split)
