"""What tells apart what training runs learn, so that none goes on from another's state."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.errors import UsageError
from pipeline.models.training.recipe import ImageRecipe, TextRecipe


def fingerprint(recipe: ImageRecipe | TextRecipe, *parts: object) -> str:
    """
    Return a digest of a recipe and of what it is learnt from: arrays by their values, all else by its `repr`.

    For how long and by how many ranks is left out: a run may go on for longer.
    """
    return digest_of(replace(recipe, schedule=replace(recipe.schedule, minutes=0, ranks=0)), *parts)


def digest_of(*parts: object) -> str:
    """Return a SHA-256 in hex. Give what was read, not what was computed: its last bits depend on the machine."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()


def require_same(folder: Path, there: str | None, wanted: str) -> None:
    """Raise `UsageError` unless the fingerprint of what is in a run's folder is the one wanted."""
    if there != wanted:
        raise UsageError(
            f"`{folder}` holds a run that learnt from other data, captions or settings; "
            "give another folder by `--runs`, or leave `--resume` out to begin anew"
        )
