"""Output of comparisons of two engines: the flips, the cosines, and the reasons for a refusal."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console

from pipeline.cli.console import output, plain_table, print_json
from pipeline.counted import counted, plural
from pipeline.models.engines.parity import Parity

MOST_FLIPS = 20


def print_result(found: Parity, refusals: Sequence[str], output_format: str) -> None:
    """Print a comparison and its refusals, as a table or as JSON."""
    if output_format == "json":
        print_json({**asdict(found), "flip_rates": found.flip_rates(), "refusals": list(refusals)})
        return
    print_parity(found)
    for line in refusals or ["the candidate may be used"]:
        output().print(line)


def print_parity(found: Parity) -> None:
    """Print a comparison as a table, with the first flips and the cosines."""
    console, table = output(), plain_table("policy", "flips", "share of images")
    counts = found.flip_counts()
    for policy, rate in found.flip_rates().items():
        table.add_row(policy, str(counts[policy]), f"{rate:.2%}")
    console.print(table)
    _print_flips(console, found)
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


def _print_flips(console: Console, found: Parity) -> None:
    for flip in found.flips[:MOST_FLIPS]:
        scores = f"{flip.reference_score:.3f} -> {flip.candidate_score:.3f}"
        console.print(f"{flip.policy_id}: {flip.file}: {scores}, threshold {flip.threshold:.3f}")
    if (more := len(found.flips) - MOST_FLIPS) > 0:
        console.print(f"and {more} more {plural(more, 'flip')}")
