"""What the labels of a drawn sample say so far: precision, what an edit changes, and the threshold they support."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.stats.binomial import exact_ends, weighted_share
from pipeline.evaluation.stats.certification import Certified, Labels, Refused, candidates, certify
from pipeline.evaluation.stats.intervals import Interval
from pipeline.evaluation.stats.near_duplicates import clusters_of
from pipeline.evaluation.stats.stratified_sample import Kind, Stratum


@dataclass(frozen=True, slots=True)
class FlipEstimate:
    """Of the `images` that an edit flips, how many should be flagged, a 95 % interval; `labelled` were looked at."""

    images: int
    labelled: int
    right: Interval


@dataclass(frozen=True, slots=True)
class Findings:
    """
    What is known after so many labels.

    `precision` is of everything the edited policy flags. `threshold` is the lowest that labels show to be as precise as
    wanted: it may be looked at after every label. The intervals are for one look.
    """

    labels: int
    flagged: int
    precision: Interval
    newly_flagged: FlipEstimate
    newly_cleared: FlipEstimate
    threshold: Certified | Refused


class Labelling:
    """
    A sample and the answers to it so far.

    `scores`: float64 [N], of every archived image, in which strata name places. `target` and `confidence`: what a
    threshold is to be shown to have. Images come in an order of chance, so that a sample that is looked at in part is
    one of chance too.
    """

    def __init__(
        self,
        strata: Sequence[Stratum],
        scores: NDArray[np.float64],
        *,
        target: float,
        confidence: float,
        rng: np.random.Generator,
    ) -> None:
        self._strata = strata
        self._scores = scores
        self._target, self._confidence = target, confidence
        drawn = np.concatenate([each.drawn for each in strata])
        stratum = np.repeat(np.arange(len(strata)), [len(each.drawn) for each in strata])
        order = rng.permutation(len(drawn))
        self.order: list[int] = drawn[order].tolist()
        self._stratum_of = dict(zip(self.order, stratum[order].tolist(), strict=True))
        weights = [1 / self.probability(place) for place in self.order]
        self._drawn = np.stack([scores[self.order], np.array(weights)], axis=1)
        everything = self._labels(self.order, dict.fromkeys(self.order, False), {})
        # Chosen by scores alone, before any answer: so every look at them is as safe as one.
        self._grid = candidates(everything, target, confidence) or [float(everything.scores.max())]

    def probability(self, place: int) -> float:
        """Return with which probability an image was drawn into the whole sample."""
        return self._strata[self._stratum_of[place]].probability

    def findings(self, answers: Mapping[int, bool], hashes: Mapping[int, NDArray[np.bool_]]) -> Findings:
        """
        Return what is known. `answers`: whether an image should be flagged, in the order they were given.

        `hashes`: difference hashes of pictures that were shown; copies of one count once in the threshold.
        """
        right, total = self._counts(answers)
        sizes = np.array([len(each.members) for each in self._strata])
        flagged = np.array([each.kind in (Kind.FLAGGED, Kind.NEWLY_FLAGGED) for each in self._strata])
        return Findings(
            labels=len(answers),
            flagged=int(sizes[flagged].sum()),
            precision=_pooled(sizes[flagged], right[flagged], total[flagged]),
            newly_flagged=self._change(Kind.NEWLY_FLAGGED, right, total),
            newly_cleared=self._change(Kind.NEWLY_CLEARED, right, total),
            threshold=self._threshold(answers, hashes),
        )

    def _change(self, kind: Kind, right: NDArray[np.intp], total: NDArray[np.intp]) -> FlipEstimate:
        places = [place for place, each in enumerate(self._strata) if each.kind is kind]
        if not places:
            return FlipEstimate(0, 0, Interval(0.0, 0.0, 0.0))
        [place] = places
        images, hits, count = len(self._strata[place].members), int(right[place]), int(total[place])
        lower, upper = exact_ends(hits, count) if count else (0.0, 1.0)
        value = hits / count if count else float("nan")
        # What was looked at is known: the rest lies within the interval, and no further than there are images.
        least, most = max(hits, images * lower), min(images - (count - hits), images * upper)
        return FlipEstimate(images, count, Interval(images * value, least, most))

    def _threshold(self, answers: Mapping[int, bool], hashes: Mapping[int, NDArray[np.bool_]]) -> Certified | Refused:
        labels = self._labels(list(answers), answers, hashes)
        return certify(labels, self._target, self._confidence, self._grid)

    def _labels(
        self, places: Sequence[int], answers: Mapping[int, bool], hashes: Mapping[int, NDArray[np.bool_]]
    ) -> Labels:
        return Labels(
            scores=self._scores[np.array(places, dtype=np.intp)],
            positive=np.array([answers[place] for place in places], dtype=bool),
            weights=np.array([1 / self.probability(place) for place in places], dtype=np.float64),
            clusters=clusters_of([str(place) for place in places], [hashes.get(place) for place in places]),
            drawn=self._drawn,
        )

    def _counts(self, answers: Mapping[int, bool]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return, by stratum, how many labelled images should be flagged, and how many are labelled."""
        right, total = (np.zeros(len(self._strata), dtype=np.intp) for _ in range(2))
        for place, answer in answers.items():
            total[self._stratum_of[place]] += 1
            right[self._stratum_of[place]] += answer
        return right, total


def _pooled(sizes: NDArray[np.intp], right: NDArray[np.intp], total: NDArray[np.intp]) -> Interval:
    """
    Return the share of strata of these sizes that should be flagged.

    A stratum nobody has looked at yet may be all right or all wrong.
    """
    seen = total > 0
    if not seen.any():
        return Interval(float("nan"), 0.0, 1.0)
    weights = np.repeat(sizes[seen] / total[seen], total[seen])
    hits = np.concatenate([np.arange(n) < k for k, n in zip(right[seen], total[seen], strict=True)])
    known = weighted_share(hits, weights)
    share = float(sizes[seen].sum() / sizes.sum())
    return Interval(known.value, share * known.lower, share * known.upper + 1 - share)
