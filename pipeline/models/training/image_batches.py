"""Augmented batches of labelled photographs."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pipeline.models.dataset import LabelledImages
from pipeline.models.training.augment import Augmentation, erase, jitter_colour, mix, warp
from pipeline.models.training.recipe import ImageRecipe
from pipeline.models.training.train import Rank
from pipeline.models.training.vision import normalise

# Photographs are kept at this size, and every crop is taken from it.
CANVAS = 128


class ImageBatches:
    """
    Draws normalised images, float [N, 3, S, S], and how much each category is in them, float [N, C].

    S grows with the run's progress through the recipe's resolutions.
    """

    def __init__(self, images: LabelledImages, recipe: ImageRecipe, rank: Rank) -> None:
        self._recipe, self._rank = recipe, rank
        self._categories = len(images.categories)
        self._how = Augmentation(smallest_area=recipe.smallest_area, mix_probability=recipe.mix_probability)
        self._generator = torch.Generator().manual_seed(rank.seed)
        self._pixels, self._labels = torch.from_numpy(images.pixels), torch.from_numpy(images.labels)
        self._places = self._shuffled()

    def draw(self, progress: float) -> tuple[Tensor, ...]:
        """Return the next batch."""
        how, sizes = self._how, self._recipe.resolutions
        size, places = sizes[min(int(progress * len(sizes)), len(sizes) - 1)], next(self._places)
        images = self._pixels[places].permute(0, 3, 1, 2).float() / 255
        matches = nn.functional.one_hot(self._labels[places], self._categories).float()
        images = warp(images, size, how, self._generator)
        images = erase(jitter_colour(images, how, self._generator), how, self._generator)
        images, matches = mix(images, matches, how, self._generator)
        return normalise(images).contiguous(memory_format=torch.channels_last), matches

    def _shuffled(self) -> Iterator[Tensor]:
        """Yield this rank's share of a fresh shuffle of all images, again and again; all ranks shuffle alike."""
        shuffle, batch = torch.Generator().manual_seed(self._recipe.schedule.seed), self._recipe.schedule.batch
        while True:
            order = torch.randperm(len(self._labels), generator=shuffle)[self._rank.number :: self._rank.count]
            for start in range(0, len(order) - batch + 1, batch):
                yield order[start : start + batch]
