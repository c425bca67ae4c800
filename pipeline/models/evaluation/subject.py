"""A bundle with the labelled photographs it is measured on, each embedded once."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.text_cache import CachedTextEncoder
from pipeline.evaluation.search.zero_shot import label_vectors
from pipeline.models.captions import Captions, with_article
from pipeline.models.dataset import LabelledImages, load_split
from pipeline.progress import NO_PROGRESS, Progress

BATCH = 32


@dataclass(frozen=True)
class Subject:
    """A bundle's encoder, with the photographs and captions. `images.labels` are indices of `captions.categories`."""

    encoder: LocalEncoder
    images: LabelledImages
    captions: Captions

    @classmethod
    def load(
        cls, data: Path, bundle: Bundle, captions: Captions, split: str, progress: Progress = NO_PROGRESS
    ) -> "Subject":
        """Read a split and open the bundle's towers. Raises `UsageError` and `RecordFault`."""
        images = load_split(data, split, bundle.pixels, captions.categories, progress)
        return cls(LocalEncoder(bundle), images, captions)

    @cached_property
    def texts(self) -> CachedTextEncoder:
        """The text tower. It encodes each text once, because the figures share most of their texts."""
        return CachedTextEncoder(self.encoder)

    @cached_property
    def embeds(self) -> NDArray[np.float32]:
        """The images' embeddings, float32 [N, D], unit length."""
        return self.embed(self.images.pixels)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Vectors of the categories' plain names, averaged over the templates, float32 [categories, D], unit length."""
        captions = self.captions
        return self.text_vectors([captions.names[category][0] for category in captions.categories])

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [N, S, S, 3] to float32 [N, D], unit length."""
        return np.concatenate([self.encoder.encode_images(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)])

    def text_vectors(self, names: list[str]) -> NDArray[np.float32]:
        """Return vectors of names, averaged over the caption table's templates, float32 [names, D], unit length."""
        return label_vectors(
            names,
            [*self.captions.templates],
            lambda texts: self.texts.encode_texts([with_article(text) for text in texts]),
        )
