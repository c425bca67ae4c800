"""Conversion of archived rows to an Arrow table."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.archive.rows import ArchivedEmbedding
from pipeline.errors import ArchiveError

_PRIMARY_KEY = {b"lance-schema:unenforced-primary-key": b"true"}
_COLUMNS = ("key", "event_id", "source", "attributes", "content", "policy_set", "reference")


def table_of(rows: Sequence[ArchivedEmbedding]) -> pa.Table:
    """Return rows of one model as a table. Raises `ArchiveError` when their embeddings have different dimensions."""
    dimension = len(rows[0].vector)
    if any(len(row.vector) != dimension for row in rows):
        raise ArchiveError(f"embeddings of one model, {rows[0].model[:12]}, have different dimensions")
    schema = pa.schema(
        [
            pa.field("key", pa.string(), nullable=False, metadata=_PRIMARY_KEY),
            *(pa.field(name, pa.string()) for name in _COLUMNS[1:]),
            pa.field("time", pa.timestamp("us")),
            pa.field("hold", pa.string()),
            pa.field("thumbnail", pa.binary()),
            pa.field("vector", pa.list_(pa.float16(), dimension)),
        ]
    )
    vectors = pa.array(np.concatenate([row.vector for row in rows]).astype(np.float16))
    columns = {name: [getattr(row, name) for row in rows] for name in _COLUMNS}
    return pa.table(
        {
            **columns,
            "time": pa.array([row.time.replace(tzinfo=None) for row in rows], pa.timestamp("us")),
            "hold": [""] * len(rows),
            "thumbnail": [row.thumbnail for row in rows],
            "vector": pa.FixedSizeListArray.from_arrays(vectors, dimension),
        },
        schema=schema,
    )
