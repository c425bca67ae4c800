"""Two towers and the temperature between them (Radford et al. 2021, section 2.3)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.training.language import TextTower
from pipeline.models.training.sentence_tower import SentenceTower
from pipeline.models.training.vision import ImageTower

MAXIMUM_LOGIT_SCALE = 100.0  # Radford et al. 2021, section 2.5


class DualEncoder(nn.Module):
    """Both towers in one module, for one optimiser and one exchange of gradients."""

    def __init__(self, image: ImageTower, text: TextTower | SentenceTower) -> None:
        super().__init__()
        self.image = image
        self.text = text
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, images: Tensor, input_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return unit-length image embeddings [N, D], text embeddings [K, D] and the clamped logit scale []."""
        image_embeds = functional.normalize(self.image(images).float(), dim=-1)
        text_embeds = functional.normalize(self.text(input_ids).float(), dim=-1)
        return image_embeds, text_embeds, self.log_scale.exp().clamp(max=MAXIMUM_LOGIT_SCALE)
