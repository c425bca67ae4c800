"""Removal of the direction that all captions share from both towers."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.models.training.dual_encoder import DualEncoder


@torch.no_grad()
def remove_common_direction(model: DualEncoder, vectors: NDArray[np.float32]) -> None:
    """
    Project the mean direction of `vectors`, captions as float32 [N, D], out of both towers' last layers.

    The part that all captions share ("a photo of") says nothing about a photograph, yet photographs rank by how much of
    it they happen to have. Mu and Viswanath 2018, section 3, remove such directions from word vectors.
    """
    mean = torch.from_numpy(vectors).mean(0)
    shared = mean / mean.norm()
    for layer in (model.image.project, model.text.project):
        assert isinstance(layer, nn.Linear)
        layer.weight.sub_(torch.outer(shared, shared @ layer.weight))
        if layer.bias is not None:
            layer.bias.sub_(shared * (shared @ layer.bias))
