"""What a training run trains."""

import torch
from torch import Tensor, nn

from pipeline.models.training.gradients import mixed_precision


class Learner(nn.Module):
    """A module that is its own loss: called on a batch it returns a scalar."""

    def learn(self, *batch: Tensor) -> Tensor:
        """Leave the gradients of this rank's batch on the parameters, to be averaged over ranks; return the loss."""
        with mixed_precision(batch[0].device):
            loss: Tensor = self(*batch)
        torch.autograd.backward(loss)
        return loss.detach()
