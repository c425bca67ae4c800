"""`watchword search` over the archive: the images nearest to a sentence, or to an image."""

import dataclasses
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.archive.dataset import Archive
from pipeline.archive.search import Neighbour, nearest
from pipeline.cli.archive import open_archive
from pipeline.cli.console import output, plain_table, print_json, progress_output, require_format
from pipeline.cli.times import since_of
from pipeline.counted import counted
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.errors import OriginalGone, RecordFault, UsageError
from pipeline.evaluation.offline.embed import embed_readable
from pipeline.ingest.decode import thumbnail
from pipeline.ingest.folder import list_files
from pipeline.ingest.originals import Originals
from pipeline.operations.originals import open_originals
from pipeline.operations.restricted import Guard
from pipeline.reports.gallery import Tile, write_gallery
from pipeline.reports.page import THUMBNAIL_SIDE
from pipeline.settings import Settings, load_settings


def run_archive_search(
    text: str | None, like: Path | None, *, since: str | None, top: int, output_format: str, html: Path | None
) -> None:
    """Print the archived images nearest to a sentence or an image, and write a page of those that can still be had."""
    require_format(output_format, ("table", "jsonl"))
    if (text is None) is (like is None):
        raise UsageError("say what to look for: a sentence, or an image with `--like`")
    settings = load_settings(Settings)
    bundle = Bundle.load(settings.model)
    encoder = LocalEncoder(bundle)
    vector = encoder.encode_texts([text])[0] if text is not None else _of_image(like, encoder, bundle)
    start = since_of(since) if since is not None else None
    archive, guard = open_archive(), Guard(settings, encoder, "search")
    found = shown(guard, archive, bundle.digest, nearest(archive, bundle.digest, vector, top, start))
    _print(found, output_format)
    if html is not None:
        what = f"“{text}”" if text is not None else str(like)
        small = _thumbnails(archive, bundle.digest, found)
        with open_originals(settings) as originals:
            tiles = [_tile(each, originals, small.get(each.key, b"")) for each in found]
        about = f"The nearest {counted(len(found), 'image')} of the archive, model {bundle.digest[:12]}."
        write_gallery(html, tiles, title=f"Nearest to {what}", about=about)


def shown(guard: Guard, archive: Archive, model: str, found: list[Neighbour]) -> list[Neighbour]:
    """Leave out what a restricted policy flags, and say how many that are."""
    withheld = guard.withheld(archive, model, [each.key for each in found])
    if withheld:
        progress_output().print(f"kept back, for a restricted policy flags them: {counted(len(withheld), 'image')}")
    return [each for each in found if each.key not in withheld]


def _of_image(file: Path | None, encoder: LocalEncoder, bundle: Bundle) -> NDArray[np.float32]:
    assert file is not None
    vector: NDArray[np.float32] = embed_readable(list_files([file]), encoder, bundle.pixels)[1][0]
    return vector


def _print(found: list[Neighbour], output_format: str) -> None:
    if output_format == "jsonl":
        for each in found:
            fields = {**dataclasses.asdict(each), "time": _rfc3339(each.time)}
            print_json(fields)
        return
    table = plain_table("cosine", "event", "source", "time", "record")
    for each in found:
        table.add_row(f"{each.cosine:.3f}", each.event_id, each.source, _rfc3339(each.time), each.key)
    output().print(table)


def _thumbnails(archive: Archive, model: str, found: list[Neighbour]) -> dict[str, bytes]:
    small: dict[str, bytes] = {}
    for batch in archive.of(model, "key", [each.key for each in found], ["key", "thumbnail"]):
        small |= dict(zip(batch.column("key").to_pylist(), batch.column("thumbnail").to_pylist(), strict=True))
    return small


def _tile(each: Neighbour, originals: Originals, small: bytes) -> Tile:
    lines: tuple[tuple[str, float | None], ...] = (
        (f"of {each.source}, {_rfc3339(each.time)}", None),
        ("cosine", each.cosine),
    )
    try:
        return Tile(
            each.event_id, thumbnail(originals.fetch(each.key, each.content, each.reference), THUMBNAIL_SIDE), lines
        )
    except (OriginalGone, RecordFault) as gone:
        progress_output().print(str(gone))
        if small:
            return Tile(each.event_id, small, (*lines, ("the archive's thumbnail: the image is gone", None)))
        return Tile(each.event_id, None, (*lines, ("no picture: it is gone", None)))


def _rfc3339(time: datetime) -> str:
    return f"{time.isoformat(timespec='milliseconds')}Z"
