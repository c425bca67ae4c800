"""The parity gate between two engines of one model: cosines of their embeddings, and verdicts that differ."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import EncoderFault, UsageError
from pipeline.evaluation.offline.embed import embed_readable
from pipeline.events.images import ImageLimits
from pipeline.events.policies import PolicySet
from pipeline.ingest.decode import decode
from pipeline.judge.score import Judge, Scores
from pipeline.models.cosines import cosines
from pipeline.policies.model_compatibility import stale_policies
from pipeline.progress import NO_PROGRESS, Progress

# Batch sizes that must not change an image's embedding (docs/encoder-contract.md).
BATCH_SIZES = (1, 8, 32)


@dataclass(frozen=True, slots=True)
class Limits:
    """
    The differences that an engine may have.

    `flip_rate`: maximum share of images for which the answer of one policy flips. `agreement`: minimum share of the
    images flagged by either engine that both must flag; a single flip is always allowed. `cosine`: minimum of the first
    percentile of the images' cosines. `text_cosine`: minimum cosine of a text. `batch_difference`: maximum difference
    of an embedding between batches.
    """

    flip_rate: float = 0.005
    agreement: float = 0.8
    cosine: float = 0.97
    text_cosine: float = 0.99
    batch_difference: float = 1e-5


@dataclass(frozen=True, slots=True)
class Flip:
    """An image for which the answer of one policy differs from the reference's."""

    policy_id: str
    file: Path
    threshold: float
    reference_score: float
    candidate_score: float


@dataclass(frozen=True, slots=True)
class Parity:
    """
    The result of a comparison. Cosines are between both engines' embeddings of the same image or text.

    `flagged_by_both`: number of images that both engines flag, by policy. `unfit`: policies whose thresholds were
    fitted for another model than the reference, so that their verdicts prove little.
    """

    images: int
    unreadable: int
    policies: tuple[str, ...]
    cosine_min: float
    cosine_p1: float
    cosine_median: float
    text_cosine_min: float
    batch_difference: float
    flips: tuple[Flip, ...]
    flagged_by_both: dict[str, int]
    unfit: tuple[str, ...]

    @property
    def flip_rate(self) -> float:
        """The share of all verdicts that flipped."""
        return len(self.flips) / (self.images * len(self.policies))

    def flip_counts(self) -> Counter[str]:
        """Return the number of flipped answers of each policy."""
        return Counter(flip.policy_id for flip in self.flips)

    def flip_rates(self) -> dict[str, float]:
        """Return the share of flipped answers of each policy."""
        counts = self.flip_counts()
        return {policy: counts[policy] / self.images for policy in self.policies}

    def refusals(self, limits: Limits) -> list[str]:
        """Return the reasons not to use the candidate; empty when there are none."""
        return [*self._verdict_refusals(limits), *self._embedding_refusals(limits)]

    def _verdict_refusals(self, limits: Limits) -> Iterator[str]:
        for policy, rate in self.flip_rates().items():
            if rate > limits.flip_rate:
                yield f"`{policy}`: {rate:.2%} of verdicts flip, {limits.flip_rate:.2%} are allowed"
        counts = self.flip_counts()
        for policy, both in self.flagged_by_both.items():
            flips = counts[policy]
            if flips > 1 and both / (both + flips) < limits.agreement:
                yield f"`{policy}`: of {both + flips} images that either engine flags, both flag {both}"

    def _embedding_refusals(self, limits: Limits) -> Iterator[str]:
        # In this form NaN is refused too.
        if not self.text_cosine_min >= limits.text_cosine:
            yield f"a text's cosine is {self.text_cosine_min:.4f}, {limits.text_cosine} is required"
        if not self.cosine_p1 >= limits.cosine:
            yield f"the lowest hundredth of cosines reaches {self.cosine_p1:.4f}, {limits.cosine} is required"
        if not self.batch_difference <= limits.batch_difference:
            yield f"an embedding differs by {self.batch_difference:.1e} between batches of different sizes"


class Encoder(Protocol):
    """
    Both towers of one bundle, in process or on a server.

    `encode_images` maps uint8 [N, H, W, 3] and `encode_texts` N texts to float32 [N, D], unit length; both block, and
    raise `EncoderFault` when a server does not answer.
    """

    model_digest: str
    logit_scale: float

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]: ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


