"""`watchword models parity` and `quantise`: what an engine changes, for people and for scripts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from pipeline.cli.console import (
    output,
    plain_table,
    print_json,
    progress_output,
    require_format,
    require_new_folder,
)
from pipeline.cli.transition import note_access
from pipeline.counted import counted, plural
from pipeline.encode.bundle import Bundle
from pipeline.encode.triton import TritonEncoder
from pipeline.errors import EncoderFault, UsageError
from pipeline.evaluation.offline.embed import BATCH
from pipeline.extras import models_extra
from pipeline.ingest.folder import list_files
from pipeline.models.engines.parity import Limits, Parity, compare
from pipeline.policies.load import load_policy_set

MOST_FLIPS = 20
LEAST_FILES = 2
TRITON_TIMEOUT_S = 60.0


def run_parity(
    reference: Path,
    candidate: Path,
    images: list[Path],
    policies: Path,
    limits: Limits,
    *,
    triton: str | None,
    output_format: str,
) -> int:
    """Compare and print; returns the exit code."""
    require_format(output_format, ("table", "json"))
    files, policy_set = list_files(images), load_policy_set(policies)
    note_access(policy_set.policies, "models parity")
    bundle = Bundle.load(candidate)
    try:
        with _served(bundle, triton) as served:
            found = compare(Bundle.load(reference), bundle, files, policy_set, served=served)
    except EncoderFault as fault:
        raise UsageError(f"`--triton {triton}`: {fault}") from fault
    refusals = found.refusals(limits)
    if output_format == "json":
        fields = {**asdict(found), "flip_rates": found.flip_rates(), "refusals": refusals}
        print_json(fields)
    else:
        print_table(found)
        for line in refusals or ["the candidate may be used"]:
            output().print(line)
    return 1 if refusals else 0


def run_quantise(source: Path, folder: Path, images: list[Path], policies: Path, limits: Limits) -> None:
    """Write the int8 bundle and say how near it is."""
    with models_extra("engines"):
        from pipeline.models.engines.engine_bundle import Evidence, write_engine_bundle

    require_new_folder(folder)
    files = list_files(images)
    if len(files) < LEAST_FILES:
        raise UsageError("name two images at least: half of them fix the scales, the other half is judged")
    progress_output().print(
        f"int8 of `{source}`: scales from {counted(len(files[::2]), 'file')}, checked on {len(files[1::2])}"
    )
    evidence = Evidence(files[::2], files[1::2], load_policy_set(policies), limits)
    manifest, found = write_engine_bundle(Bundle.load(source), folder, "int8", evidence, small_texts=True)
    print_table(found)
    output().print(f"`{folder}`: model {manifest.digest}")


@contextmanager
def _served(bundle: Bundle, url: str | None) -> Iterator[TritonEncoder | None]:
    """Connect to the Triton that serves the bundle, when there is one to ask."""
    if url is None:
        yield None
        return
    encoder = TritonEncoder(
        bundle,
        url,
        timeout_s=TRITON_TIMEOUT_S,
        batch_size=BATCH,
        slots=1,
        shared_memory="off",
        on_error=lambda _: None,
    )
    try:
        encoder.check()
        yield encoder
    finally:
        encoder.close()


def print_table(found: Parity) -> None:
    """Say which verdicts flip, and how near the embeddings are."""
    console, table = output(), plain_table("policy", "flips", "share of images")
    counts = found.flip_counts()
    for policy, rate in found.flip_rates().items():
        table.add_row(policy, str(counts[policy]), f"{rate:.2%}")
    console.print(table)
    for flip in found.flips[:MOST_FLIPS]:
        scores = f"{flip.reference_score:.3f} -> {flip.candidate_score:.3f}"
        console.print(f"{flip.policy_id}: {flip.file}: {scores}, threshold {flip.threshold:.3f}")
    if len(found.flips) > MOST_FLIPS:
        console.print(f"and {len(found.flips) - MOST_FLIPS} more {plural(len(found.flips) - MOST_FLIPS, 'flip')}")
    console.print(
        f"{counted(found.images, 'image')}, {found.unreadable} unreadable; cosine min {found.cosine_min:.4f}, "
        f"p1 {found.cosine_p1:.4f}, median {found.cosine_median:.4f}; texts min {found.text_cosine_min:.4f}; "
        f"from batch to batch {found.batch_difference:.1e}"
    )
    if found.unfit:
        console.print(
            f"thresholds of {len(found.unfit)} of {counted(len(found.policies), 'policy')} were fitted for another "
            "model: a policy that flags nothing cannot flip, so judge with `--policies` fitted for this one as well"
        )
