"""Accuracy of an image objective during its training, by the nearest category prototype."""

from dataclasses import dataclass

import torch
from torch import nn

from pipeline.models.dataset import LabelledImages
from pipeline.models.training.gradients import mixed_precision
from pipeline.models.training.objective import Objective
from pipeline.models.training.vision import normalise

BATCH = 128


@dataclass(frozen=True)
class PrototypeTop1:
    """Share of `images` whose nearest prototype is their own category's, and the logit scale."""

    images: LabelledImages

    @torch.no_grad()
    def __call__(self, module: nn.Module) -> dict[str, float]:
        """Measure a module that is an `Objective`."""
        assert isinstance(module, Objective)
        prototypes, device, right = module.prototypes(), module.log_scale.device, 0
        for start in range(0, len(self.images.labels), BATCH):
            pixels = torch.from_numpy(self.images.pixels[start : start + BATCH]).permute(0, 3, 1, 2).float() / 255
            images = normalise(pixels).to(device).contiguous(memory_format=torch.channels_last)
            with mixed_precision(device):
                embeds = module.image(images).float()
            labels = torch.from_numpy(self.images.labels[start : start + BATCH]).to(device)
            right += int((embeds @ prototypes.T).argmax(1).eq(labels).sum())
        return {"val_top1": right / len(self.images.labels), "logit_scale": float(module.log_scale.detach().exp())}
