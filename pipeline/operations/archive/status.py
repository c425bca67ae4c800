"""Status of the archive: the number of embeddings of each model, and the legal holds."""

from dataclasses import dataclass

from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class ModelEmbeddings:
    """Number of archived embeddings of one model."""

    model_digest: str
    count: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold on one image, which is identified by the digest of its bytes."""

    content: str
    reason: str


@dataclass(frozen=True, slots=True)
class ArchiveStatus:
    """Numbers of embeddings by model, and all legal holds."""

    models: tuple[ModelEmbeddings, ...]
    holds: tuple[Hold, ...]


def archive_status(workbench: Workbench) -> ArchiveStatus:
    """Return the archive's status. Raises `StoreFault`."""
    archive = workbench.archive
    return ArchiveStatus(
        tuple(ModelEmbeddings(model, archive.count(model)) for model in archive.models()),
        tuple(Hold(held.content, held.reason) for held in archive.holds()),
    )
