"""What a bundle as shipped can do on labelled photographs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.evaluate.ranking import average_precision
from pipeline.evaluate.zero_shot import label_vectors
from pipeline.models.captions import Captions, with_article
from pipeline.models.dataset import load_split

BATCH = 32


@dataclass(frozen=True, slots=True)
class Figures:
    """`mean_ap`: the mean over categories of the average precision of their own text's cosine, one policy each."""

    images: int
    top1: float
    mean_ap: float
    worst: tuple[tuple[str, float], ...]


def measure(data: Path, bundle: Bundle, captions: Captions, split: str) -> Figures:
    """Measure zero-shot classification and ranking over all categories with a photograph in `split`."""
    encoder = LocalEncoder(bundle)
    images = load_split(data, split, bundle.pixels, captions.categories)
    embeds = np.concatenate(
        [encoder.encode_images(images.pixels[i : i + BATCH]) for i in range(0, len(images.pixels), BATCH)]
    )
    similarities = embeds @ category_vectors(encoder, captions).T
    top1 = float(np.mean(similarities.argmax(axis=1) == images.labels))
    found = {
        category: average_precision(similarities[:, i], images.labels == i)
        for i, category in enumerate(captions.categories)
        if (images.labels == i).any()
    }
    worst = sorted(found.items(), key=lambda pair: pair[1])[:10]
    return Figures(len(images.labels), top1, float(np.mean(list(found.values()))), tuple(worst))


def category_vectors(encoder: LocalEncoder, captions: Captions) -> NDArray[np.float32]:
    """Return each category's plain name, averaged over the templates, float32 [categories, D], unit length."""
    names = [captions.names[category][0] for category in captions.categories]
    templates = [*captions.templates]
    return label_vectors(names, templates, lambda texts: encoder.encode_texts([with_article(text) for text in texts]))
