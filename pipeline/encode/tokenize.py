"""Texts to token ids with the bundle's own tokenizer."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pipeline.encode.bundle import Bundle
from pipeline.events.texts import Piece

# What WordPiece and SentencePiece write for what they cannot spell.
UNKNOWN = frozenset(["[UNK]", "<unk>"])


class TextTokenizer:
    """The tokenizer of one bundle. Texts over the tower's context are cut there."""

    def __init__(self, bundle: Bundle) -> None:
        self._tokenizer = Tokenizer.from_file(str(bundle.tokenizer))

        self._whole = Tokenizer.from_file(str(bundle.tokenizer))
        self._whole.no_truncation()
        self._whole.no_padding()
        # How many tokens of a text the tower reads, besides those that begin and end it.
        self.room = bundle.manifest.context - self._whole.num_special_tokens_to_add(is_pair=False)

    def pieces(self, text: str) -> list[Piece]:
        """Return the tokens of a text, uncut and without special ones; spaces are no part of them."""
        encoding = self._whole.encode(text, add_special_tokens=False)
        pieces = []
        for (start, stop), token in zip(encoding.offsets, encoding.tokens, strict=True):
            spaces = len(text[start:stop]) - len(text[start:stop].lstrip())
            pieces.append(Piece(start + spaces, stop, token not in UNKNOWN))
        return pieces

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return token ids, int64 [N, L], padded to the tower's context length."""
        return np.array([encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))], dtype=np.int64)
