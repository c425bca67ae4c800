"""Quantisation of a model bundle to an int8 engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.counted import counted
from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.events.policies import PolicySet
from pipeline.extras import models_extra
from pipeline.ingest.folder import list_files
from pipeline.models.engines.parity import Limits, Parity
from pipeline.models.whole_folder import require_new_folder
from pipeline.progress import NO_PROGRESS, Progress

MINIMUM_FILES = 2


@dataclass(frozen=True, slots=True)
class QuantisedModel:
    """The digest of an int8 bundle, and its comparison with the float32 bundle."""

    digest: str
    parity: Parity


def quantise_model(
    source: Path,
    folder: Path,
    images: Sequence[Path],
    policy_set: PolicySet,
    limits: Limits,
    progress: Progress = NO_PROGRESS,
) -> QuantisedModel:
    """
    Write the int8 engine of a bundle. Every other image sets its scales; both engines judge the others.

    Raises `UsageError`, and leaves nothing behind, when the engine exceeds `limits`.
    """
    with models_extra("engines"):
        from pipeline.models.engines.engine_bundle import Evidence, write_engine_bundle

    require_new_folder(folder)
    files = list_files(images)
    if len(files) < MINIMUM_FILES:
        raise UsageError("give at least two images: half of them set the scales, and the engines judge the other half")
    evidence = Evidence(files[::2], files[1::2], policy_set, limits)
    scales, judged = counted(len(evidence.calibration), "file"), len(evidence.held_out)
    progress.notify(f"int8 of `{source}`: scales from {scales}, checked on {judged}")
    manifest, parity = write_engine_bundle(
        Bundle.load(source), folder, "int8", evidence, small_texts=True, progress=progress
    )
    return QuantisedModel(manifest.digest, parity)
