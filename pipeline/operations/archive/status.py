"""Status of the archive: embeddings by model, and legal holds."""

from dataclasses import dataclass

from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class ModelEmbeddings:
    """Number of archived embeddings of one model."""

    model_digest: str
    count: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold on one image, by the digest of its bytes."""

    content: str
    reason: str


@dataclass(frozen=True, slots=True)
class ArchiveStatus:
    """Embeddings by model, and every hold."""

    models: tuple[ModelEmbeddings, ...]
    holds: tuple[Hold, ...]


def archive_status(workbench: Workbench) -> ArchiveStatus:
    """Return the archive's status. Raises `StoreFault`."""
    archive = workbench.archive
    return ArchiveStatus(
        tuple(ModelEmbeddings(model, archive.count(model)) for model in archive.models()),
        tuple(Hold(held.content, held.reason) for held in archive.holds()),
    )
