"""The shape of the shared space: retrieval, calibration, and the distance between the two towers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.search.zero_shot import label_probabilities
from pipeline.evaluation.stats.reliability import expected_calibration_error, reliability
from pipeline.models.evaluation.subject import Subject

RANKS = (1, 5, 10)
BINS = 15


@dataclass(frozen=True, slots=True)
class Space:
    """
    Figures of the shared space.

    `text_to_image[k]`: the share of categories' texts with an image of theirs among the k nearest; `image_to_text[k]`:
    the share of images whose category's text is among the k nearest.

    `calibration_error`: expected calibration error of the softmax over categories, 15 bins of equal width (Guo et al.
    2017). `anisotropy`: the mean cosine of two different images (Ethayarajh 2019): near 1, all embeddings lie in one
    narrow cone. `modality_gap`: the distance between the mean image and the mean text (Liang et al. 2022).
    """

    text_to_image: dict[int, float]
    image_to_text: dict[int, float]
    calibration_error: float
    anisotropy: float
    modality_gap: float


def measure_space(subject: Subject) -> Space:
    """Measure the space on a subject's images and the plain names of its categories."""
    labels, embeds, vectors = subject.images.labels, subject.embeds, subject.vectors
    similarities = embeds @ vectors.T
    by_image = np.argsort(-similarities, axis=1)
    by_text = labels[np.argsort(-similarities, axis=0)].T
    present = np.unique(labels)
    probabilities = label_probabilities(embeds, vectors, subject.encoder.logit_scale)
    return Space(
        text_to_image={k: float(np.mean([(by_text[c, :k] == c).any() for c in present])) for k in RANKS},
        image_to_text={k: float((by_image[:, :k] == labels[:, None]).any(axis=1).mean()) for k in RANKS},
        calibration_error=_calibration_error(probabilities, labels),
        anisotropy=mean_cosine(embeds),
        modality_gap=float(np.linalg.norm(embeds.mean(axis=0) - vectors.mean(axis=0))),
    )


def mean_cosine(embeds: NDArray[np.float32]) -> float:
    """Return the mean cosine over all pairs of different rows of float32 [N, D], unit length."""
    count = len(embeds)
    total = np.square(embeds.astype(np.float64).sum(axis=0)).sum()
    return float((total - count) / (count * (count - 1)))


def _calibration_error(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the expected calibration error of the likeliest category."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    return expected_calibration_error(reliability(confidence, right, BINS))
