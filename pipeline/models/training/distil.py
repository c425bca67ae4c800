"""Distillation of a small text tower from a sentence encoder: for every phrase, the encoder's direction."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.captions import Captions
from pipeline.models.training.fingerprint import fingerprint, require_same
from pipeline.models.training.learner import Learner
from pipeline.models.training.phrases import draw_phrases
from pipeline.models.training.recipe import TextRecipe
from pipeline.models.training.sentence_space import SentenceSpace
from pipeline.models.training.sentence_tower import SentenceTower, cut_tower
from pipeline.models.training.train import Job, Rank, train
from pipeline.models.training.vocabulary import common_tokens, with_tokens
from pipeline.progress import NO_PROGRESS, Progress

HELD_OUT = 0.05
# Enough to follow a run; all of them are embedded again at each report.
MOST_HELD_OUT = 2000
WATCH_BATCH = 256
# A file next to the run's state with its phrases, so that a resumed run need not encode them again.
PHRASES = "phrases.npz"


@dataclass(frozen=True)
class Phrases:
    """`input_ids`: int64 [N, L], padded with 0; `vectors`: float32 [N, D], unit length."""

    input_ids: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def rows(self, start: int, stop: int | None = None) -> "Phrases":
        """Return some of the phrases."""
        return Phrases(self.input_ids[start:stop], self.vectors[start:stop])

    def save(self, path: Path, learns: str) -> None:
        """Write the phrases and the fingerprint of their run. The file is complete or absent."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, delete=False) as fresh:
            np.savez(fresh, input_ids=self.input_ids, vectors=self.vectors, learns=np.array(learns))
        Path(fresh.name).replace(path)


def distil_text_tower(
    space: SentenceSpace,
    entries: Sequence[str],
    captions: Captions,
    recipe: TextRecipe,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress = NO_PROGRESS,
) -> tuple[SentenceTower, Tokenizer]:
    """Cut a tower from the encoder and train it towards the encoder's vectors; return it, averaged, and a tokenizer."""
    tower, tokenizer = _cut(space, recipe)
    learns = fingerprint(recipe, space.origin, entries, captions.every())
    known = _known(out / PHRASES, learns) if resume else None
    if known is None:
        known = _ask(space, entries, captions, tokenizer, recipe)
        known.save(out / PHRASES, learns)
    held = min(int(recipe.phrases * HELD_OUT), MOST_HELD_OUT)
    job = Job(
        recipe.schedule,
        partial(_objective, tower),
        partial(PhraseBatches, known.rows(held), recipe.schedule.batch),
        partial(_unseen_cosine, known.rows(0, held)),
        out,
        learns,
    )
    average = train(job, resume=resume, progress=progress)
    distilled = DistilObjective(tower)
    distilled.load_state_dict(average)
    return tower.eval(), tokenizer


def _cut(space: SentenceSpace, recipe: TextRecipe) -> tuple[SentenceTower, Tokenizer]:
    kept = common_tokens(space.teacher.tokenizer, recipe.vocabulary)
    tower = cut_tower(space, kept, layers=recipe.layers, embedding=recipe.embedding, context=recipe.context)
    tokenizer = with_tokens(space.teacher.tokenizer, kept)
    tokenizer.enable_truncation(recipe.context)
    tokenizer.enable_padding(length=recipe.context)
    return tower, tokenizer


class DistilObjective(Learner):
    """One minus the cosine between the tower's vectors and the encoder's."""

    def __init__(self, text: SentenceTower) -> None:
        super().__init__()
        self.text = text

    def forward(self, input_ids: Tensor, vectors: Tensor) -> Tensor:
        """`input_ids`: int64 [N, L]; `vectors`: float [N, D], unit length. Returns a scalar."""
        embeds = functional.normalize(self.text(input_ids).float(), dim=-1)
        return 1 - (embeds * vectors).sum(1).mean()


class PhraseBatches:
    """Draws phrases of similar length, so that little of a batch is padding."""

    def __init__(self, phrases: Phrases, batch: int, rank: Rank) -> None:
        lengths = (phrases.input_ids != 0).sum(axis=1)
        order = np.argsort(lengths, kind="stable")[rank.number :: rank.count]
        self._input_ids, self._vectors = phrases.input_ids[order], phrases.vectors[order]
        self._random, self._batch = np.random.default_rng(rank.seed), batch

    def draw(self, progress: float) -> tuple[Tensor, ...]:  # noqa: ARG002 -- the protocol's
        """Return int64 [N, L] and float32 [N, D]."""
        start = int(self._random.integers(0, max(1, len(self._input_ids) - 4 * self._batch)))
        chosen = start + self._random.permutation(min(4 * self._batch, len(self._input_ids) - start))[: self._batch]
        input_ids = self._input_ids[chosen]
        longest = int((input_ids != 0).sum(axis=1).max())
        return torch.from_numpy(input_ids[:, :longest]), torch.from_numpy(self._vectors[chosen])


def _known(path: Path, learns: str) -> Phrases | None:
    """Read the saved phrases, if any. Raises `UsageError` when they belong to another run."""
    if not path.exists():
        return None
    with np.load(path) as kept:
        require_same(path.parent, str(kept["learns"]), learns)
        return Phrases(kept["input_ids"], kept["vectors"])


def _ask(
    space: SentenceSpace, entries: Sequence[str], captions: Captions, tokenizer: Tokenizer, recipe: TextRecipe
) -> Phrases:
    """Return shuffled phrases, then every caption, with the encoder's vectors."""
    phrases = draw_phrases(tokenizer.get_vocab(), entries, recipe.phrases, seed=recipe.schedule.seed)
    np.random.default_rng(recipe.schedule.seed).shuffle(phrases)
    texts = phrases + captions.every()
    input_ids = np.array([encoding.ids for encoding in tokenizer.encode_batch(texts)], dtype=np.int64)
    return Phrases(input_ids, space.embed(texts))


def _objective(tower: SentenceTower, _: Rank) -> DistilObjective:
    return DistilObjective(tower)


@torch.no_grad()
def _unseen_cosine(held: Phrases, module: nn.Module) -> dict[str, float]:
    assert isinstance(module, DistilObjective)
    lost, device = 0.0, module.text.positions.device
    for start in range(0, len(held.input_ids), WATCH_BATCH):
        part = held.rows(start, start + WATCH_BATCH)
        given = (torch.from_numpy(each).to(device) for each in (part.input_ids, part.vectors))
        lost += float(module(*given)) * len(part.input_ids)
    return {"unseen_cosine": 1 - lost / len(held.input_ids)}
