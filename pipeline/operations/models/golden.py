"""Golden file of a model bundle."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.models.golden import write_golden


@dataclass(frozen=True, slots=True)
class GoldenFileWritten:
    """A golden file: its model's digest, and the numbers of golden images and texts in it."""

    digest: str
    images: int
    texts: int


def write_golden_file(bundle: Path) -> GoldenFileWritten:
    """Compute the known results of a bundle in this process and write them beside its manifest."""
    golden = write_golden(bundle)
    return GoldenFileWritten(golden.model_digest, len(golden.images), len(golden.texts))
