"""Composite estimates from the decisions of earlier sessions and a fresh sample of the other images."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.stats.stratified_sample import Kind, Stratum, draw_sample


@dataclass(frozen=True, slots=True)
class Earlier:
    """
    Answer from an earlier session about the image at a place.

    `probability`: the probability with which the image was drawn and decided, None if unknown. `picture`: its
    difference hash.
    """

    place: int
    kind: Kind
    right: bool
    probability: float | None
    picture: NDArray[np.bool_] | None = None

    @property
    def others(self) -> float:
        """Number of images that the answer represents, besides its own."""
        return 0.0 if self.probability is None else 1 / self.probability - 1


def kind_of(*, before: bool, after: bool) -> Kind:
    """Return the kind of an image, given whether each of the two versions flags it."""
    if after:
        return Kind.FLAGGED if before else Kind.NEWLY_FLAGGED
    return Kind.NEWLY_CLEARED if before else Kind.NEITHER


def draw_rest(
    scores: NDArray[np.float64],
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    count: int,
    rng: np.random.Generator,
    decided: Collection[int],
) -> list[Stratum]:
    """Draw a sample as `draw_sample` does, from the images without an earlier decision."""
    rest = np.setdiff1d(np.arange(len(scores)), np.fromiter(decided, dtype=np.intp))
    strata = draw_sample(scores[rest], before[rest], after[rest], count, rng)
    return [Stratum(each.kind, rest[each.members], rest[each.drawn]) for each in strata]


@dataclass(frozen=True, slots=True)
class Seen:
    """Labels of one cell. `weights`: float64 [n], the number of its images that each label represents."""

    images: int
    right: NDArray[np.bool_]
    weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cell:
    """A stratum: the number of its images without an earlier decision, `rest`, and the `earlier` answers."""

    kind: Kind
    rest: int
    earlier: tuple[Earlier, ...]

    def seen(self, answers: NDArray[np.bool_]) -> Seen:
        """
        Return its labels: earlier ones, then `answers`, a plain random sample of the rest.

        An earlier label represents its own image, which is not drawn again. Earlier and new labels together represent
        the rest, each by its share of the effective number of labels (a composite of the estimates of two samples,
        Cochran 1977, chapter 12).
        """
        others = np.array([each.others for each in self.earlier], dtype=np.float64)
        effective = float(others.sum() ** 2 / (others**2).sum()) if others.any() else 0.0
        share = effective / (effective + len(answers)) if effective else 0.0
        old = 1 + others * (share * self.rest / others.sum() if effective else 0.0)
        new = np.full(len(answers), (1 - share) * self.rest / max(1, len(answers)))
        right = np.array([each.right for each in self.earlier], dtype=bool)
        images = self.rest + len(self.earlier)
        return Seen(images, np.concatenate([right, answers]), np.concatenate([old, new]))


def cells_of(strata: Sequence[Stratum], scores: NDArray[np.float64], earlier: Sequence[Earlier]) -> list[Cell]:
    """Return a cell for each stratum, in their order, then one for each kind whose images are all decided already."""
    lowest = [float(scores[each.members].min()) for each in strata]
    inside: dict[int | Kind, list[Earlier]] = {}
    for each in earlier:
        of_kind = [index for index, stratum in enumerate(strata) if stratum.kind is each.kind]
        # Strata of a kind are bands of falling score.
        above = (index for index in of_kind if scores[each.place] >= lowest[index])
        band = next(above, of_kind[-1] if of_kind else None)
        inside.setdefault(each.kind if band is None else band, []).append(each)
    whole = [Cell(each.kind, len(each.members), tuple(inside.pop(index, ()))) for index, each in enumerate(strata)]
    return whole + [Cell(kind, 0, tuple(given)) for kind, given in inside.items() if isinstance(kind, Kind)]
