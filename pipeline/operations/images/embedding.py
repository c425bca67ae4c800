"""Embeddings of image files, with a notice for each unreadable one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.evaluation.offline.embed import Embedded, embed_files
from pipeline.ingest.folder import list_files, unreadable_reason
from pipeline.operations.workbench import Workbench
from pipeline.visible import one_line


@dataclass(frozen=True, slots=True)
class EmbeddedFiles:
    """Readable files with their embeddings, float32 [N, D], unit length, and the number of unreadable files."""

    files: tuple[Path, ...]
    embeddings: NDArray[np.float32]
    unreadable: int


def embed_images(workbench: Workbench, paths: Sequence[Path], doing: str) -> EmbeddedFiles:
    """
    Embed files, and all files in folders at any depth; `doing` names the work, for example "searching".

    Raises `UsageError` when no file is a readable image.
    """
    readable, unreadable = _opened(workbench, list_files(paths))
    found: list[Embedded] = []
    outcomes = embed_files(readable, workbench.encoder, workbench.bundle.pixels, workbench.settings.image_limits)
    for outcome in workbench.progress.track(outcomes, doing, len(readable)):
        if isinstance(outcome, Embedded):
            found.append(outcome)
        else:
            unreadable += 1
            _notify(workbench, outcome.file, outcome.reason)
    if not found:
        raise UsageError("no images found; give image files, or folders with images")
    return EmbeddedFiles(tuple(each.file for each in found), np.stack([each.embedding for each in found]), unreadable)


def _opened(workbench: Workbench, files: Sequence[Path]) -> tuple[list[Path], int]:
    """Return the files that can be opened, and the number of those that cannot, with a notice for each."""
    readable: list[Path] = []
    for file in files:
        if reason := unreadable_reason(file):
            _notify(workbench, file, reason)
        else:
            readable.append(file)
    return readable, len(files) - len(readable)


def _notify(workbench: Workbench, file: Path, reason: str) -> None:
    workbench.progress.notify(f"`{one_line(file)}`: {one_line(reason)}")
