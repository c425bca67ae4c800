"""`watchword sweep`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.images.options import FORMATS, Format, PicturesPage
from pipeline.cli.session import Session, session_of

if TYPE_CHECKING:
    from pipeline.operations.images.incident_policy import IncidentPolicy
    from pipeline.operations.images.sweep import Examples


def sweep(
    context: typer.Context,
    images: Annotated[list[Path], typer.Argument(help="The incident's worst images: files, and folders of images.")],
    since: Annotated[
        str, typer.Option(help="Start of the period: an age (`7d`, `12h`, `2w`) or a date (`2026-11-14`).")
    ] = "30d",
    min_similarity: Annotated[
        float,
        typer.Option("--min-similarity", "--least", min=0, max=1, help="Minimum cosine similarity to a given image."),
    ] = 0.8,
    top: Annotated[int, typer.Option(min=1, help="Number of nearest images to examine for each given image.")] = 500,
    policy: Annotated[str | None, typer.Option(help="Id of a shadow policy to write as well.")] = None,
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files, for the new policy.")] = Path(
        "policies"
    ),
    description: Annotated[
        str | None,
        typer.Option("--description", "--words", help="Description of the images for people."),
    ] = None,
    output_format: Format = "table",
    html: PicturesPage = None,
) -> None:
    """
    Find archived images similar to an incident's images, in groups of copies.

    Images that a restricted policy flags are left out. `--policy` writes a provisional policy that scores images by
    nearness to the given ones. The policy flags nothing until you promote it.

    Example: `watchword sweep worst.jpg --since 30d --policy incident.no_12 --description "a counterfeit banknote"`
    """
    from pipeline.cli.console import require_format
    from pipeline.cli.times import since_of
    from pipeline.extras import models_extra
    from pipeline.reports.page import THUMBNAIL_SIDE

    with models_extra("archive"):
        from pipeline.cli.images.sweep_output import notices, print_groups, write_groups
        from pipeline.operations.images.incident_policy import IncidentPolicy
        from pipeline.operations.images.sweep import SweepRequest, sweep_archive

    require_format(output_format, FORMATS)
    session = session_of(context)
    side = None if html is None else THUMBNAIL_SIDE
    request = SweepRequest(tuple(images), since_of(since), min_similarity, top, side)
    found = sweep_archive(session.workbench, request)
    print_groups(found, output_format)
    for notice in notices(found, request):
        session.progress.notify(notice)
    if html is not None:
        write_groups(html, found, request)
    if policy is not None:
        _write_policy(session, IncidentPolicy(policy, folder, description, min_similarity), found.examples)


def _write_policy(session: Session, policy: "IncidentPolicy", examples: "Examples") -> None:
    from pipeline.cli.images.sweep_output import next_steps
    from pipeline.operations.images.incident_policy import write_incident_policy

    written = write_incident_policy(session.workbench, policy, examples)
    session.progress.notify(next_steps(policy, written, session.settings.policies))
