"""Tuning of an image tower to locked texts (Zhai et al. 2022)."""

from functools import partial
from pathlib import Path

import torch

from pipeline.events.images import PixelSpec
from pipeline.models.captions import Captions
from pipeline.models.dataset import load_split
from pipeline.models.training.fingerprint import fingerprint
from pipeline.models.training.image_batches import CANVAS, ImageBatches, require_batches
from pipeline.models.training.objective import LockedTextObjective
from pipeline.models.training.recipe import ImageRecipe
from pipeline.models.training.sentence_space import SentenceSpace
from pipeline.models.training.text_bank import TextBank
from pipeline.models.training.train import Job, Rank, train
from pipeline.models.training.vision import ImageTower
from pipeline.models.training.watch import PrototypeTop1
from pipeline.progress import NO_PROGRESS, Progress


def tune_image_tower(
    data: Path,
    captions: Captions,
    space: SentenceSpace,
    recipe: ImageRecipe,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress = NO_PROGRESS,
) -> tuple[ImageTower, float]:
    """
    Train an image tower on the split `train` of `data`; return it, averaged, and the log of its logit scale.

    `space` does not change.
    """
    bank = TextBank.build(captions, space.embed)
    images = load_split(data, "train", PixelSpec(CANVAS, "squash"), captions.categories, progress)
    require_batches(len(images.labels), recipe.schedule)
    watched = load_split(data, "val", PixelSpec(recipe.image_size, "squash"), captions.categories, progress)
    learns = fingerprint(recipe, space.origin, captions.every(), bank.owners, images.labels, images.pixels)
    objective = partial(_objective, recipe, bank)
    job = Job(recipe.schedule, objective, partial(ImageBatches, images, recipe), PrototypeTop1(watched), out, learns)
    average = train(job, resume=resume, progress=progress)
    tuned = objective(Rank(0, 1, recipe.schedule.seed))
    tuned.load_state_dict(average)
    return tuned.image.eval(), float(tuned.log_scale.detach())


def _objective(recipe: ImageRecipe, bank: TextBank, rank: Rank) -> LockedTextObjective:
    torch.manual_seed(recipe.schedule.seed)
    return LockedTextObjective(ImageTower(recipe.dimension, recipe.dropout), bank, recipe, rank.seed)
