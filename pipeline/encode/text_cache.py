"""Cache of text embeddings by model and text, in memory and optionally in a file."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from pipeline.encode.contract import checked_embeddings
from pipeline.encode.ports import TextEncoder
from pipeline.errors import EncoderFault

log = structlog.get_logger()

# Time to wait for another process that writes to the same file.
BUSY_S = 5.0
_TABLE = """
create table if not exists embeddings
    (model text, text text, vector blob not null, primary key (model, text)) without rowid
"""


class CachedTextEncoder:
    """
    A text tower that encodes each text once.

    Several processes may share `file`. If it cannot be read or written, a warning is logged and texts are encoded
    again.
    """

    def __init__(self, encoder: TextEncoder, file: Path | None = None) -> None:
        self.model_digest = encoder.model_digest
        self.logit_scale = encoder.logit_scale
        self._encoder = encoder
        self._file = file
        self._known: dict[str, NDArray[np.float32]] = {}
        if file is not None:
            self._read(file)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Map N texts to float32 [N, D], unit length. Raises the errors of the tower."""
        missing = sorted({text for text in texts if text not in self._known})
        if missing:
            found = dict(zip(missing, self._encoder.encode_texts(missing), strict=True))
            self._known |= found
            if self._file is not None:
                self._write(self._file, found)
        return np.stack([self._known[text] for text in texts])

    def _read(self, file: Path) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(file, timeout=BUSY_S)) as database, database:
                database.execute(_TABLE)
                rows = database.execute("select text, vector from embeddings where model = ?", (self.model_digest,))
                self._known |= {text: found for text, vector in rows if (found := _unit_vector(vector)) is not None}
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
            log.warning("text_cache_unreadable", file=str(file), problem=str(error))
            self._file = None

    def _write(self, file: Path, found: dict[str, NDArray[np.float32]]) -> None:
        rows = [(self.model_digest, text, vector.astype("<f4").tobytes()) for text, vector in found.items()]
        try:
            with closing(sqlite3.connect(file, timeout=BUSY_S)) as database, database:
                database.executemany("insert or replace into embeddings values (?, ?, ?)", rows)
        except sqlite3.Error as error:
            log.warning("text_cache_unwritable", file=str(file), problem=str(error))


def _unit_vector(stored: object) -> NDArray[np.float32] | None:
    """Return a stored vector, float32 [D]; None if it is damaged, so that the text is encoded again."""
    if not isinstance(stored, bytes) or not stored or len(stored) % 4:
        return None
    found: NDArray[np.float32] = np.frombuffer(stored, "<f4")
    try:
        checked_embeddings(found[None], (1, len(found)), "the text cache")
    except EncoderFault:
        return None
    return found
