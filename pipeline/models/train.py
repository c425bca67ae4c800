"""Train both towers contrastively on labelled photographs: several one-thread ranks, a schedule by wall clock."""

import copy
import json
import math
import os
import random
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from rich.console import Console
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from pipeline.events.images import PixelSpec
from pipeline.models.augment import Augmentation, erase, jitter_colour, mix, warp
from pipeline.models.captions import Captions
from pipeline.models.dataset import LabelledImages, load_split
from pipeline.models.dual_encoder import DualEncoder
from pipeline.models.language import TextTower
from pipeline.models.loss import multi_positive_loss
from pipeline.models.tokenizer import PAD, fit_tokenizer
from pipeline.models.vision import ImageTower

CANVAS = 128
REPORT_EVERY = 0.04
# glibc gives large blocks back to the kernel at once; a training step asks for them again, at a page fault each.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run learns, besides its data."""

    minutes: float = 25.0
    ranks: int = 2
    batch: int = 128
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.05
    warmup_share: float = 0.04
    ema: float = 0.998
    group_weight: float = 0.2
    resolutions: tuple[int, ...] = (64, 80, 96)
    smallest_area: float = 0.3
    mix_probability: float = 0.5
    dimension: int = 256
    context: int = 32
    vocabulary: int = 2048
    seed: int = 7

    @property
    def image_size(self) -> int:
        """The size the towers are shipped at: the last resolution."""
        return self.resolutions[-1]


def build_towers(recipe: Recipe, tokenizer: Tokenizer) -> DualEncoder:
    """Return freshly initialised towers, seeded by the recipe."""
    torch.manual_seed(recipe.seed)
    pad_id = tokenizer.token_to_id(PAD)
    assert pad_id is not None
    text = TextTower(tokenizer.get_vocab_size(), recipe.dimension, context=recipe.context, pad_id=pad_id)
    return DualEncoder(ImageTower(recipe.dimension), text)


def train(data: Path, captions: Captions, recipe: Recipe, out: Path, *, start_from: Path | None = None) -> None:
    """
    Train on `data`'s split `train` and write `out`/checkpoint.pt, tokenizer.json and metrics.jsonl.

    With `start_from`, the folder of an earlier run, training goes on from that run's weights.

    The checkpoint holds the exponential moving average of the weights. `val` is measured as the run goes, to watch it;
    nothing is chosen by it, and `test` is not read.
    """
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = fit_tokenizer(captions.every(), vocabulary=recipe.vocabulary, context=recipe.context)
    tokenizer.save(str(out / "tokenizer.json"))
    images = load_split(data, "train", PixelSpec(CANVAS, "squash"), captions.categories)
    watched = load_split(data, "val", PixelSpec(recipe.image_size, "squash"), captions.categories)
    os.environ.update(_KEEP_MEMORY)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    weights = torch.load(start_from / "checkpoint.pt", weights_only=True)["model"] if start_from else None
    job = _Job(recipe, captions, tokenizer.to_str(), images, watched, out, weights)
    spawn(_run_rank, (job, port), nprocs=recipe.ranks)  # type: ignore[no-untyped-call]  # torch leaves it untyped


@dataclass(frozen=True)
class _Job:
    """What every rank is given."""

    recipe: Recipe
    captions: Captions
    tokenizer_json: str
    images: LabelledImages
    watched: LabelledImages
    out: Path
    weights: dict[str, Tensor] | None


def _run_rank(rank: int, job: _Job, port: int) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=job.recipe.ranks)
    try:
        _Trainer(rank, job).run()
    finally:
        dist.destroy_process_group()


