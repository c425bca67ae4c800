"""Proof of the int8 engine: its figures on `test`, which made neither model."""

from collections.abc import Callable
from pathlib import Path

from pipeline.encode.bundle import Bundle
from pipeline.evaluation.datasets.labels_csv import read_labels
from pipeline.models.captions import BUNDLED_TABLE, Captions
from pipeline.models.engines.engine_bundle import Evidence, write_engine_bundle
from pipeline.models.engines.parity import Limits
from pipeline.models.training.card import Held
from pipeline.policies.load import load_policy_set
from pipeline.settings import BUNDLED_MODEL
from tests.support.stream import REPOSITORY

MOST_LOST = 0.005


def prove_int8(folder: Path, say: Callable[[str], None]) -> bool:
    """Each figure with a required minimum falls by at most half a point."""
    samples, bundle = REPOSITORY / "samples", Bundle.load(BUNDLED_MODEL)
    calibration, held_out = (
        [row.path for row in read_labels(samples / "labels.csv", split)] for split in ("val", "test")
    )
    evidence = Evidence(calibration, held_out, load_policy_set(REPOSITORY / "policies"), Limits())
    write_engine_bundle(bundle, folder / "int8", "int8", evidence)
    captions = Captions.load(BUNDLED_TABLE)
    shipped, engine = (Held.measure(samples, each, captions, "test") for each in (bundle, Bundle.load(folder / "int8")))
    found = {
        "top-1": (shipped.figures.top1, engine.figures.top1),
        "mean average precision": (shipped.figures.mean_ap, engine.figures.mean_ap),
        "paraphrases": (shipped.reworded_ap, engine.reworded_ap),
    }
    for name, (before, after) in found.items():
        say(f"int8: {name} {before:.4f} in float32, {after:.4f} in int8")
    return all(after >= before - MOST_LOST for before, after in found.values())
