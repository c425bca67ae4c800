"""Calibration: the evidence of a threshold, and probability curves."""

import bisect
import math
from dataclasses import dataclass

from pipeline.events.many import Many


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Probability by linear interpolation between rising knots (score, probability), constant beyond the ends."""

    knots: Many[tuple[float, float]]

    def probability(self, score: float) -> float:
        """Return the probability of a raw score."""
        index = bisect.bisect_right([knot[0] for knot in self.knots], score)
        if index == 0:
            return self.knots[0][1]
        if index == len(self.knots):
            return self.knots[-1][1]
        (left, low), (right, high) = self.knots[index - 1], self.knots[index]
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
    The evidence of a threshold.

    `digest` names the stored calibration. `data` and `prompts` are digests of its inputs: the labels, and everything
    except the model on which a score depends. `precision` is supported by the evidence with `confidence`; it is None if
    the threshold was fitted to a queue. `stale` names the inputs that have changed since the fit, so that the evidence
    no longer supports the threshold.
    """

    digest: str
    data: str
    prompts: str
    precision: float | None
    confidence: float | None
    probability: Isotonic | Platt | None
    stale: Many[str] = ()
