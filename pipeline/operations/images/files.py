"""Image files among the files and folders of a command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.ingest.folder import has_image_signature, list_files

# Names of images, among them formats that cannot be decoded: their files are reported, not skipped.
IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".ico", ".jfif", ".jpe", ".jpeg", ".jpg", ".jxl", ".png", ".svg"}
    | {".tif", ".tiff", ".webp"}
)


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Image files, and files of folders that are skipped because they are not images."""

    files: tuple[Path, ...]
    skipped: tuple[Path, ...]


def list_images(paths: Sequence[Path]) -> ImageFiles:
    """
    Return the named files, and images in the named folders: files with an image's first bytes or file name.

    A file that cannot be opened is not skipped. Raises `UsageError` for a path that does not exist.
    """
    files: list[Path] = []
    skipped: list[Path] = []
    named = set(paths)
    for path in paths:
        for file in list_files([path]):
            if file == path or _may_be_image(file):
                files.append(file)
            elif file not in named:
                skipped.append(file)
    return ImageFiles(tuple(files), tuple(skipped))


def _may_be_image(file: Path) -> bool:
    try:
        return file.suffix.lower() in IMAGE_SUFFIXES or has_image_signature(file)
    except OSError:
        return True
