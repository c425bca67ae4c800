"""`watchword policies test`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.session import session_of


def check_examples(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies"),
    policy: Annotated[str | None, typer.Option(help="Id of one policy to test.  [default: all]")] = None,
    junit: Annotated[Path | None, typer.Option(help="JUnit XML file to write as well.")] = None,
) -> None:
    """
    Test policies on their own examples. No server is needed.

    A policy lists images, as paths relative to its file, with the answer that it must give for each: `examples: [{
    image: examples/toy.jpg, flag: false, why: it is a toy }]`

    Exit codes: 0 every example passes, 1 an example fails, 2 an error.

    Example: `watchword policies test policies --junit policies.xml`
    """
    from pipeline.cli.console import output
    from pipeline.cli.policies.examples_output import failures, total, write_junit
    from pipeline.errors import UsageError
    from pipeline.operations.policies.examples import run_examples
    from pipeline.policies.load import read_folder

    started, console = time.monotonic(), output()
    results = run_examples(session_of(context).workbench, read_folder(folder), policy)
    if not results:
        owner = f"the policy `{policy}`" if policy else f"`{folder}`"
        raise UsageError(f"{owner} has no examples; a policy lists them under `examples`, an `image` and a `flag` each")
    for line in failures(results):
        console.print(line)
    console.print(total(results))
    if junit is not None:
        write_junit(junit, results, time.monotonic() - started)
    raise typer.Exit(int(not all(result.passed for result in results)))
