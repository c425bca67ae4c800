"""Comparison of an imported bundle with `transformers`, on the same files and texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.tokenize import TextTokenizer
from pipeline.events.images import ImageLimits
from pipeline.ingest.decode import decode, rgb
from pipeline.models.cosines import cosines
from pipeline.models.importing.source import Source
from pipeline.progress import NO_PROGRESS, Progress

# Texts as people write them, and texts that a rewritten tokenizer gets wrong first.
PROBES = (
    "a photo of a revolver",
    "A Photo, of TWO   Dogs!?",
    "don't; e-mail@example.org (50% off) #sale",
    "crème brûlée, naïve façade, ﬁne ½",
    "犬の写真 и кошка 🐕 مرحبا",
    "  leading and trailing \t white\nspace  ",
    "",
    "1,234.50 USD on 2026-11-21",
    "<s> [PAD] ▁ \\n {word}",
    "counterfeit luxury wristwatch " * 30,
)


@dataclass(frozen=True, slots=True)
class ImportParity:
    """Minimum cosines between the bundle's and the source's embeddings, and texts whose tokens differ."""

    images: int
    image_cosine_min: float
    texts: int
    text_cosine_min: float
    other_tokens: tuple[str, ...]

    def refusals(self, cosine: float) -> list[str]:
        """Return the reasons not to use the bundle; empty when there are none."""
        found = [f"{len(self.other_tokens)} texts become other tokens: {self.other_tokens[:3]!r}"] * bool(
            self.other_tokens
        )
        for tower, minimum in (("image", self.image_cosine_min), ("text", self.text_cosine_min)):
            if not minimum >= cosine:  # in this form NaN is refused too
                found.append(f"the minimum {tower} cosine is {minimum:.6f}, but {cosine} is required")
        return found


def check_import(
    source: Source, bundle: Bundle, files: Sequence[Path], texts: Sequence[str], progress: Progress = NO_PROGRESS
) -> ImportParity:
    """
    Encode `files` and `texts` with both, each with its own resizing and tokenizer.

    Raises `RecordFault` for a file that cannot be read.
    """
    encoder = LocalEncoder(bundle)
    images = [
        cosines(encoder.encode_images(decode(data, bundle.pixels, ImageLimits()).pixels[None]), _embed(source, data))
        for data in (file.read_bytes() for file in progress.track(files, "comparing", len(files)))
    ]
    theirs = _token_ids(source, texts)
    differ = (TextTokenizer(bundle)(texts) != theirs["input_ids"].numpy()).any(axis=1)
    with torch.inference_mode():
        expected = functional.normalize(source.model.get_text_features(**theirs).pooler_output, dim=-1).numpy()
    return ImportParity(
        images=len(images),
        image_cosine_min=float(np.min(images, initial=1.0)),
        texts=len(texts),
        text_cosine_min=float(cosines(encoder.encode_texts(texts), expected).min()),
        other_tokens=tuple(text for text, other in zip(texts, differ, strict=True) if other),
    )


def _embed(source: Source, data: bytes) -> NDArray[np.float32]:
    inputs = source.image_processor(images=rgb(data), return_tensors="pt")
    with torch.inference_mode():
        features = source.model.get_image_features(**inputs).pooler_output
        return np.asarray(functional.normalize(features, dim=-1).numpy())


def _token_ids(source: Source, texts: Sequence[str]) -> dict[str, torch.Tensor]:
    inputs = source.tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=source.context, return_tensors="pt"
    )
    return {name: value for name, value in inputs.items() if name in ("input_ids", "attention_mask")}
