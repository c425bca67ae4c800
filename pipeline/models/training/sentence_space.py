"""A sentence encoder with a space cut from it, the target of both the image tower and a small text tower."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.models.captions import Captions
from pipeline.models.training.fingerprint import digest_of
from pipeline.models.training.phrases import draw_phrases
from pipeline.models.training.teacher import WEIGHTS_SHA256, SentenceEncoder
from pipeline.models.training.text_space import WHITENING, TextSpace

FIT_PHRASES = 24_000


@dataclass(frozen=True)
class SentenceSpace:
    """Maps texts to unit vectors of `space`; `origin` is a digest of the texts and settings of the fit."""

    teacher: SentenceEncoder
    space: TextSpace
    origin: str

    @classmethod
    def fit(cls, teacher: SentenceEncoder, entries: Sequence[str], captions: Captions, dimension: int) -> Self:
        """Fit the space on phrases of many kinds, `entries` among them, and on the captions' names."""
        phrases = draw_phrases(teacher.tokenizer.get_vocab(), entries, FIT_PHRASES, seed=1)
        names = [name for names in captions.names.values() for name in names] + list(captions.groups)
        origin = digest_of(WEIGHTS_SHA256, WHITENING, dimension, phrases, names)
        return cls(teacher, TextSpace.fit(teacher.embed(phrases + names), dimension), origin)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Map N texts to float32 [N, D], unit length."""
        return self.space.project(self.teacher.embed(texts))
