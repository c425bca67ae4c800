"""Pictures of archived images: from the original where it is still available, else from the archive's thumbnail."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.archive.search import Neighbour
from pipeline.errors import OriginalGone, RecordFault
from pipeline.ingest.decode import thumbnail
from pipeline.operations.originals import open_originals
from pipeline.operations.workbench import Workbench


class PictureSource(StrEnum):
    """Source of a picture."""

    ORIGINAL = "original"
    ARCHIVE = "archive"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as JPEG; None where neither the original nor a thumbnail is available."""

    jpeg: bytes | None
    source: PictureSource


@dataclass(frozen=True, slots=True)
class Original:
    """An archived image with its bytes; None, with the reason, when they are no longer available."""

    image: Neighbour
    content: bytes | None
    problem: str = ""


def fetch_originals(workbench: Workbench, images: Sequence[Neighbour], doing: str) -> Iterator[Original]:
    """Yield the original of each archived image, in order. Raises `BrokerFault`."""
    with open_originals(workbench.settings) as originals:
        for image in workbench.progress.track(images, doing, len(images)):
            try:
                yield Original(image, originals.fetch(image.key, image.content, image.reference))
            except (OriginalGone, RecordFault) as gone:
                yield Original(image, None, str(gone))


def archived_thumbnails(workbench: Workbench, images: Sequence[Neighbour]) -> Mapping[str, bytes]:
    """Return the archive's thumbnails by record; empty bytes where the archive has none."""
    found: dict[str, bytes] = {}
    keys = [image.key for image in images]
    for batch in workbench.archive.of(workbench.bundle.digest, "key", keys, ["key", "thumbnail"]):
        found |= dict(zip(batch.column("key").to_pylist(), batch.column("thumbnail").to_pylist(), strict=True))
    return found


def picture_of(original: Original, archived: bytes, side: int) -> Picture:
    """Return a picture at most `side` pixels wide and high, or else the thumbnail `archived` unless it is empty."""
    if original.content is not None:
        try:
            return Picture(thumbnail(original.content, side), PictureSource.ORIGINAL)
        except RecordFault:
            pass
    return Picture(archived, PictureSource.ARCHIVE) if archived else Picture(None, PictureSource.NONE)
