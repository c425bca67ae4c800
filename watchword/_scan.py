"""Results of a scan."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pipeline.operations.images.scan import ScannedFile


@dataclass(frozen=True, slots=True)
class ScanResult:
    """
    The answers of all policies about one image.

    `path`: the file's path, or the name that came with the bytes. `scores`: raw scores by policy id. `flags`: ids of
    the enforced policies that flag the image. `error`: the reason why the image could not be judged, None when it was;
    `detail`: that reason in words.
    """

    path: str
    scores: Mapping[str, float]
    flags: tuple[str, ...]
    error: str | None
    detail: str | None

    @classmethod
    def of(cls, scanned: ScannedFile) -> Self:
        """Return the public form of an operation's result."""
        fields = scanned.fields
        return cls(fields["path"], fields["scores"], tuple(fields["flags"]), fields["error"], fields["detail"])
