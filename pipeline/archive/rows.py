"""Rows of the archive, made from embedding records."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.bounded import brief
from pipeline.errors import ArchiveError, UnreadableRecord
from pipeline.events.records import Record
from pipeline.events.wire.embedding import EmbeddingRecord

# Larger than the limits of workers for an event, so that every embedding of a worker can be archived.
MOST_ATTRIBUTE_BYTES = 256 << 10
MOST_NAME_BYTES = 64 << 10
MOST_THUMBNAIL_BYTES = 1 << 20
_DIGEST = re.compile("[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Tell whether a text is a SHA-256 in hexadecimal, and so safe as a file name."""
    return _DIGEST.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class ArchivedEmbedding:
    """
    One embedding with its image's metadata.

    `vector`: float16 [D], as judged. `key` names the input record, which is archived once. `time` is the event's time,
    or the verdict's if the event has none. `content` is the SHA-256 of the image's bytes, and `policy_set` the digest
    of the policy set that judged it. `reference` is the image's address, empty if the image came in the record itself.
    `thumbnail` is a small JPEG, empty if none is kept.
    """

    key: str
    model: str
    event_id: str
    source: str
    attributes: str
    content: str
    time: datetime
    policy_set: str
    vector: NDArray[np.float16]
    reference: str = ""
    thumbnail: bytes = b""

    @classmethod
    def of(cls, record: Record) -> Self:
        """Read a record of the embeddings' topic. Raises `ArchiveError` with the record's origin."""
        try:
            return cls(**_fields(EmbeddingRecord.parse(record)))
        except UnreadableRecord as error:
            raise ArchiveError(f"{record.origin} is not a valid embedding: {error.problem}") from error
        except Exception as error:  # a record may hold anything, and no record may end the archiver
            plain = isinstance(error, ValueError)
            reason = brief(error) if plain else f"{type(error).__name__}: {brief(error)}"
            raise ArchiveError(f"{record.origin} is not a valid embedding: {reason}") from error


def _fields(record: EmbeddingRecord) -> dict[str, Any]:
    headers = record.headers
    names = {
        "key": headers.origin,
        "event_id": headers.event_id,
        "source": headers.event_source,
        "reference": headers.event_reference,
    }
    for name, text in names.items():
        _require_size(f"its {name}", len(text.encode()), MOST_NAME_BYTES)
    _require_size("its attributes", len(headers.event_attributes), MOST_ATTRIBUTE_BYTES)
    _require_size("its thumbnail", len(record.thumbnail), MOST_THUMBNAIL_BYTES)
    return {
        **names,
        "model": headers.model_digest,
        "content": headers.content_digest,
        "policy_set": headers.policy_set_digest,
        "attributes": json.dumps(record.attributes(), sort_keys=True, ensure_ascii=False),
        "time": record.time(),
        "vector": record.vector,
        "thumbnail": record.thumbnail,
    }


def _require_size(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(f"{name} has more than {limit:,} bytes")
