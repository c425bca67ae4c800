"""Output of a sweep: a table or JSON lines, a page of pictures, and notices that say what to do next."""

import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.cli.console import output, plain_table, print_json
from pipeline.cli.images.archive_output import tile, withheld_notice
from pipeline.counted import counted, plural
from pipeline.evaluation.search.groups import Group
from pipeline.operations.images.incident_policy import IncidentPolicy, WrittenPolicy
from pipeline.operations.images.pictures import Picture
from pipeline.operations.images.sweep import Sweep, SweepRequest
from pipeline.reports.gallery import Tile, write_gallery

MOST_NAMED = 3
# A proposed minimum similarity is a multiple of 1 / 20.
STEPS = 20


def print_groups(found: Sweep, output_format: str) -> None:
    """Print the groups of copies, the nearest first."""
    if output_format == "jsonl":
        for group in found.groups:
            print_json(_fields(group))
        return
    table = plain_table("cosine", "copies", "sources", "events")
    for group in found.groups:
        table.add_row(f"{group.cosine:.3f}", str(len(group.images)), ", ".join(group.sources), _events(group))
    output().print(table)


def write_groups(path: Path, found: Sweep, request: SweepRequest) -> None:
    """Write the page: one picture for each group of copies."""
    examples = [file.name for file in found.examples.files]
    more = f" and {len(examples) - 1} more" if len(examples) > 1 else ""
    about = f"{_counts(found)}, with a cosine of at least {request.min_similarity:g}."
    tiles = [_tile(group, found.pictures) for group in found.groups]
    write_gallery(path, tiles, title=f"Like {examples[0]}{more}", about=about)


def notices(found: Sweep, request: SweepRequest) -> Iterator[str]:
    """Yield the counts, and the options that would find more images."""
    if found.withheld:
        yield withheld_notice(found.withheld)
    if found.groups:
        examples = len(found.examples.files)
        yield f"found {_counts(found)}, like {examples} given {plural(examples, 'image')}"
    if found.only_examples:
        yield _nothing_else(found, request.min_similarity)
    if found.top_reached:
        yield f"`--top {request.top}` was reached, so there may be more images: try a larger number"


def next_steps(policy: IncidentPolicy, written: WrittenPolicy, policies: Path) -> str:
    """Return the notice about a written policy; `policies` is the policy folder in the settings."""
    folder = shlex.quote(str(policy.folder))
    wrote = f"wrote `{written.file}`, a provisional shadow policy"
    label = f"label its images with `watchword policies label {policy.id} --policies {folder}`"
    if not written.alone:
        return f"{wrote}; see what it would flag with `watchword policies backtest {folder}`, and {label}"
    if policy.folder.resolve() == policies.resolve():
        return f"{wrote}; {label}"
    target = shlex.quote(str(policies))
    together = f"cp -r {folder}/. {target} && watchword policies backtest {target}"
    alone = f"{wrote}, alone in `{policy.folder}`"
    return f"{alone}; see its effect together with the other policies with `{together}`, and {label}"


def _nothing_else(found: Sweep, min_similarity: float) -> str:
    nothing = f"nothing {'else ' if found.groups else ''}over {min_similarity:g}"
    if not found.nearest_below:
        return nothing
    cosines = ", ".join(f"{cosine:.2f}" for cosine in found.nearest_below)
    lower = max(0, math.floor(found.nearest_below[0] * STEPS)) / STEPS
    if len(found.nearest_below) == 1:
        return f"{nothing}; the nearest other image is at {cosines}: try `--min-similarity {lower:g}`"
    return f"{nothing}; the nearest others are at {cosines}: try `--min-similarity {lower:g}`"


def _counts(found: Sweep) -> str:
    return f"{counted(found.images, 'image')} in {counted(len(found.groups), 'group of copies')}"


def _events(group: Group) -> str:
    named = ", ".join(each.event_id for each in group.images[:MOST_NAMED])
    return named + (f" and {len(group.images) - MOST_NAMED} more" if len(group.images) > MOST_NAMED else "")


def _tile(group: Group, pictures: Mapping[str, Picture]) -> Tile:
    """Return a group's tile, with the picture of the nearest image that has one."""
    known = [pictures[each.key] for each in group.images]
    picture = next((each for each in known if each.jpeg is not None), known[0])
    copies = f"{counted(len(group.images), 'image')} from {', '.join(group.sources)}"
    return tile(_events(group), picture, ("cosine", group.cosine), (copies, None))


def _fields(group: Group) -> Mapping[str, Any]:
    images = [
        {"event": each.event_id, "source": each.source, "record": each.key, "content": each.content}
        for each in group.images
    ]
    return {"cosine": group.cosine, "copies": len(images), "images": images}
