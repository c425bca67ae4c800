"""Maintenance of the archive: compaction, and the index for search."""

from dataclasses import dataclass

from pipeline.archive.search import index
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class IndexedModel:
    """A model, and whether its embeddings were indexed: few embeddings are searched faster without an index."""

    model_digest: str
    indexed: bool


def compact_archive(workbench: Workbench) -> None:
    """Merge small files, and remove files that are no longer needed. Raises `StoreFault`."""
    workbench.archive.compact()


def index_archive(workbench: Workbench) -> tuple[IndexedModel, ...]:
    """Rebuild the index of each model that has enough embeddings. Raises `StoreFault`."""
    archive = workbench.archive
    return tuple(IndexedModel(model, index(archive, model)) for model in archive.models())
