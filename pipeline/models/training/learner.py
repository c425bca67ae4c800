"""The module that a run trains."""

import torch
from torch import Tensor, nn

from pipeline.models.training.gradients import mixed_precision


class Learner(nn.Module):
    """A module that computes its own loss, a scalar, when called on a batch."""

    def learn(self, *batch: Tensor) -> Tensor:
        """Set the gradients of this rank's batch, before they are averaged over ranks; return the loss."""
        with mixed_precision(batch[0].device):
            loss: Tensor = self(*batch)
        torch.autograd.backward(loss)
        return loss.detach()
