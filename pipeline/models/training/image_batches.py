"""Augmented batches of labelled photographs."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pipeline.errors import UsageError
from pipeline.models.dataset import LabelledImages
from pipeline.models.training.augment import Augmentation, erase, jitter_colour, mix, warp
from pipeline.models.training.recipe import ImageRecipe, Schedule
from pipeline.models.training.train import Rank
from pipeline.models.training.vision import normalise

# Photographs are kept at this size; every crop is taken from it.
CANVAS = 128


def require_batches(count: int, schedule: Schedule) -> None:
    """Raise `UsageError` when `count` images are fewer than a batch for each rank."""
    if count // schedule.ranks < schedule.batch:
        raise UsageError(
            f"{count} images are fewer than one batch of {schedule.batch} for each of {schedule.ranks} ranks; "
            "make the batch smaller"
        )


def shuffled_indices(count: int, schedule: Schedule, rank: Rank) -> Iterator[Tensor]:
    """
    Yield batches of indices without end: in each epoch, this rank's share of a new shuffle of `count` images.

    All ranks use the same shuffle. Check `count` with `require_batches` first: too few images would yield nothing.
    """
    assert count // rank.count >= schedule.batch
    shuffle = torch.Generator().manual_seed(schedule.seed)
    while True:
        order = torch.randperm(count, generator=shuffle)[rank.number :: rank.count]
        for start in range(0, len(order) - schedule.batch + 1, schedule.batch):
            yield order[start : start + schedule.batch]


def size_at(progress: float, sizes: tuple[int, ...]) -> int:
    """Return the side of the training images, in pixels, after the share `progress` of a run."""
    return sizes[min(int(progress * len(sizes)), len(sizes) - 1)]


class ImageBatches:
    """
    Draws normalised images, float [N, 3, S, S], and the share of each category in them, float [N, C].

    S grows with the run's progress, through the recipe's resolutions.
    """

    def __init__(self, images: LabelledImages, recipe: ImageRecipe, rank: Rank) -> None:
        self._recipe = recipe
        self._categories = len(images.categories)
        self._how = Augmentation(smallest_area=recipe.smallest_area, mix_probability=recipe.mix_probability)
        self._generator = torch.Generator().manual_seed(rank.seed)
        self._pixels, self._labels = torch.from_numpy(images.pixels), torch.from_numpy(images.labels)
        self._indices = shuffled_indices(len(self._labels), recipe.schedule, rank)

    def draw(self, progress: float) -> tuple[Tensor, ...]:
        """Return the next batch."""
        how, size, chosen = self._how, size_at(progress, self._recipe.resolutions), next(self._indices)
        images = self._pixels[chosen].permute(0, 3, 1, 2).float() / 255
        matches = nn.functional.one_hot(self._labels[chosen], self._categories).float()
        images = warp(images, size, how, self._generator)
        images = erase(jitter_colour(images, how, self._generator), how, self._generator)
        images, matches = mix(images, matches, how, self._generator)
        return normalise(images).contiguous(memory_format=torch.channels_last), matches
