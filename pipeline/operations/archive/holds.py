"""Legal holds: images whose embeddings are neither deleted nor expired."""

from pipeline.operations.workbench import Workbench


def hold_image(workbench: Workbench, content: str, reason: str) -> int:
    """
    Hold an image's embeddings until `release_image`, and return their number.

    `content` is the SHA-256 of the image's bytes. Raises `ArchiveError` when the reason is empty.
    """
    return workbench.archive.hold(content, reason)


def release_image(workbench: Workbench, content: str) -> int:
    """End the hold on an image, and return the number of its embeddings."""
    return workbench.archive.release(content)
