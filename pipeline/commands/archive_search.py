"""`watchword search` over the archive: the images nearest to a sentence, or to an image."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.archive.dataset import Archive
from pipeline.archive.search import Neighbour, nearest
from pipeline.broker.reader import PlaceReader
from pipeline.commands.access import note_access
from pipeline.commands.archive import open_archive
from pipeline.commands.console import output, plain_table, progress_output, require_format
from pipeline.commands.publish import judging_set
from pipeline.commands.times import since_of
from pipeline.emit.gallery import Tile, write_gallery
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import OriginalGone, RecordFault, UsageError
from pipeline.evaluate.archived import COLUMNS, part_of
from pipeline.evaluate.comparison import answers_of
from pipeline.evaluate.embed import embed_readable
from pipeline.ingest.decode import thumbnail
from pipeline.ingest.fetch import Fetcher
from pipeline.judge.score import Judge
from pipeline.settings import Settings, load_settings
from pipeline.stream.build import fetch_rules
from pipeline.stream.originals import Originals
from pipeline.stream.topics import connection_of

THUMBNAIL_SIDE = 320


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
    archive = open_archive()
    found = nearest(archive, bundle.digest, vector, top, start)
    _print(found, output_format)
    if html is not None:
        what = f"“{text}”" if text is not None else str(like)
        kept_back = _kept_back(settings, archive, encoder, found)
        small = _thumbnails(archive, bundle.digest, found)
        with open_originals(settings) as originals:
            tiles = [
                _tile(each, None if each.key in kept_back else originals, small.get(each.key, b"")) for each in found
            ]
        about = f"The {len(found)} archived images nearest to it, model {bundle.digest[:12]}."
        write_gallery(html, tiles, title=f"Nearest to {what}", about=about)


@contextmanager
def open_originals(settings: Settings) -> Iterator[Originals]:
    """Hold what fetches the images of archived embeddings, by the settings' broker and rules for references."""
    with closing(PlaceReader(connection_of(settings))) as reader, closing(Fetcher(fetch_rules(settings))) as fetcher:
        yield Originals(reader, fetcher)


def _of_image(file: Path | None, encoder: LocalEncoder, bundle: Bundle) -> NDArray[np.float32]:
    assert file is not None
    vector: NDArray[np.float32] = embed_readable([file], encoder, bundle.pixels)[1][0]
    return vector


def _print(found: list[Neighbour], output_format: str) -> None:
    console = output()
    if output_format == "jsonl":
        for each in found:
            fields = {**dataclasses.asdict(each), "time": _rfc3339(each.time)}
            console.print(json.dumps(fields, ensure_ascii=False), markup=False)
        return
    table = plain_table("cosine", "event", "source", "time", "record")
    for each in found:
        table.add_row(f"{each.cosine:.3f}", each.event_id, each.source, _rfc3339(each.time), each.key)
    console.print(table, markup=False)


def _kept_back(settings: Settings, archive: Archive, encoder: LocalEncoder, found: list[Neighbour]) -> set[str]:
    """Return the records of images that a restricted policy flags."""
    policy_set = judging_set(settings)
    restricted = note_access(policy_set.policies if policy_set else (), "search")
    if policy_set is None or not restricted:
        return set()
    judge, keys = Judge(build_prompt_bank(policy_set, encoder)), set[str]()
    for batch in archive.of(encoder.model_digest, "key", [each.key for each in found], ["key", *COLUMNS]):
        said = answers_of(judge, part_of(batch))
        flagged = np.any([said.flags(each) for each in restricted], axis=0)
        keys |= {batch.column("key")[int(place)].as_py() for place in np.flatnonzero(flagged)}
    return keys


def _thumbnails(archive: Archive, model: str, found: list[Neighbour]) -> dict[str, bytes]:
    small: dict[str, bytes] = {}
    for batch in archive.of(model, "key", [each.key for each in found], ["key", "thumbnail"]):
        small |= dict(zip(batch.column("key").to_pylist(), batch.column("thumbnail").to_pylist(), strict=True))
    return small


def _tile(each: Neighbour, originals: Originals | None, small: bytes) -> Tile:
    lines: tuple[tuple[str, float | None], ...] = (
        (f"of {each.source}, {_rfc3339(each.time)}", None),
        ("cosine", each.cosine),
    )
    if originals is None:
        return Tile(each.event_id, None, (*lines, ("not shown: a restricted policy flags it", None)))
    try:
        return Tile(each.event_id, thumbnail(originals.fetch(each.key, each.content, each.reference), THUMBNAIL_SIDE), lines)
    except (OriginalGone, RecordFault) as gone:
        progress_output().print(str(gone), markup=False)
        if small:
            return Tile(each.event_id, small, (*lines, ("the archive's thumbnail: the image is gone", None)))
        return Tile(each.event_id, None, (*lines, ("no picture: it is gone", None)))


def _rfc3339(time: datetime) -> str:
    return f"{time.isoformat(timespec='milliseconds')}Z"
