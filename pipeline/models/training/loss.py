"""The symmetric contrastive loss, for texts that match several images."""

import torch
from torch import Tensor
from torch.nn import functional


def multi_positive_loss(logits: Tensor, matches: Tensor) -> Tensor:
    """
    Return the symmetric cross-entropy between `logits` and `matches`, a scalar.

    `logits`: float [images, texts]; `matches`: float [images, texts], to which degree a text matches an image (0 to 1).
    The matches of each row and column are normalised to a distribution, so that N photographs of one category share its
    caption instead of being each other's negatives (Khosla et al. 2020, equation 2, on both axes). Rows and columns
    without a match are left out.
    """
    return (cross_entropy_to(logits, matches) + cross_entropy_to(logits.T, matches.T)) / 2


def cross_entropy_to(logits: Tensor, matches: Tensor, smoothing: float = 0.0) -> Tensor:
    """
    Return the mean cross-entropy between each row's softmax and its normalised matches, a scalar.

    `logits`, `matches`: float [rows, columns]. Rows without a match are left out. `smoothing` (Szegedy et al. 2016,
    section 7) is the share of the target spread over all columns.
    """
    mass = matches.sum(1)
    kept = mass > 0
    if not bool(kept.any()):
        return torch.zeros((), device=logits.device)
    targets = matches[kept] / mass[kept].unsqueeze(1)
    return functional.cross_entropy(logits[kept], targets, label_smoothing=smoothing)
