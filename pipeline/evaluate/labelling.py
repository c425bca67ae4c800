"""What the labels of a drawn sample say so far: precision, what an edit changes, and the threshold they support."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.certify import Certified, Labels, Refused, candidates, certify
from pipeline.evaluate.earlier import Earlier, Seen, cells_of
from pipeline.evaluate.exact import weighted_share
from pipeline.evaluate.intervals import Interval
from pipeline.evaluate.near_duplicates import clusters_of
from pipeline.evaluate.strata import Kind, Stratum
from pipeline.evaluate.supported import Reached, best_supported

Hashes = Mapping[int, NDArray[np.bool_]]


class Reach(Enum):
    """The prospect of a threshold that is not certified yet: `POSSIBLE` if all the rest of the sample were right."""

    POSSIBLE = "possible"
    TOO_FEW = "too few images are left in the sample"
    TOO_MANY_WRONG = "too many labels are wrong"


@dataclass(frozen=True, slots=True)
class Change:
    """Of the `images` that an edit flips, how many should be flagged, a 95 % interval; `labelled` were looked at."""

    images: int
    labelled: int
    right: Interval


@dataclass(frozen=True, slots=True)
class Findings:
    """
    The state of a policy's evidence after a number of labels, `earlier` of them from earlier sessions.

    `precision` is of everything the edited policy flags; `flags_right` of `flags_labelled` count labels. `threshold` is
    the lowest that labels show to be as precise as the `target`: it may be looked at after every label. Without one,
    `reach` says whether the sample can still give one, with its images that are `left` over the `strictest` threshold
    tested, and `supported` which precision it does support. The intervals are for one look.
    """

    labels: int
    earlier: int
    flagged: int
    flags_labelled: int
    flags_right: int
    target: float
    precision: Interval
    newly_flagged: Change
    newly_cleared: Change
    threshold: Certified | Refused
    reach: Reach
    strictest: float
    left: int
    supported: Reached | None


class Labelling:
    """
    A sample and the answers to it so far.

    `scores`: float64 [N], of every archived image, in which strata name places. `target` and `confidence`: what a
    threshold is to be shown to have. Images come in an order of chance, so that a sample that is looked at in part is
    one of chance too. `earlier`: answers of earlier sessions, in the order they were given, about images that are in no
    stratum (`earlier.draw_rest`).
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
        # An answer without a probability says nothing of the stream.
        self._weighed = [each for each in earlier if each.probability is not None]
        places = [*(each.place for each in self._weighed), *self.order]
        weights = [each.others + 1 for each in self._weighed] + [1 / self.probability(place) for place in self.order]
        self._drawn = np.stack([scores[np.array(places, dtype=np.intp)], np.array(weights)], axis=1)
        self._everything = self._labels(dict.fromkeys(self.order, False), {})
        # Chosen by scores alone, before any answer: so every look at them is as safe as one.
        grid = candidates(self._everything, target, confidence)
        self._grid = grid or [float(self._everything.scores.max(initial=-np.inf))]

    def probability(self, place: int) -> float:
        """Return with which probability an image was drawn into the whole sample."""
        return self._strata[self._stratum_of[place]].probability

    def findings(self, answers: Mapping[int, bool], hashes: Hashes, left: Sequence[int] | None = None) -> Findings:
        """
        Return the evidence. `answers`: whether an image should be flagged, in the order they were given.

        `hashes`: difference hashes of pictures that were shown; copies of one count once in the threshold. `left`: the
        places of the sample that may still be answered.  [default: all that are not]
        """
        cells = list(zip(self._cells, self._seen(answers), strict=True))
        flagged = [seen for cell, seen in cells if cell.kind in (Kind.FLAGGED, Kind.NEWLY_FLAGGED)]
        labels = self._labels(answers, hashes)
        threshold = certify(labels, self._target, self._confidence, self._grid)
        left = [place for place in self.order if place not in answers] if left is None else left
        refused = isinstance(threshold, Refused)
        reach = self._reach(answers, hashes, left) if refused else Reach.POSSIBLE
        return Findings(
            labels=len(self.earlier) + len(answers),
            earlier=len(self.earlier),
            flagged=sum(seen.images for seen in flagged),
            flags_labelled=sum(len(seen.right) for seen in flagged),
            flags_right=sum(int(seen.right.sum()) for seen in flagged),
            target=self._target,
            precision=_pooled(flagged),
            newly_flagged=_change([seen for cell, seen in cells if cell.kind is Kind.NEWLY_FLAGGED]),
            newly_cleared=_change([seen for cell, seen in cells if cell.kind is Kind.NEWLY_CLEARED]),
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
        flawless = replace(flawless, right=np.ones_like(flawless.right))
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
            right=np.array([*(each.right for each in old), *answers.values()], dtype=bool),
            weights=np.array([each.others + 1 for each in old] + [1 / self.probability(place) for place in new]),
            clusters=clusters_of(names, [*(each.picture for each in old), *map(hashes.get, new)]),
            drawn=self._drawn,
        )

    def _seen(self, answers: Mapping[int, bool]) -> list[Seen]:
        by_cell: list[list[bool]] = [[] for _ in self._cells]
        for place, answer in answers.items():
            by_cell[self._stratum_of[place]].append(answer)
        return [cell.seen(np.array(given, dtype=bool)) for cell, given in zip(self._cells, by_cell, strict=True)]


def _change(seen: Sequence[Seen]) -> Change:
    """Return what the labels of a kind say; there is at most one cell of it."""
    if not seen:
        return Change(0, 0, Interval(0.0, 0.0, 0.0))
    [cell] = seen
    hits, count = int(cell.right.sum()), len(cell.right)
    share = weighted_share(cell.right, cell.weights)
    known = float(cell.weights.sum())
    # What was looked at is known: the rest lies within the interval, and no further than there are images.
    least = max(hits, known * share.lower)
    most = min(cell.images - (count - hits), known * share.upper + cell.images - known)
    return Change(cell.images, count, Interval(cell.images * share.value, least, most))


def _pooled(seen: Sequence[Seen]) -> Interval:
    """
    Return the share of the images of these cells that should be flagged.

    A cell nobody has looked at yet may be all right or all wrong.
    """
    right = np.concatenate([np.zeros(0, dtype=bool), *(each.right for each in seen)])
    weights = np.concatenate([np.zeros(0), *(each.weights for each in seen)])
    if not len(right):
        return Interval(float("nan"), 0.0, 1.0)
    known = weighted_share(right, weights)
    share = float(weights.sum()) / sum(each.images for each in seen)
    return Interval(known.value, share * known.lower, share * known.upper + 1 - share)
