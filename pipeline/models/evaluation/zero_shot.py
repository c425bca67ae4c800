"""Zero-shot figures: texts as classifiers of categories, and each category as a policy."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.evaluation.stats.average_precision import average_precision
from pipeline.evaluation.stats.intervals import Interval, wilson
from pipeline.models.captions import Captions
from pipeline.models.evaluation.subject import Subject

TOP = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """
    Zero-shot figures of one split.

    `mean_ap`: the mean over categories of the average precision of the cosine to the category's own text. `categories`:
    each category with its average precision, worst first.
    """

    images: int
    top1: float
    mean_ap: float
    top1_interval: Interval
    top5: float
    categories: tuple[tuple[str, float], ...]


def measure(data: Path, bundle: Bundle, captions: Captions, split: str) -> Figures:
    """Measure zero-shot classification and ranking over all categories with a photograph in `split`."""
    return zero_shot(Subject.load(data, bundle, captions, split))


def zero_shot(subject: Subject, embeds: NDArray[np.float32] | None = None) -> Figures:
    """Return the figures of a subject, or of its altered images with the embeddings `embeds`, float32 [N, D]."""
    labels, categories = subject.images.labels, subject.captions.categories
    similarities = (subject.embeds if embeds is None else embeds) @ subject.vectors.T
    own = similarities[np.arange(len(labels)), labels]
    rank = (similarities > own[:, None]).sum(axis=1)
    found = {
        category: average_precision(similarities[:, i], labels == i)
        for i, category in enumerate(categories)
        if (labels == i).any()
    }
    return Figures(
        images=len(labels),
        top1=float(np.mean(rank == 0)),
        mean_ap=float(np.mean(list(found.values()))),
        top1_interval=wilson(int((rank == 0).sum()), len(labels)),
        top5=float(np.mean(rank < TOP)),
        categories=tuple(sorted(found.items(), key=lambda pair: pair[1])),
    )


def paraphrases(subject: Subject, texts: dict[str, tuple[str, ...]]) -> dict[str, float]:
    """
    Return the average precision of each text for the images of its category; `texts` are by category.

    Raises `UsageError` for a category that is missing in the caption table.
    """
    if unknown := texts.keys() - subject.captions.names.keys():
        raise UsageError(f"paraphrases of {', '.join(sorted(unknown))}, which the caption table does not have")
    pairs = [(category, text) for category, found in texts.items() for text in found]
    if not pairs:
        return {}
    similarities = subject.embeds @ subject.text_vectors([text for _, text in pairs]).T
    index = {category: i for i, category in enumerate(subject.captions.categories)}
    measured = {
        text: average_precision(similarities[:, i], subject.images.labels == index[category])
        for i, (category, text) in enumerate(pairs)
    }
    return {text: value for text, value in measured.items() if not np.isnan(value)}
