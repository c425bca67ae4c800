"""An embeddings record to the row it becomes."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ArchiveError
from pipeline.events.records import Record


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
        """Read a record of the embeddings' topic. Raises `ArchiveError` for one that is none."""
        headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
        try:
            vector = np.frombuffer(record.value or b"", dtype="<f2")
            shape = (headers["dtype"], int(headers["dimension"]))
            found = cls(
                key=headers["origin"],
                model=headers["model-digest"],
                event_id=headers["event-id"],
                source=headers["event-source"],
                attributes=json.dumps(json.loads(headers["event-attributes"]), sort_keys=True, ensure_ascii=False),
                content=headers["content-digest"],
                time=datetime.fromisoformat(headers["event-time"] or headers["ce_time"]).astimezone(UTC),
                policy_set=headers["policy-set-digest"],
                vector=vector,
                reference=headers.get("event-reference", ""),
                thumbnail=dict(record.headers).get("thumbnail") or b"",
            )
        except (KeyError, ValueError) as error:
            raise ArchiveError(f"{record.origin} is no embedding: {error}") from error
        if shape != ("float16-le", len(vector)):
            raise ArchiveError(f"{record.origin} is no embedding: {len(vector)} numbers, not {shape[1]} of {shape[0]}")
        return found
