"""An embeddings record to the row it becomes."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.bounded import brief
from pipeline.errors import ArchiveError
from pipeline.events.records import Record

# More than a worker admits into an event, so that nothing that it judged is left out.
MOST_ATTRIBUTE_BYTES = 256 << 10
MOST_NAME_BYTES = 64 << 10
MOST_THUMBNAIL_BYTES = 1 << 20
MOST_DIMENSIONS = 1 << 16
_NAMES = {"key": "origin", "event_id": "event-id", "source": "event-source"}
_DIGESTS = {"model": "model-digest", "content": "content-digest", "policy_set": "policy-set-digest"}
_DIGEST = re.compile("[0-9a-f]{64}")
_DIMENSION = re.compile("[1-9][0-9]{0,5}")


def is_digest(text: str) -> bool:
    """Tell whether a text is a SHA-256 in hexadecimal, and so the name of a file and of nothing else."""
    return _DIGEST.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class ArchivedEmbedding:
    """
    One embedding and what it is of.

    `vector`: float16 [D], as judged. `key` names the input record, so the same one is archived once. `time` is the
    event's, or that of its verdict where it has none; `content` the SHA-256 of the image's bytes; `policy_set` the
    digest of the set that judged it; `reference` where the image is, empty where it came in the record itself;
    `thumbnail` a small JPEG, empty where none is kept.
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
        """Read a record of the embeddings' topic. Raises `ArchiveError` with its origin for one that is none."""
        try:
            return cls(**_fields(record))
        except Exception as error:  # a record may hold anything, and none of it may end the archiver
            plain = isinstance(error, KeyError | ValueError)
            reason = brief(error) if plain else f"{type(error).__name__}: {brief(error)}"
            raise ArchiveError(f"{record.origin} is no embedding: {reason}") from error


def _fields(record: Record) -> dict[str, Any]:
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers if name != "thumbnail"}
    vector = np.frombuffer(record.value or b"", dtype="<f2")
    _require_vector(vector, headers["dtype"], headers["dimension"])
    names = {field: headers[name] for field, name in _NAMES.items()}
    names["reference"] = headers.get("event-reference", "")
    for name, text in names.items():
        if len(text.encode()) > MOST_NAME_BYTES:
            raise ValueError(f"its {name} has more than {MOST_NAME_BYTES:,} bytes")
    digests = {field: headers[name] for field, name in _DIGESTS.items()}
    for field, text in digests.items():
        if not is_digest(text):
            raise ValueError(f"its {field} is no digest: {brief(text, 80)!r}")
    return {
        **names,
        **digests,
        "attributes": _attributes(headers["event-attributes"]),
        "time": _time(headers["event-time"] or headers["ce_time"]),
        "vector": vector,
        "thumbnail": _thumbnail(record),
    }


def _require_vector(vector: NDArray[np.float16], dtype: str, dimension: str) -> None:
    said = int(dimension) if _DIMENSION.fullmatch(dimension) else 0
    if not 0 < said <= MOST_DIMENSIONS:
        raise ValueError(f"a dimension of 1 to {MOST_DIMENSIONS:,} is expected, not {brief(dimension, 20)!r}")
    if (dtype, said) != ("float16-le", len(vector)):
        raise ValueError(f"{len(vector)} numbers, not {said} of {brief(dtype, 20)!r}")
    if not np.isfinite(vector).all():
        raise ValueError("a value that is not a finite number")


def _attributes(text: str) -> str:
    if len(text) > MOST_ATTRIBUTE_BYTES:
        raise ValueError(f"attributes of more than {MOST_ATTRIBUTE_BYTES:,} bytes")
    said = json.loads(text)
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise ValueError("attributes are an object of texts")
    told = json.dumps(said, sort_keys=True, ensure_ascii=False)
    told.encode()  # half a character, `\ud800`, is JSON and no text
    return told


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"a time with a zone is expected, not {brief(text, 40)!r}")
    return time.astimezone(UTC)  # at either end of the calendar there is none: an error like any other


def _thumbnail(record: Record) -> bytes:
    thumbnail = dict(record.headers).get("thumbnail") or b""
    if len(thumbnail) > MOST_THUMBNAIL_BYTES:
        raise ValueError(f"a thumbnail of more than {MOST_THUMBNAIL_BYTES:,} bytes")
    return thumbnail
