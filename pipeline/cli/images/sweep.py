"""`watchword sweep`: the worst example in, everything like it out, and a policy that watches for more."""

import hashlib
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from ruamel.yaml import YAML

from pipeline.archive.search import Neighbour, nearest
from pipeline.cli.archive import open_archive
from pipeline.cli.console import output, plain_table, print_json, progress_output, require_format
from pipeline.cli.images.search_archive import shown
from pipeline.cli.times import since_of
from pipeline.counted import counted, plural
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.errors import OriginalGone, PolicyError, RecordFault, UsageError
from pipeline.evaluation.offline.embed import embed_readable
from pipeline.evaluation.search.groups import Group, grouped, mean_direction, merged
from pipeline.evaluation.stats.near_duplicates import HASHED_SIDE, difference_hash
from pipeline.ingest.decode import rgb, thumbnail
from pipeline.ingest.folder import list_files
from pipeline.operations.originals import open_originals
from pipeline.operations.restricted import Guard
from pipeline.policies.calibration_file import file_digest
from pipeline.policies.load import load_policy_set
from pipeline.policies.schema import HeadFile, head_name
from pipeline.settings import Settings, load_settings

MOST_NAMED = 3


def run_sweep(
    images: list[Path],
    *,
    since: str,
    least: float,
    top: int,
    policy_id: str | None,
    folder: Path,
    words: str | None,
    output_format: str,
) -> None:
    """Print what is like these images, in groups of copies, and write a shadow policy when one is named."""
    require_format(output_format, ("table", "jsonl"))
    settings = load_settings(Settings)
    bundle, archive = Bundle.load(settings.model), open_archive()
    encoder = LocalEncoder(bundle)
    files, vectors = embed_readable(list_files(images), encoder, bundle.pixels)
    start = since_of(since)
    guard = Guard(settings, encoder, "sweep")
    nearest_of = [nearest(archive, bundle.digest, vector, top, start) for vector in vectors]
    near = merged(nearest_of, least)
    found = shown(guard, archive, bundle.digest, near)
    groups = grouped(found, _hashes(settings, found))
    _print(groups, output_format)
    console = progress_output()
    console.print(
        f"found {counted(len(found), 'image')} in {counted(len(groups), 'group of copies')}, "
        f"like {len(files)} given {plural(len(files), 'image')}"
    )
    if any(len(each) == top and each[-1].cosine >= least for each in nearest_of):
        console.print(f"`--top {top}` was reached, so there may be more: give a larger one")
    if policy_id is not None:
        written = _write_policy(folder, policy_id, words, vectors, files, least, encoder)
        console.print(
            f"{written}: a shadow policy, provisional; see what it would flag with "
            f"`watchword policies backtest {folder}`, and label it with `watchword policies label {policy_id}`"
        )


def _hashes(settings: Settings, found: list[Neighbour]) -> dict[str, NDArray[np.bool_]]:
    hashes: dict[str, NDArray[np.bool_]] = {}
    gone = 0
    with open_originals(settings) as originals:
        for each in track(found, "looking for copies", console=progress_output(), transient=True):
            try:
                hashes[each.key] = difference_hash(
                    rgb(thumbnail(originals.fetch(each.key, each.content, each.reference), HASHED_SIDE))
                )
            except (OriginalGone, RecordFault):
                gone += 1
    if gone:
        progress_output().print(f"{counted(gone, 'image')} gone: copies of these are known by their bytes alone")
    return hashes


def _print(groups: list[Group], output_format: str) -> None:
    if output_format == "jsonl":
        for group in groups:
            print_json(_fields(group))
        return
    table = plain_table("cosine", "copies", "sources", "events")
    for group in groups:
        named = ", ".join(each.event_id for each in group.images[:MOST_NAMED])
        more = f" and {len(group.images) - MOST_NAMED} more" if len(group.images) > MOST_NAMED else ""
        table.add_row(f"{group.cosine:.3f}", str(len(group.images)), ", ".join(group.sources), named + more)
    output().print(table)


def _fields(group: Group) -> dict[str, Any]:
    images = [
        {"event": each.event_id, "source": each.source, "record": each.key, "content": each.content}
        for each in group.images
    ]
    return {"cosine": group.cosine, "copies": len(images), "images": images}


def _write_policy(
    folder: Path,
    policy_id: str,
    words: str | None,
    vectors: NDArray[np.float32],
    files: list[Path],
    least: float,
    encoder: LocalEncoder,
) -> Path:
    """Write a policy whose head scores by the cosine to the images' mean, and its head; check both."""
    path = folder / f"{policy_id.replace('.', '-')}.yaml"
    if path.exists() or (folder / head_name(policy_id)).exists():
        raise UsageError(f"`{policy_id}` is written already, in `{folder}`; name another")
    head = HeadFile(
        weights=[float(np.float32(weight)) for weight in mean_direction(vectors) * encoder.logit_scale],
        bias=0.0,
        model=encoder.model_digest,
        data=hashlib.sha256("".join(map(file_digest, files)).encode()).hexdigest(),
        average_precision=None,
    )
    head_path = head.save(folder, policy_id)
    text = StringIO()
    YAML().dump(_policy(policy_id, words, len(files), least, encoder), text)
    path.write_text(text.getvalue())
    try:
        load_policy_set(folder)
    except PolicyError:
        path.unlink()
        head_path.unlink()
        raise
    return path


def _policy(policy_id: str, words: str | None, images: int, least: float, encoder: LocalEncoder) -> dict[str, Any]:
    threshold = {"value": round(least * encoder.logit_scale, 3), "provisional": True, "model": encoder.model_digest}
    return {
        "id": policy_id,
        "title": words or f"Images like those of {policy_id}",
        "prompts": [words or "an image like those of the incident"],
        "score": "linear",
        "head": head_name(policy_id),
        "threshold": threshold,
        "severity": "high",
        "action": "review",
        "owner": "trust-and-safety",
        "mode": "shadow",
        "rationale": f"Written by a sweep from {counted(images, 'image')}.",
    }
