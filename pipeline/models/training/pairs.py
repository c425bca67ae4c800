"""Training of both towers on pairs of an image and its own captions (Radford et al. 2021, section 2.3)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labels_csv import read_rows
from pipeline.events.images import ImageLimits, PixelSpec
from pipeline.ingest.decode import decode
from pipeline.models.training.augment import Augmentation, erase, jitter_colour, warp
from pipeline.models.training.dual_encoder import MAXIMUM_LOGIT_SCALE, DualEncoder
from pipeline.models.training.fingerprint import fingerprint
from pipeline.models.training.gradients import cached_backward, full_precision, gather, mixed_precision
from pipeline.models.training.image_batches import CANVAS, require_batches, shuffled_indices, size_at
from pipeline.models.training.language import TextTower
from pipeline.models.training.learner import Learner
from pipeline.models.training.loss import multi_positive_loss
from pipeline.models.training.recipe import ImageRecipe
from pipeline.models.training.tokenizer import PAD, fit_tokenizer
from pipeline.models.training.train import Job, Rank, train
from pipeline.models.training.vision import ImageTower, normalise
from pipeline.progress import NO_PROGRESS, Progress

WATCHED = 512


@dataclass(frozen=True)
class Pairs:
    """
    Images and their captions.

    `pixels`: uint8 [N, S, S, 3], RGB; `captions[i]`: the texts of image i, at least one; `kinds`: int64 [N], equal for
    images that are not each other's negatives.
    """

    pixels: NDArray[np.uint8]
    captions: tuple[tuple[str, ...], ...]
    kinds: NDArray[np.int64]


def read_pairs(folder: Path, split: str, progress: Progress = NO_PROGRESS) -> Pairs:
    """
    Read the columns `file`, `caption` and `split` of `folder`/labels.csv; a file may have several rows.

    Images of one kind are not each other's negatives: of one category, or without that column, of one first caption.
    Raises `UsageError` for a missing column or an empty split, `RecordFault` for a file that is no image.
    """
    captions: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    table = folder / "labels.csv"
    for row in read_rows(table, split, "caption"):
        captions.setdefault(row["file"], []).append(row["caption"])
        kinds.setdefault(row["file"], row.get("category") or row["caption"])
    if gone := [file for file in captions if not (folder / file).exists()]:
        raise UsageError(f"`{table}` names {len(gone)} files that do not exist, `{gone[0]}` among them")
    files = progress.track(captions, f"reading {split}", len(captions))
    pixels = [decode((folder / file).read_bytes(), PixelSpec(CANVAS, "squash"), ImageLimits()).pixels for file in files]
    number = {kind: i for i, kind in enumerate(dict.fromkeys(kinds.values()))}
    numbers = np.array([number[kind] for kind in kinds.values()], dtype=np.int64)
    return Pairs(np.stack(pixels), tuple(map(tuple, captions.values())), numbers)


def train_pairs(
    data: Path, recipe: ImageRecipe, out: Path, *, resume: bool = False, progress: Progress = NO_PROGRESS
) -> tuple[DualEncoder, Tokenizer]:
    """Train on the split `train` of `data`; return the averaged towers with their tokenizer."""
    pairs, watched = read_pairs(data, "train", progress), read_pairs(data, "val", progress)
    texts = [text for each in pairs.captions for text in each]
    require_batches(len(pairs.pixels), recipe.schedule)
    tokenizer = fit_tokenizer(texts, vocabulary=recipe.vocabulary, context=recipe.context)
    job = Job(
        recipe.schedule,
        partial(_objective, recipe, tokenizer.to_str()),
        partial(PairBatches, pairs, recipe, tokenizer.to_str()),
        PairRecall(watched, tokenizer.to_str(), recipe.image_size),
        out,
        fingerprint(recipe, pairs.pixels, pairs.captions, pairs.kinds),
    )
    average = train(job, resume=resume, progress=progress)
    objective = _objective(recipe, tokenizer.to_str(), Rank(0, 1, recipe.schedule.seed))
    objective.load_state_dict(average)
    return objective.model.eval(), tokenizer


class PairObjective(Learner):
    """The symmetric contrastive loss over the pairs of all ranks, one micro-batch at a time."""

    def __init__(self, model: DualEncoder, micro_batch: int) -> None:
        super().__init__()
        self.model = model
        self._micro_batch = micro_batch

    def learn(self, *batch: Tensor) -> Tensor:
        """`batch`: images, float [N, 3, S, S], token ids, int64 [N, L], and kinds, int64 [N]."""
        images, input_ids, kinds = batch
        with mixed_precision(images.device):
            return cached_backward(
                (self.model.image, self.model.text),
                (images, input_ids),
                partial(self._loss, gather(kinds)),
                micro_batch=self._micro_batch,
            )

    def _loss(self, kinds: Tensor, images: Tensor, texts: Tensor) -> Tensor:
        with full_precision(images.device):
            scale = self.model.log_scale.exp().clamp(max=MAXIMUM_LOGIT_SCALE)
            logits = (
                scale * functional.normalize(images.float(), dim=-1) @ functional.normalize(texts.float(), dim=-1).T
            )
            return multi_positive_loss(logits, kinds[:, None].eq(kinds).float())


class PairBatches:
    """Draws augmented images, the token ids of one caption for each, and their kinds."""

    def __init__(self, pairs: Pairs, recipe: ImageRecipe, tokenizer_json: str, rank: Rank) -> None:
        self._pairs, self._recipe = pairs, recipe
        self._how = Augmentation(smallest_area=recipe.smallest_area, mix_probability=0.0)
        self._generator = torch.Generator().manual_seed(rank.seed)
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._pixels = torch.from_numpy(pairs.pixels)
        self._indices = shuffled_indices(len(self._pixels), recipe.schedule, rank)

    def draw(self, progress: float) -> tuple[Tensor, ...]:
        """Return float [N, 3, S, S], normalised, int64 [N, L] and int64 [N]."""
        size, chosen = size_at(progress, self._recipe.resolutions), next(self._indices)
        images = self._pixels[chosen].permute(0, 3, 1, 2).float() / 255
        images = warp(images, size, self._how, self._generator)
        images = erase(jitter_colour(images, self._how, self._generator), self._how, self._generator)
        texts = [self._one_of(self._pairs.captions[i]) for i in chosen.tolist()]
        input_ids = torch.tensor([encoding.ids for encoding in self._tokenizer.encode_batch(texts)])
        kinds = torch.from_numpy(self._pairs.kinds)[chosen]
        return normalise(images).contiguous(memory_format=torch.channels_last), input_ids, kinds

    def _one_of(self, captions: tuple[str, ...]) -> str:
        return captions[int(torch.randint(len(captions), (1,), generator=self._generator))]


@dataclass(frozen=True)
class PairRecall:
    """Share of held-out images whose nearest caption is of their own kind, and the logit scale."""

    pairs: Pairs
    tokenizer_json: str
    size: int

    @torch.no_grad()
    def __call__(self, module: nn.Module) -> dict[str, float]:
        """Measure a `PairObjective`."""
        assert isinstance(module, PairObjective)
        device, tokenizer = module.model.log_scale.device, Tokenizer.from_str(self.tokenizer_json)
        pixels = torch.from_numpy(self.pairs.pixels[:WATCHED]).permute(0, 3, 1, 2).float() / 255
        images = normalise(functional.interpolate(pixels, (self.size, self.size), mode="bilinear", antialias=True))
        texts = [captions[0] for captions in self.pairs.captions[:WATCHED]]
        input_ids = torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(texts)])
        image_embeds, text_embeds, scale = module.model(images.to(device), input_ids.to(device))
        kinds = torch.from_numpy(self.pairs.kinds[:WATCHED]).to(device)
        right = kinds[(image_embeds @ text_embeds.T).argmax(1)].eq(kinds).float().mean()
        return {"val_recall1": float(right), "logit_scale": float(scale)}


def _objective(recipe: ImageRecipe, tokenizer_json: str, _: Rank) -> PairObjective:
    torch.manual_seed(recipe.schedule.seed)
    tokenizer = Tokenizer.from_str(tokenizer_json)
    pad_id = tokenizer.token_to_id(PAD)
    assert pad_id is not None
    text = TextTower(tokenizer.get_vocab_size(), recipe.dimension, context=recipe.context, pad_id=pad_id)
    model = DualEncoder(ImageTower(recipe.dimension, recipe.dropout), text)
    return PairObjective(model, recipe.schedule.micro_batch or recipe.schedule.batch)
