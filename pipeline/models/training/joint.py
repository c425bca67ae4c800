"""Training of both towers from scratch (Radford et al. 2021)."""

from functools import partial
from pathlib import Path

import torch
from tokenizers import Tokenizer

from pipeline.events.images import PixelSpec
from pipeline.models.captions import Captions
from pipeline.models.dataset import load_split
from pipeline.models.training.dual_encoder import DualEncoder
from pipeline.models.training.fingerprint import fingerprint
from pipeline.models.training.image_batches import CANVAS, ImageBatches, require_batches
from pipeline.models.training.language import TextTower
from pipeline.models.training.objective import JointObjective
from pipeline.models.training.recipe import ImageRecipe
from pipeline.models.training.tokenizer import PAD, fit_tokenizer
from pipeline.models.training.train import Job, Rank, train
from pipeline.models.training.vision import ImageTower
from pipeline.models.training.watch import PrototypeTop1
from pipeline.progress import NO_PROGRESS, Progress


def train_towers(
    data: Path,
    captions: Captions,
    recipe: ImageRecipe,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress = NO_PROGRESS,
) -> tuple[DualEncoder, Tokenizer]:
    """Train on the split `train` of `data`; return the averaged towers with their tokenizer."""
    tokenizer = fit_tokenizer(captions.every(), vocabulary=recipe.vocabulary, context=recipe.context)
    images = load_split(data, "train", PixelSpec(CANVAS, "squash"), captions.categories, progress)
    require_batches(len(images.labels), recipe.schedule)
    watched = load_split(data, "val", PixelSpec(recipe.image_size, "squash"), captions.categories, progress)
    job = Job(
        recipe.schedule,
        partial(_objective, recipe, captions, tokenizer.to_str()),
        partial(ImageBatches, images, recipe),
        PrototypeTop1(watched),
        out,
        fingerprint(recipe, captions.every(), captions.membership(), images.labels, images.pixels),
    )
    model = _towers(recipe, tokenizer)
    average = train(job, resume=resume, progress=progress)
    model.load_state_dict({name.removeprefix("model."): value for name, value in average.items()})
    return model.eval(), tokenizer


def _objective(recipe: ImageRecipe, captions: Captions, tokenizer_json: str, rank: Rank) -> JointObjective:
    tokenizer = Tokenizer.from_str(tokenizer_json)
    return JointObjective(_towers(recipe, tokenizer), tokenizer, captions, recipe, rank.seed)


def _towers(recipe: ImageRecipe, tokenizer: Tokenizer) -> DualEncoder:
    torch.manual_seed(recipe.schedule.seed)
    pad_id = tokenizer.token_to_id(PAD)
    assert pad_id is not None
    text = TextTower(tokenizer.get_vocab_size(), recipe.dimension, context=recipe.context, pad_id=pad_id)
    return DualEncoder(ImageTower(recipe.dimension, recipe.dropout), text)
