"""Texts to token ids with the bundle's own tokenizer."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pipeline.encode.bundle import Bundle


class TextTokenizer:
    """The tokenizer of one bundle. Texts over the tower's context are cut there."""

    def __init__(self, bundle: Bundle) -> None:
        self._tokenizer = Tokenizer.from_file(str(bundle.tokenizer))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return token ids, int64 [N, L], padded to the tower's context length."""
        return np.array([encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))], dtype=np.int64)