class _Trainer:
    def __init__(self, rank: int, job: _Job) -> None:
        recipe = job.recipe
        self.rank, self.recipe, self.captions, self.out = rank, recipe, job.captions, job.out
        self.watched = job.watched
        self.tokenizer = Tokenizer.from_str(job.tokenizer_json)
        self.augmentation = Augmentation(smallest_area=recipe.smallest_area, mix_probability=recipe.mix_probability)
        self.module = build_towers(recipe, self.tokenizer)
        if job.weights is not None:
            self.module.load_state_dict(job.weights)
        self.module.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.module).eval()
        self.parallel = DistributedDataParallel(self.module, forward_sync_buffers=False, gradient_as_bucket_view=True)
        self.optimiser = torch.optim.AdamW(_decayed(self.module, recipe.weight_decay), lr=0.0)
        self.generator = torch.Generator().manual_seed(recipe.seed * 1000 + rank)
        self.rng = random.Random(recipe.seed * 1000 + rank)  # noqa: S311 -- captions are no secret
        self.membership = torch.from_numpy(job.captions.membership())
        self.pixels, self.labels = torch.from_numpy(job.images.pixels), torch.from_numpy(job.images.labels)

    def run(self) -> None:
        started, spoken = time.monotonic(), 0.0
        for step, places in enumerate(self._batches()):
            progress = self._agree((time.monotonic() - started) / (60 * self.recipe.minutes))
            if progress >= 1:
                break
            loss = self._step(places, progress)
            self._follow(step)
            if self.rank == 0 and progress - spoken >= REPORT_EVERY:
                spoken = progress
                self._report(step, progress, loss)
        if self.rank == 0:
            self._report(step, 1.0, loss)
            torch.save({"recipe": asdict(self.recipe), "model": self.average.state_dict()}, self.out / "checkpoint.pt")

    def _batches(self) -> Iterator[Tensor]:
        """Yield this rank's share of a fresh shuffle of all images, again and again."""
        shuffle = torch.Generator().manual_seed(self.recipe.seed)
        while True:
            order = torch.randperm(len(self.labels), generator=shuffle)[self.rank :: self.recipe.ranks]
            for start in range(0, len(order) - self.recipe.batch + 1, self.recipe.batch):
                yield order[start : start + self.recipe.batch]

    def _agree(self, progress: float) -> float:
        """Return rank 0's progress, so that every rank changes resolution and stops at the same step."""
        shared = torch.tensor([progress], dtype=torch.float64)
        dist.broadcast(shared, 0)
        return float(shared)

    def _step(self, places: Tensor, progress: float) -> float:
        recipe = self.recipe
        rate = recipe.learning_rate * min(1.0, progress / recipe.warmup_share)
        rate *= 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        size = recipe.resolutions[min(int(progress * len(recipe.resolutions)), len(recipe.resolutions) - 1)]
        images, matches = self._augmented(places, size)
        texts = self.captions.draw_categories(self.rng) + self.captions.draw_groups(self.rng)
        input_ids = _trimmed(torch.tensor([encoding.ids for encoding in self.tokenizer.encode_batch(texts)]))
        with torch.autocast("cpu", torch.bfloat16):
            image_embeds, text_embeds, scale = self.parallel(images, input_ids)
        logits = scale * image_embeds @ text_embeds.T
        names = len(self.captions.categories)
        loss = multi_positive_loss(logits[:, :names], matches)
        loss = loss + recipe.group_weight * multi_positive_loss(logits[:, names:], matches @ self.membership)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self.module.parameters(), 5.0)
        self.optimiser.step()
        return float(loss.detach())

    def _augmented(self, places: Tensor, size: int) -> tuple[Tensor, Tensor]:
        how = self.augmentation
        images = self.pixels[places].permute(0, 3, 1, 2).float() / 255
        matches = nn.functional.one_hot(self.labels[places], len(self.captions.categories)).float()
        images = warp(images, size, how, self.generator)
        images = erase(jitter_colour(images, how, self.generator), how, self.generator)
        images, matches = mix(images, matches, how, self.generator)
        return normalise(images).contiguous(memory_format=torch.channels_last), matches

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        decay = min(self.recipe.ema, (1 + step) / (10 + step))
        ours = self.module.state_dict()
        for name, value in self.average.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(ours[name], 1 - decay)
            else:
                value.copy_(ours[name])

    def _report(self, step: int, progress: float, loss: float) -> None:
        top1 = zero_shot_top1(self.average, self.tokenizer, self.captions, self.watched)
        scale = float(self.module.log_scale.exp())
        line = {"progress": round(progress, 3), "step": step, "loss": loss, "val_top1": top1, "logit_scale": scale}
        with (self.out / "metrics.jsonl").open("a") as lines:
            lines.write(json.dumps(line) + "\n")
        Console(stderr=True).print(f"{progress:5.0%} step {step} loss {loss:.3f} val top-1 {top1:.3f}")


def normalise(images: Tensor) -> Tensor:
    """Map float [N, 3, H, W] from 0..1 to what the image tower was trained on."""
    return (images - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


@torch.no_grad()
def zero_shot_top1(model: DualEncoder, tokenizer: Tokenizer, captions: Captions, images: LabelledImages) -> float:
    """Return the share of `images` whose nearest category text, averaged over templates, is its own."""
    model.eval()
    prompts = [captions.plain(category) for category in captions.categories]
    flat = [encoding.ids for encoding in tokenizer.encode_batch([text for texts in prompts for text in texts])]
    text_embeds = nn.functional.normalize(model.text(_trimmed(torch.tensor(flat))), dim=-1)
    prototypes = nn.functional.normalize(text_embeds.view(len(prompts), -1, text_embeds.shape[-1]).mean(1), dim=-1)
    right = 0
    for start in range(0, len(images.labels), 128):
        pixels = torch.from_numpy(images.pixels[start : start + 128]).permute(0, 3, 1, 2).float() / 255
        with torch.autocast("cpu", torch.bfloat16):
            embeds = model.image(normalise(pixels).contiguous(memory_format=torch.channels_last)).float()
        right += int(np.sum((embeds @ prototypes.T).argmax(1).numpy() == images.labels[start : start + 128]))
    return right / len(images.labels)


def _trimmed(input_ids: Tensor) -> Tensor:
    """Drop the columns that are padding for every text; the pad id is 0."""
    return input_ids[:, : int((input_ids != 0).sum(1).max())]


def _decayed(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Split parameters: matrices decay, biases, norms, embeddings of one dimension and the temperature do not."""
    matrices = [p for p in module.parameters() if p.ndim > 1]
    rest = [p for p in module.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
