"""Batched augmentation: an affine warp, colour jitter, erasing and mixing, drawn for each image."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """The strength of augmentation. Values are drawn uniformly from ranges; areas are shares of the image."""

    smallest_area: float = 0.3
    aspect: float = 1.4
    rotation_degrees: float = 12.0
    jitter: float = 0.35
    erase_probability: float = 0.25
    mix_probability: float = 0.5
    mirror_probability: float = 0.5
    grey_probability: float = 0.05


def warp(images: Tensor, size: int, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Crop, stretch, rotate and mirror: float [N, 3, S, S] to float [N, 3, size, size]."""
    n = images.shape[0]
    side = torch.sqrt(_uniform(n, how.smallest_area, 1.0, generator))
    stretch = torch.exp(_uniform(n, -math.log(how.aspect), math.log(how.aspect), generator) / 2)
    width, height = (side * stretch).clamp(max=1.0), (side / stretch).clamp(max=1.0)
    angle = _uniform(n, -1, 1, generator) * math.radians(how.rotation_degrees)
    mirror = torch.where(_uniform(n, 0, 1, generator) < how.mirror_probability, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = width * torch.cos(angle) * mirror
    theta[:, 0, 1] = -height * torch.sin(angle)
    theta[:, 1, 0] = width * torch.sin(angle) * mirror
    theta[:, 1, 1] = height * torch.cos(angle)
    theta[:, 0, 2] = _uniform(n, -1, 1, generator) * (1 - width)
    theta[:, 1, 2] = _uniform(n, -1, 1, generator) * (1 - height)
    grid = functional.affine_grid(theta, [n, 3, size, size], align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def jitter_colour(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation, sometimes to grey: float [N, 3, S, S], 0 to 1."""
    n = images.shape[0]

    def factor() -> Tensor:
        return (1 + how.jitter * _uniform(n, -1, 1, generator)).view(n, 1, 1, 1)

    images = images * factor()
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * factor()
    grey = images.mean(1, keepdim=True)
    saturation = factor() * (_uniform(n, 0, 1, generator) > how.grey_probability).view(n, 1, 1, 1)
    return (grey + (images - grey) * saturation).clamp(0, 1)


def erase(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Fill one rectangle of some images with grey (Zhong et al. 2020): float [N, 3, S, S]."""
    n, _, size, _ = images.shape
    inside = _rectangles(n, size, torch.sqrt(_uniform(n, 0.04, 0.25, generator)), generator)
    chosen = (_uniform(n, 0, 1, generator) < how.erase_probability).view(n, 1, 1, 1)
    return torch.where(inside & chosen, torch.full_like(images, 0.5), images)


def mix(images: Tensor, matches: Tensor, how: Augmentation, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """
    Blend each image with its neighbour (mixup, Zhang et al. 2018), paste a part (cutmix, Yun et al. 2019), or neither.

    `images`: float [N, 3, S, S]; `matches`: float [N, C]. Returns both, mixed in the same ratio.
    """
    draw = float(torch.rand((), generator=generator))
    if draw > how.mix_probability:
        return images, matches
    n, _, size, _ = images.shape
    other_images, other_matches = images.roll(1, 0), matches.roll(1, 0)
    if draw < how.mix_probability / 2:
        share = 0.5 + _uniform(n, -0.5, 0.5, generator).abs()
        pixels = share.view(n, 1, 1, 1)
        return images * pixels + other_images * (1 - pixels), _blend(matches, other_matches, share)
    inside = _rectangles(n, size, torch.sqrt(_uniform(n, 0.0, 0.5, generator)), generator)
    share = 1 - inside.float().mean((1, 2, 3))
    return torch.where(inside, other_images, images), _blend(matches, other_matches, share)


def _blend(matches: Tensor, other: Tensor, share: Tensor) -> Tensor:
    return matches * share.unsqueeze(1) + other * (1 - share).unsqueeze(1)


def _rectangles(n: int, size: int, side: Tensor, generator: torch.Generator) -> Tensor:
    """Return bool [N, 1, S, S], true inside a square of relative `side` at a random position."""
    steps = torch.linspace(0, 1, size)
    left, top = (_uniform(n, 0, 1, generator) * (1 - side) for _ in range(2))
    across = (steps >= left.unsqueeze(1)) & (steps < (left + side).unsqueeze(1))
    down = (steps >= top.unsqueeze(1)) & (steps < (top + side).unsqueeze(1))
    return (across.unsqueeze(1) & down.unsqueeze(2)).unsqueeze(1)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator)
