"""`watchword dead-letters show`."""

from typing import Annotated

import typer

from pipeline.cli.session import session_of


def show(
    context: typer.Context,
    origin: Annotated[str, typer.Argument(help="Position of the input record, such as `images/0/12`.")],
    format: Annotated[  # noqa: A002 -- the option's name
        str, typer.Option(help="Output format: `text`, or `json` on one line.")
    ] = "text",
) -> None:
    """
    Show one dead letter in full: reason, headers, size, attempts, and what was done with it.

    The record's value is not shown; `dead-letters save` writes it to a file.

    Example: `watchword dead-letters show images/0/12`
    """
    from pipeline.cli.console import require_format
    from pipeline.cli.dead_letters.output import print_letter, print_letter_line
    from pipeline.operations.dead_letters.selection import origin_of
    from pipeline.operations.dead_letters.show import show_letters

    require_format(format, ("text", "json"))
    for letter in show_letters(session_of(context).workbench, origin_of(origin)):
        if format == "json":
            print_letter_line(letter)
        else:
            print_letter(letter)
