"""Export of trained towers as a model bundle: two ONNX graphs, tokenizer and manifest."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from pipeline.digests import file_digest
from pipeline.encode.bundle import Manifest
from pipeline.models.golden import write_golden
from pipeline.models.onnx_export import export_tower
from pipeline.models.training.dual_encoder import MAXIMUM_LOGIT_SCALE, DualEncoder
from pipeline.models.training.vision import normalise


class _ImageGraph(nn.Module):
    """Image graph from uint8 [N, H, W, 3] to float32 [N, D], unit length. It includes casting, mean and std."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, images: Tensor) -> Tensor:
        scaled = images.permute(0, 3, 1, 2).to(torch.float32) / 255
        return functional.normalize(self.tower(normalise(scaled)), dim=-1)


class _TextGraph(nn.Module):
    """Text graph from int64 [N, L] to float32 [N, D], unit length."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, input_ids: Tensor) -> Tensor:
        return functional.normalize(self.tower(input_ids), dim=-1)


def export_bundle(model: DualEncoder, tokenizer: Tokenizer, folder: Path, *, name: str, image_size: int) -> Manifest:
    """Write a bundle to `folder` and return its manifest. The tokenizer must pad to the context."""
    folder.mkdir(parents=True, exist_ok=True)
    assert tokenizer.padding is not None
    context = tokenizer.padding["length"]
    images = torch.zeros(2, image_size, image_size, 3, dtype=torch.uint8)
    input_ids = torch.zeros(2, context, dtype=torch.int64)
    export_tower(_ImageGraph(model.image), images, "images", "image_embeds", folder / "image.onnx")
    export_tower(_TextGraph(model.text), input_ids, "input_ids", "text_embeds", folder / "text.onnx")
    tokenizer.save(str(folder / "tokenizer.json"))
    manifest = Manifest(
        name=name,
        image_size=image_size,
        resize="squash",
        dimension=model.image.project.out_features,
        context=context,
        logit_scale=float(model.log_scale.detach().exp().clamp(max=MAXIMUM_LOGIT_SCALE)),
        files={file: file_digest(folder / file) for file in ("image.onnx", "text.onnx", "tokenizer.json")},
    )
    manifest.write(folder)
    write_golden(folder)
    return manifest
