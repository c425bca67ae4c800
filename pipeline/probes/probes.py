"""Golden probes: known images and texts, sent through the path that a worker's own records take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.ports import TextEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.events.policies import PromptBank
from pipeline.judge.score import Judge
from pipeline.probes.golden import Decode, Encoder, GoldenFile, golden_images, golden_policies

# An engine in half precision or on another machine moves a golden embedding by less than a tenth of this. Reversed
# channels, another mean, filter or crop move at least one by five times as much (docs/probes.md has the figures).
MAX_IMAGE_DISTANCE = 2e-3
MAX_TEXT_DISTANCE = 1e-3

# Texts of the active set that one probe encodes again, and scores that it computes again.
SAMPLED_TEXTS = 8
SAMPLED_SCORES = 8
# Between the fast score in float32 and the reference in float64, in units of the score.
MAX_SCORE_ERROR = 1e-2


@dataclass(frozen=True, slots=True)
class ProbeFailure:
    """A known result that came out differently. `probe` is `image`, `text`, `score` or `policy_set`."""

    probe: str
    detail: str

    def __str__(self) -> str:
        return f"{self.probe}: {self.detail}"


class GoldenProbes:
    """
    Compares a worker's decoding, encoder and judge with a bundle's golden file. Used by one thread at a time.

    `decode` and `encoder` are those that the worker's own records go through; no cache of texts is between. A request
    has at most `batch_size` images.
    """

    def __init__(
        self, golden: GoldenFile, decode: Decode, encoder: Encoder, random: Random, batch_size: int = 32
    ) -> None:
        self._golden, self._decode, self._encoder, self._batch_size = golden, decode, encoder, batch_size
        self._images, self._policies = golden_images(), golden_policies()
        self._random = random

    def failures(self, active: Sequence[Judge]) -> list[ProbeFailure]:
        """
        Run every probe and return the failures; `active` are the judges of the active set and of its canary.

        Raises `DependencyFault` when the encoder or a decode process does not answer.
        """
        pixels = np.stack([self._decode(data) for data in self._images.values()])
        batches = [pixels[at : at + self._batch_size] for at in range(0, len(pixels), self._batch_size)]
        embeddings = np.concatenate([self._encoder.encode_images(batch) for batch in batches])
        bank = build_prompt_bank(self._policies, self._encoder)
        found = [*self._image_failures(embeddings), *self._text_failures(bank)]
        if not found:
            found += self._score_failures(bank, embeddings)
        for judge in active:
            found += self.set_failures(judge)
        return found

    def set_failures(self, judge: Judge) -> list[ProbeFailure]:
        """Return the failures of one judge: rows that are missing, texts and scores that come out differently."""
        if missing := list(_missing_rows(judge.bank)):
            return missing
        return [*self._stale_texts(judge.bank), *self._wrong_scores(judge)]

    def _image_failures(self, embeddings: NDArray[np.float32]) -> Iterator[ProbeFailure]:
        for (name, known), found in zip(self._golden.images.items(), embeddings, strict=True):
            if (distance := _distance(found, known)) > MAX_IMAGE_DISTANCE:
                yield ProbeFailure("image", f"the embedding of `{name}` is {distance:.4f} from the known one")

    def _text_failures(self, bank: PromptBank) -> Iterator[ProbeFailure]:
        distances = [_distance(found, known) for found, known in zip(bank.vectors, self._golden.texts, strict=True)]
        if (worst := max(distances)) > MAX_TEXT_DISTANCE:
            yield ProbeFailure("text", f"the embedding of a known text is {worst:.4f} from the known one")

    def _score_failures(self, bank: PromptBank, embeddings: NDArray[np.float32]) -> Iterator[ProbeFailure]:
        limit = bank.logit_scale * (MAX_IMAGE_DISTANCE + MAX_TEXT_DISTANCE) ** 0.5
        scores = Judge(bank).judge(embeddings.astype(np.float16)).raw
        for (name, known), found in zip(self._golden.scores.items(), scores, strict=True):
            if (error := float(np.abs(found - known).max())) > limit:
                yield ProbeFailure("score", f"a known score of `{name}` is off by {error:.2f}")

    def _stale_texts(self, bank: PromptBank) -> Iterator[ProbeFailure]:
        """Encode some texts of a set again; a cache that answers for another model is found within some probes."""
        rows = list(_phrases(bank))
        for row, phrase, templates in self._random.sample(rows, min(SAMPLED_TEXTS, len(rows))):
            fresh = _mean_vector(self._encoder, [template.format(phrase) for template in templates])
            if (distance := _distance(bank.vectors[row], fresh.tolist())) > MAX_TEXT_DISTANCE:
                detail = f"`{phrase}` of the active set has a vector {distance:.4f} from its text's"
                yield ProbeFailure("policy_set", detail)

    def _wrong_scores(self, judge: Judge) -> Iterator[ProbeFailure]:
        """Compute some scores of the known embeddings again, by the reference."""
        policies = judge.bank.policy_set.policies
        if not policies:
            return
        known = np.array(list(self._golden.images.values()), np.float16)
        scores = judge.judge(known).raw
        for _ in range(SAMPLED_SCORES):
            image, policy = self._random.randrange(len(known)), self._random.randrange(len(policies))
            reference = judge.reference_score(known[image], policy)
            if abs(reference - scores[image, policy]) > MAX_SCORE_ERROR:
                detail = f"`{policies[policy].id}` scores {scores[image, policy]:.3f} where {reference:.3f} is right"
                yield ProbeFailure("policy_set", detail)


def _missing_rows(bank: PromptBank) -> Iterator[ProbeFailure]:
    policy_set = bank.policy_set
    if not policy_set.background.prompts:
        yield ProbeFailure("policy_set", "the background of the active set is empty")
    named = [("the background", bank.background_rows, policy_set.background.prompts)]
    for index, policy in enumerate(policy_set.policies):
        named.append((f"`{policy.id}`", bank.prompt_rows[index], policy.prompts))
        named.append((f"the contrast of `{policy.id}`", bank.contrast_rows[index], policy.contrast))
    for name, (start, stop), phrases in named:
        if not 0 <= start <= stop <= len(bank.vectors) or stop - start != len(phrases):
            yield ProbeFailure("policy_set", f"{name} has {stop - start} vectors for {len(phrases)} phrases")


def _phrases(bank: PromptBank) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Yield each row of a bank with its phrase and the templates."""
    background = bank.policy_set.background
    yield from _numbered(bank.background_rows, background.prompts, background.templates)
    for index, policy in enumerate(bank.policy_set.policies):
        yield from _numbered(bank.prompt_rows[index], policy.prompts, policy.templates)
        yield from _numbered(bank.contrast_rows[index], policy.contrast, policy.templates)


def _numbered(
    rows: tuple[int, int], phrases: tuple[str, ...], templates: tuple[str, ...]
) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    return ((row, phrase, templates) for row, phrase in zip(range(*rows), phrases, strict=True))


def _mean_vector(encoder: TextEncoder, texts: list[str]) -> NDArray[np.float64]:
    mean = encoder.encode_texts(texts).astype(np.float64).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def _distance(found: NDArray[np.float32], known: Sequence[float]) -> float:
    """Return the cosine distance of two unit vectors."""
    return 1.0 - float(found.astype(np.float64) @ np.array(known, dtype=np.float64))
