"""Estimates from the labels of a sample: precision, images whose flag an edit changes, and the supported threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.labelling.earlier import Earlier, Seen, cells_of
from pipeline.evaluation.stats.binomial import weighted_share
from pipeline.evaluation.stats.certification import Certified, Labels, Refused, candidates, certify
from pipeline.evaluation.stats.intervals import Interval
from pipeline.evaluation.stats.near_duplicates import clusters_of
from pipeline.evaluation.stats.stratified_sample import Kind, Stratum
from pipeline.evaluation.stats.supported_precision import Reached, best_supported

Hashes = Mapping[int, NDArray[np.bool_]]


class Reach(Enum):
    """Whether a threshold can still be certified; `POSSIBLE` if it would be with all remaining labels right."""

    POSSIBLE = "possible"
    TOO_FEW = "too few images are left in the sample"
    TOO_MANY_WRONG = "too many labels are wrong"


@dataclass(frozen=True, slots=True)
class FlipEstimate:
    """
    Estimated number of images that should be flagged, with a 95 % interval, among those that an edit flips.

    `images`: number of flipped images; `labelled`: number of those with a label.
    """

    images: int
    labelled: int
    right: Interval


@dataclass(frozen=True, slots=True)
class Findings:
    """
    Evidence about a policy after `labels` labels, of which `earlier` are from earlier sessions.

    `precision` is estimated for all `flagged` images of the edited policy, of which `flags_labelled` have a label and
    `flags_right` a positive one. `threshold` is the lowest that the labels certify for the precision `target`; it stays
    valid when it is checked after every label. If none is certified, `reach` tells whether the sample can still give
    one, `left` is the number of unanswered images above the `strictest` tested threshold, and `supported` is the
    highest precision that the labels do support. The intervals are valid only for a single look.
    """

    labels: int
    earlier: int
    flagged: int
    flags_labelled: int
    flags_right: int
    target: float
    precision: Interval
    newly_flagged: FlipEstimate
    newly_cleared: FlipEstimate
    threshold: Certified | Refused
    reach: Reach
    strictest: float
    left: int
    supported: Reached | None


class Labelling:
    """
    A sample and the answers to it so far.

    `scores`: float64 [N], the scores of all archived images; strata contain indices of this array. `target`,
    `confidence`: the precision that a threshold must have, and the confidence with which labels must show it.
    `earlier`: the answers of earlier sessions, in the order they were given; their images are in no stratum
    (`earlier.draw_rest`). `order` is random, so that the answered part of a sample is a random sample too.
    """

    def __init__(
        self,
        strata: Sequence[Stratum],
        scores: NDArray[np.float64],
        *,
        target: float,
        confidence: float,
        rng: np.random.Generator,
        earlier: Sequence[Earlier] = (),
    ) -> None:
        self._strata = strata
        self._cells = cells_of(strata, scores, earlier)
        self.earlier = earlier
        self._scores = scores
        self._target, self._confidence = target, confidence
        drawn = np.concatenate([np.zeros(0, dtype=np.intp), *(each.drawn for each in strata)])
        stratum = np.repeat(np.arange(len(strata)), [len(each.drawn) for each in strata])
        order = rng.permutation(len(drawn))
        self.order: list[int] = drawn[order].tolist()
        self._stratum_of = dict(zip(self.order, stratum[order].tolist(), strict=True))
        # An answer without a probability says nothing about the stream.
        self._weighed = [each for each in earlier if each.probability is not None]
        places = [*(each.place for each in self._weighed), *self.order]
        weights = [each.others + 1 for each in self._weighed] + [1 / self.probability(place) for place in self.order]
        self._drawn = np.stack([scores[np.array(places, dtype=np.intp)], np.array(weights)], axis=1)
        self._everything = self._labels(dict.fromkeys(self.order, False), {})
        # They depend on scores alone and are fixed before any answer, so checking often is as safe as checking once.
        grid = candidates(self._everything, target, confidence)
        self._grid = grid or [float(self._everything.scores.max(initial=-np.inf))]

    def probability(self, place: int) -> float:
        """Return the probability with which an image was drawn into the whole sample."""
        return self._strata[self._stratum_of[place]].probability

    def findings(self, answers: Mapping[int, bool], hashes: Hashes, left: Sequence[int] | None = None) -> Findings:
        """
        Return the evidence so far.

        `answers`: by place, in the order they were given; True for an image that should be flagged. `hashes`: the
        difference hashes of the pictures that were shown; near-duplicates count once for the threshold. `left`: places
        of the sample that may still be answered; None for all that are not answered.
        """
        left = [place for place in self.order if place not in answers] if left is None else left
        labels = self._labels(answers, hashes)
        threshold = certify(labels, self._target, self._confidence, self._grid)
        reach = self._reach(answers, hashes, left) if isinstance(threshold, Refused) else Reach.POSSIBLE
        flagged = self._seen(answers, Kind.FLAGGED, Kind.NEWLY_FLAGGED)
        return Findings(
            labels=len(self.earlier) + len(answers),
            earlier=len(self.earlier),
            flagged=sum(seen.images for seen in flagged),
            flags_labelled=sum(len(seen.right) for seen in flagged),
            flags_right=sum(int(seen.right.sum()) for seen in flagged),
            target=self._target,
            precision=_pooled(flagged),
            newly_flagged=_flips(self._seen(answers, Kind.NEWLY_FLAGGED)),
            newly_cleared=_flips(self._seen(answers, Kind.NEWLY_CLEARED)),
            threshold=threshold,
            reach=reach,
            strictest=self._grid[0],
            left=int((self._scores[np.array(left, dtype=np.intp)] >= self._grid[0]).sum()),
            supported=self._supported(labels) if reach is not Reach.POSSIBLE else None,
        )

    def _reach(self, answers: Mapping[int, bool], hashes: Hashes, left: Sequence[int]) -> Reach:
        all_right = dict.fromkeys(left, True)
        if self._certifies(self._labels({**answers, **all_right}, hashes)):
            return Reach.POSSIBLE
        flawless = self._labels({**dict.fromkeys(answers, True), **all_right}, hashes)
        flawless = replace(flawless, positive=np.ones_like(flawless.positive))
        return Reach.TOO_MANY_WRONG if self._certifies(flawless) else Reach.TOO_FEW

    def _certifies(self, labels: Labels) -> bool:
        return isinstance(certify(labels, self._target, self._confidence, self._grid), Certified)

    def _supported(self, labels: Labels) -> Reached | None:
        return best_supported(labels, self._target, self._confidence, everything=self._everything)

    def _labels(self, answers: Mapping[int, bool], hashes: Hashes) -> Labels:
        """Return the labels of earlier sessions, then those of this one."""
        old, new = self._weighed, list(answers)
        names = [str(place) for place in (*(each.place for each in old), *new)]
        return Labels(
            scores=self._scores[np.array(names, dtype=np.intp)],
            positive=np.array([*(each.right for each in old), *answers.values()], dtype=bool),
            weights=np.array([each.others + 1 for each in old] + [1 / self.probability(place) for place in new]),
            clusters=clusters_of(names, [*(each.picture for each in old), *map(hashes.get, new)]),
            drawn=self._drawn,
        )

    def _seen(self, answers: Mapping[int, bool], *kinds: Kind) -> list[Seen]:
        """Return the labels in each cell of these kinds."""
        by_cell: list[list[bool]] = [[] for _ in self._cells]
        for place, answer in answers.items():
            by_cell[self._stratum_of[place]].append(answer)
        return [
            cell.seen(np.array(given, dtype=bool))
            for cell, given in zip(self._cells, by_cell, strict=True)
            if cell.kind in kinds
        ]


def _flips(seen: Sequence[Seen]) -> FlipEstimate:
    """Return the estimate for one kind of flip, which has at most one cell."""
    if not seen:
        return FlipEstimate(0, 0, Interval(0.0, 0.0, 0.0))
    [cell] = seen
    hits, count = int(cell.right.sum()), len(cell.right)
    share = weighted_share(cell.right, cell.weights)
    known = float(cell.weights.sum())
    # Labelled images are known. The others lie within the interval, and the number of images bounds it.
    least = max(hits, known * share.lower)
    most = min(cell.images - (count - hits), known * share.upper + cell.images - known)
    return FlipEstimate(cell.images, count, Interval(cell.images * share.value, least, most))


def _pooled(seen: Sequence[Seen]) -> Interval:
    """
    Return the share of the images in these cells that should be flagged.

    In a cell without labels, all images may be right or all may be wrong.
    """
    right = np.concatenate([np.zeros(0, dtype=bool), *(each.right for each in seen)])
    weights = np.concatenate([np.zeros(0), *(each.weights for each in seen)])
    if not len(right):
        return Interval(float("nan"), 0.0, 1.0)
    known = weighted_share(right, weights)
    share = float(weights.sum()) / sum(each.images for each in seen)
    return Interval(known.value, share * known.lower, share * known.upper + 1 - share)
