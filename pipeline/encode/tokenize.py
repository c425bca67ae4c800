"""Tokenizer of a bundle: texts to token ids."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pipeline.encode.bundle import Bundle
from pipeline.events.texts import Token

# The unknown-word tokens of WordPiece and SentencePiece.
UNKNOWN = frozenset(["[UNK]", "<unk>"])


class TextTokenizer:
    """
    The tokenizer of one bundle. Texts longer than the tower's context are truncated.

    `max_tokens`: the number of tokens that the tower reads, not counting the special tokens at both ends.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._tokenizer = Tokenizer.from_file(str(bundle.tokenizer))

        self._whole = Tokenizer.from_file(str(bundle.tokenizer))
        self._whole.no_truncation()
        self._whole.no_padding()
        self.max_tokens = bundle.manifest.context - self._whole.num_special_tokens_to_add(is_pair=False)

    def tokens(self, text: str) -> list[Token]:
        """Return all tokens of a text, without truncation, special tokens or leading spaces."""
        encoding = self._whole.encode(text, add_special_tokens=False)
        tokens = []
        for (start, stop), token in zip(encoding.offsets, encoding.tokens, strict=True):
            spaces = len(text[start:stop]) - len(text[start:stop].lstrip())
            tokens.append(Token(start + spaces, stop, token not in UNKNOWN))
        return tokens

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return token ids, int64 [N, L], padded to the tower's context length."""
        return np.array([encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))], dtype=np.int64)
