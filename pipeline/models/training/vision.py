"""The image tower trained here: a small residual network with squeeze-and-excitation."""

import torch
from torch import Tensor, nn

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def normalise(images: Tensor) -> Tensor:
    """Normalise float [N, 3, H, W], 0 to 1, for the image tower."""
    return (images - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


class SqueezeExcitation(nn.Module):
    """Channel attention (Hu et al. 2018, section 3)."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1)
        self.excite = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(gate))))


class Block(nn.Module):
    """A basic residual block (He et al. 2016) whose shortcut averages before subsampling."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.attention = SqueezeExcitation(channels)
        nn.init.zeros_(self.norm2.weight)
        shortcut: list[nn.Module] = (
            [nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)] if stride > 1 else []
        )
        if channels_in != channels:
            shortcut += [nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.norm1(self.conv1(x)))
        inner = self.attention(self.norm2(self.conv2(inner)))
        return torch.relu(inner + self.shortcut(x))


class ImageTower(nn.Module):
    """
    Map normalised images to embeddings.

    Input: float [N, 3, H, W]; output: float [N, `dimension`], not yet unit length.
    """

    def __init__(self, dimension: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, 2, 1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
        )
        blocks: list[nn.Module] = []
        channels_in = 64
        for channels, depth, stride in ((64, 2, 1), (128, 2, 2), (256, 2, 2), (384, 1, 2)):
            for i in range(depth):
                blocks.append(Block(channels_in, channels, stride if i == 0 else 1))
                channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(channels_in, dimension, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        features = self.blocks(self.stem(images)).mean((2, 3))
        projected: Tensor = self.project(self.dropout(features))
        return projected
