"""What a threshold was fitted on, and what a score means as a probability."""

import bisect
import math
from dataclasses import dataclass

from pipeline.events.many import Many


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Probability by straight lines between knots (score, probability), both rising; level beyond the ends."""

    knots: Many[tuple[float, float]]

    def probability(self, score: float) -> float:
        """Return the probability of a raw score."""
        place = bisect.bisect_right([knot[0] for knot in self.knots], score)
        if place == 0:
            return self.knots[0][1]
        if place == len(self.knots):
            return self.knots[-1][1]
        (left, low), (right, high) = self.knots[place - 1], self.knots[place]
        return low + (high - low) * (score - left) / (right - left)


@dataclass(frozen=True, slots=True)
class Platt:
    """Probability by a logistic curve of the score (Platt 1999)."""

    slope: float
    intercept: float

    def probability(self, score: float) -> float:
        """Return the probability of a raw score."""
        logit = self.slope * score + self.intercept
        return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


@dataclass(frozen=True, slots=True)
class Calibration:
    """
    A threshold's evidence.

    `digest` names the calibration as stored; `data` and `prompts` what it was fitted on: the labels, and all that makes
    a score of an embedding. `precision`, with `confidence`, is what the threshold deserves; without, it was fitted to a
    queue's length. `stale` says what has changed since: the threshold then stands for less than it says.
    """

    digest: str
    data: str
    prompts: str
    precision: float | None
    confidence: float | None
    probability: Isotonic | Platt | None
    stale: Many[str] = ()