def compare(
    reference: Bundle,
    candidate: Bundle,
    files: Sequence[Path],
    policy_set: PolicySet,
    *,
    served: Encoder | None = None,
    progress: Progress = NO_PROGRESS,
) -> Parity:
    """
    Judge `files` with both engines and compare; `served` computes the candidate elsewhere, for example behind Triton.

    Files that cannot be decoded are counted and left out. Raises `UsageError` when the two cannot be compared or no
    file can be read, and the errors of `served`.
    """
    _require_one_dimension(reference, candidate)
    before = _Engine(reference, LocalEncoder(reference), policy_set)
    readable, ours = before.embed(files, progress)
    try:
        after = _Engine(candidate, served or LocalEncoder(candidate), policy_set)
        _, theirs = after.embed(readable, progress)
    except EncoderFault as fault:
        if served is not None:
            raise
        raise UsageError(f"the candidate is refused: {fault}") from fault
    scores, changed, cosine = before.judge(ours), after.judge(theirs), cosines(ours, theirs)
    return Parity(
        images=len(readable),
        unreadable=len(files) - len(readable),
        policies=tuple(policy.id for policy in policy_set.policies),
        cosine_min=float(cosine.min()),
        cosine_p1=float(np.percentile(cosine, 1)),
        cosine_median=float(np.median(cosine)),
        text_cosine_min=float(cosines(before.prompts, after.prompts).min()),
        batch_difference=after.batch_difference(readable[: max(BATCH_SIZES)]),
        flips=_flips(readable, policy_set, scores, changed),
        flagged_by_both=_flagged_by_both(policy_set, scores, changed),
        unfit=tuple(policy.id for policy in stale_policies(policy_set, reference.lineage)),
    )


def _require_one_dimension(reference: Bundle, candidate: Bundle) -> None:
    if reference.manifest.dimension != candidate.manifest.dimension:
        raise UsageError(
            f"`{reference.folder}` has {reference.manifest.dimension} dimensions, `{candidate.folder}` "
            f"{candidate.manifest.dimension}: these are different models, not engines of one"
        )


class _Engine:
    """The encoder of one bundle, and a policy set encoded with it."""

    def __init__(self, bundle: Bundle, encoder: Encoder, policy_set: PolicySet) -> None:
        self._bundle = bundle
        self._encoder = encoder
        self._judge = Judge(build_prompt_bank(policy_set, self._encoder))

    @property
    def prompts(self) -> NDArray[np.float32]:
        return self._judge.bank.vectors

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        return decode(data, self._bundle.pixels, ImageLimits()).pixels

    def embed(self, files: Sequence[Path], progress: Progress) -> tuple[list[Path], NDArray[np.float32]]:
        """Return the readable files and their embeddings, float32 [N, D]."""
        tracked = progress.track(files, f"judging with `{self._bundle.folder}`", len(files))
        return embed_readable(tracked, self._encoder, self._bundle.pixels)

    def judge(self, embeddings: NDArray[np.float32]) -> Scores:
        return self._judge.judge(embeddings.astype(np.float16))

    def batch_difference(self, files: Sequence[Path]) -> float:
        """
        Return the maximum difference between components of an image's embedding from batches of different sizes.

        If there are fewer files than the largest batch has, they are repeated.
        """
        decoded = np.stack([self.decode(file.read_bytes()) for file in files])
        pixels = decoded[np.arange(max(BATCH_SIZES)) % len(decoded)]
        order = np.random.default_rng(1).permutation(len(pixels))
        found = []
        for size in BATCH_SIZES:
            embeds = np.empty((len(pixels), self._bundle.manifest.dimension), dtype=np.float32)
            for start in range(0, len(order), size):
                chosen = order[start : start + size]
                embeds[chosen] = self._encoder.encode_images(pixels[chosen])
            found.append(embeds)
        return float(np.max(np.abs(np.stack(found) - found[0])))


def _flips(files: Sequence[Path], policy_set: PolicySet, before: Scores, after: Scores) -> tuple[Flip, ...]:
    return tuple(
        Flip(
            policy_set.policies[p].id,
            files[i],
            policy_set.policies[p].threshold,
            float(before.raw[i, p]),
            float(after.raw[i, p]),
        )
        for i, p in np.argwhere(before.flagged != after.flagged)
    )


def _flagged_by_both(policy_set: PolicySet, before: Scores, after: Scores) -> dict[str, int]:
    counts = (before.flagged & after.flagged).sum(axis=0)
    return {policy.id: int(count) for policy, count in zip(policy_set.policies, counts, strict=True)}
