"""Composite estimates from the decisions of earlier sessions and a fresh sample of the other images."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.strata import Kind, Stratum, draw_sample


@dataclass(frozen=True, slots=True)
class Earlier:
    """
    The answer of an earlier session about the image at a place.

    `probability`: the chance with which the image was drawn and decided, None where nobody said. `picture`: its
    difference hash.
    """

    place: int
    kind: Kind
    right: bool
    probability: float | None
    picture: NDArray[np.bool_] | None = None

    @property
    def others(self) -> float:
        """The number of images for which it stands beside its own."""
        return 0.0 if self.probability is None else 1 / self.probability - 1


def kind_of(*, before: bool, after: bool) -> Kind:
    """Return the kind of an image that each version flags or not."""
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
    """Draw a sample as `draw_sample` does, of the images that nobody decided about."""
    rest = np.setdiff1d(np.arange(len(scores)), np.fromiter(decided, dtype=np.intp))
    strata = draw_sample(scores[rest], before[rest], after[rest], count, rng)
    return [Stratum(each.kind, rest[each.members], rest[each.drawn]) for each in strata]


@dataclass(frozen=True, slots=True)
class Seen:
    """The labels of one cell: `weights`, float64 [n], say how many of its images each stands for."""

    images: int
    right: NDArray[np.bool_]
    weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cell:
    """A stratum, whose `rest` nobody decided about before the session, and what was decided before."""

    kind: Kind
    rest: int
    earlier: tuple[Earlier, ...]

    def seen(self, answers: NDArray[np.bool_]) -> Seen:
        """
        Return its labels: earlier ones, then `answers`, a plain sample of the rest.

        An earlier label stands for its own image, which nobody samples again, and both kinds stand for the rest, each
        by its share of the labels' worth (a composite of two samples' estimates, Cochran 1977, chapter 12).
        """
        others = np.array([each.others for each in self.earlier], dtype=np.float64)
        worth = float(others.sum() ** 2 / (others**2).sum()) if others.any() else 0.0
        share = worth / (worth + len(answers)) if worth else 0.0
        old = 1 + others * (share * self.rest / others.sum() if worth else 0.0)
        new = np.full(len(answers), (1 - share) * self.rest / max(1, len(answers)))
        right = np.array([each.right for each in self.earlier], dtype=bool)
        images = self.rest + len(self.earlier)
        return Seen(images, np.concatenate([right, answers]), np.concatenate([old, new]))


def cells_of(strata: Sequence[Stratum], scores: NDArray[np.float64], earlier: Sequence[Earlier]) -> list[Cell]:
    """Return a cell for each stratum, in their order, and for each kind of which everything was decided before."""
    lowest = [float(scores[each.members].min()) for each in strata]
    inside: dict[int | Kind, list[Earlier]] = {}
    for each in earlier:
        of_kind = [place for place, stratum in enumerate(strata) if stratum.kind is each.kind]
        # Strata of a kind are bands of falling score.
        band = next(
            (place for place in of_kind if scores[each.place] >= lowest[place]), of_kind[-1] if of_kind else None
        )
        inside.setdefault(each.kind if band is None else band, []).append(each)
    whole = [Cell(each.kind, len(each.members), tuple(inside.pop(place, ()))) for place, each in enumerate(strata)]
    return whole + [Cell(kind, 0, tuple(given)) for kind, given in inside.items() if isinstance(kind, Kind)]
