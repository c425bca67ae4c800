"""Fingerprints of training runs, so that no run continues from another's state."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.errors import UsageError
from pipeline.models.training.recipe import ImageRecipe, TextRecipe


def fingerprint(recipe: ImageRecipe | TextRecipe, *parts: object) -> str:
    """
    Return a digest of a recipe and its data: arrays by their values, everything else by its `repr`.

    Minutes and the number of ranks are left out, since a run may be continued for longer.
    """
    return digest_of(replace(recipe, schedule=replace(recipe.schedule, minutes=0, ranks=0)), *parts)


def digest_of(*parts: object) -> str:
    """Return a SHA-256 in hex. Pass inputs, not computed values, whose last bits depend on the machine."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()


def require_same(folder: Path, there: str | None, wanted: str) -> None:
    """Raise `UsageError` unless the fingerprint in a run's folder equals `wanted`."""
    if there != wanted:
        raise UsageError(
            f"`{folder}` contains a run with other data, captions or settings; "
            "give another folder with `--runs`, or leave out `--resume` to start over"
        )
