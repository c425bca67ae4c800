"""What all captions have in common, taken out of both towers."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.models.training.dual_encoder import DualEncoder


@torch.no_grad()
def take_out_common(model: DualEncoder, vectors: NDArray[np.float32]) -> None:
    """
    Project the mean direction of `vectors`, captions as float32 [N, D], out of what both towers' last layers make.

    What all captions share ("a photo of") says nothing of a photograph, but ranks photographs by how much of it each
    happens to have (after Mu and Viswanath 2018, section 3, who take such directions out of word vectors).
    """
    mean = torch.from_numpy(vectors).mean(0)
    shared = mean / mean.norm()
    for layer in (model.image.project, model.text.project):
        assert isinstance(layer, nn.Linear)
        layer.weight.sub_(torch.outer(shared, shared @ layer.weight))
        if layer.bias is not None:
            layer.bias.sub_(shared * (shared @ layer.bias))
