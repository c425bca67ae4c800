"""The two towers of a source model, as graphs that follow the encoder contract."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.importing.source import Source


class ImageGraph(nn.Module):
    """Image graph from uint8 [N, H, W, 3], RGB, to float32 [N, D], unit length. It includes scaling, mean and std."""

    factor: Tensor
    offset: Tensor

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.model = source.model
        scale, mean, std = source.normalisation.scale, source.normalisation.mean, source.normalisation.std
        self.register_buffer("factor", (scale / torch.tensor(std)).view(1, 3, 1, 1))
        self.register_buffer("offset", (torch.tensor(mean) / torch.tensor(std)).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).to(torch.float32) * self.factor - self.offset
        return functional.normalize(self.model.get_image_features(pixel_values=pixels).pooler_output, dim=-1)


class TextGraph(nn.Module):
    """Text graph from int64 [N, L], padded to the context, to float32 [N, D], unit length."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.model = source.model
        self.masks_padding = source.masks_padding
        self.pad, self.eos = source.tokenizer.pad_token_id, source.tokenizer.eos_token_id

    def forward(self, input_ids: Tensor) -> Tensor:
        mask = self._mask(input_ids) if self.masks_padding else None
        features = self.model.get_text_features(input_ids=input_ids, attention_mask=mask).pooler_output
        return functional.normalize(features, dim=-1)

    def _mask(self, input_ids: Tensor) -> Tensor:
        """Return 1 for each token of the text. If padding uses the end token too, the first end token ends the text."""
        padding = input_ids.eq(self.pad).to(torch.int64)
        if self.pad == self.eos:
            return (torch.cumsum(padding, dim=1) - padding).eq(0).to(torch.int64)
        return 1 - padding
