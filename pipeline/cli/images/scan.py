"""`watchword scan`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.images.options import FORMATS, Format, Images, Model
from pipeline.cli.session import session_of
from pipeline.counted import counted

if TYPE_CHECKING:
    from pipeline.cli.images.scan_output import ScanTally
    from pipeline.operations.images.scan import Scan


def scan(
    context: typer.Context,
    paths: Images,
    policies: Annotated[Path | None, typer.Option(help="Folder of policy files.  [default: policies]")] = None,
    output_format: Format = "table",
    html: Annotated[Path | None, typer.Option(help="HTML report to write as well.")] = None,
    model: Model = None,
) -> None:
    """
    Judge image files on this machine, without Kafka or a server.

    In a folder, files that are not images are skipped. A file that you name is always judged.

    Exit codes: 0 nothing was flagged, 1 something was flagged, 2 an error, or nothing was flagged and some file could
    not be judged.

    Examples: `watchword scan samples/images/revolver` · `watchword scan . --format jsonl | jq .flags` ·
    `watchword scan uploads --html report.html`
    """
    from pipeline.cli.console import require_format
    from pipeline.cli.images.scan_output import ScanTally
    from pipeline.operations.images.scan import scan_files
    from pipeline.policies.load import load_policy_set
    from pipeline.reports.page import THUMBNAIL_SIDE

    require_format(output_format, FORMATS)
    session = session_of(context)
    policy_set = load_policy_set(policies or session.settings.policies)
    side = None if html is None else THUMBNAIL_SIDE
    found = scan_files(session.workbench.with_model(model), paths, policy_set, thumbnail_side=side)
    if found.skipped:
        session.progress.notify(f"skipped {_not_images(len(found.skipped))}")
    tally = ScanTally(as_lines=output_format == "jsonl", with_cards=html is not None)
    for each in found.results:
        tally.note(each)
    if output_format == "table":
        tally.print_table()
    if notice := tally.shadow_notice():
        session.progress.notify(notice)
    if html is not None:
        _write_report(html, paths, found, tally)
    raise typer.Exit(tally.exit_code())


def _not_images(count: int) -> str:
    return f"{counted(count, 'file')} that {'is not an image' if count == 1 else 'are not images'}"


def _write_report(html: Path, paths: list[Path], found: "Scan", tally: "ScanTally") -> None:
    from pipeline.reports.scan import About, write_report

    where = ", ".join(map(str, paths))
    about = About(where, images=len(found.files), policy_set=found.policy_set_digest, model=found.model_digest)
    write_report(html, tally.cards(), about)
