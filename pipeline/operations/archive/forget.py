"""Deletion from the archive, by image or by age, of every byte of an embedding."""

from datetime import datetime

from pipeline.operations.workbench import Workbench


def delete_image(workbench: Workbench, content: str) -> int:
    """
    Delete every embedding of one image, of all models, and return the number deleted.

    `content` is the SHA-256 of the image's bytes. No other process may write to the archive meanwhile. Raises
    `ArchiveError` when the image is held.
    """
    deleted = workbench.archive.delete(content)
    workbench.archive.purge()
    return deleted


def expire_images(workbench: Workbench, before: datetime) -> int:
    """
    Delete every embedding that is older than `before` and not held, and return the number deleted.

    No other process may write to the archive meanwhile.
    """
    deleted = workbench.archive.expire(before)
    workbench.archive.purge()
    return deleted
