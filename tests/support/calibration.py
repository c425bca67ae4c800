"""Synthetic populations with known precision at every threshold, to count how often a certificate is wrong."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.stats.certification import Certified, Labels, certify

TARGET, CONFIDENCE = 0.95, 0.95
NIGHTS, A_NIGHT = 30, 25


@dataclass(frozen=True)
class Population:
    """
    Images whose scores are uniform between 0 and 1.

    `share_right`: the share at a score that should be flagged; `precision`: the share at and over a threshold.
    """

    share_right: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    precision: Callable[[float], float]


FLAT = Population(lambda scores: np.full_like(scores, 0.945), lambda _: 0.945)
SLOPED = Population(lambda scores: 0.8 + 0.2 * scores, lambda threshold: 0.9 + 0.1 * threshold)
# One in a thousand is right, nearly all of them at the top, where a threshold of 0.999 would flag them and few others.
RARE = Population(
    lambda scores: np.where(scores > 0.999, 0.94, 0.06 / 999),
    lambda threshold: 0.94 if threshold >= 0.999 else (0.00094 + (0.999 - threshold) * 0.06 / 999) / (1 - threshold),
)


def labels(population: Population, count: int, rng: np.random.Generator) -> Labels:
    """A plain sample."""
    scores = rng.random(count)
    right = rng.random(count) < population.share_right(scores)
    return Labels(scores, right, np.ones(count), np.arange(count))


def copied(population: Population, count: int, rng: np.random.Generator) -> Labels:
    """A sample in which some images occur many times."""
    once = labels(population, count, rng)
    copies = rng.geometric(0.3, count)
    places = rng.permutation(np.repeat(np.arange(count), copies))
    return Labels(once.scores[places], once.positive[places], once.weights[places], places)


def stratified(population: Population, count: int, rng: np.random.Generator) -> Labels:
    """A sample that draws the upper half of scores four times as often, and says so by weight."""
    scores = np.where(rng.random(count) < 0.8, 0.5 + rng.random(count) / 2, rng.random(count) / 2)
    right = rng.random(count) < population.share_right(scores)
    return Labels(scores, right, np.where(scores >= 0.5, 1.0, 4.0), np.arange(count))


def rare_by_score(population: Population, count: int, rng: np.random.Generator) -> Labels:
    """Half of the labels from the top thousandth of scores, half from the rest, and says so by weight."""
    top = rng.random(count) < 0.5
    scores = np.where(top, 0.999 + rng.random(count) / 1000, 0.999 * rng.random(count))
    right = rng.random(count) < population.share_right(scores)
    return Labels(scores, right, np.where(top, 0.001 / 0.5, 0.999 / 0.5), np.arange(count))


def balanced(count: int, rng: np.random.Generator) -> Labels:
    """As many of `RARE` that are right as that are not, which says so by weight."""
    right = rng.random(count) < 0.5
    above = rng.random(count) < np.where(right, 0.94, 0.06 / 999)
    scores = np.where(above, 0.999 + rng.random(count) / 1000, 0.999 * rng.random(count))
    return Labels(scores, right, np.where(right, 0.001 / 0.5, 0.999 / 0.5), np.arange(count), by_answer=True)


def is_wrong(population: Population, given: Labels) -> bool:
    """Fit once: is a precision certified that the threshold does not have?"""
    found = certify(given, TARGET, CONFIDENCE)
    return isinstance(found, Certified) and population.precision(found.threshold) < TARGET


def is_wrong_any_night(population: Population, rng: np.random.Generator) -> bool:
    """Refit every night with the labels added since: is any night's certificate wrong?"""
    given = labels(population, NIGHTS * A_NIGHT, rng)
    grid = np.arange(0.9, -0.01, -0.1).tolist()
    for night in range(1, NIGHTS + 1):
        upto = slice(0, night * A_NIGHT)
        part = Labels(given.scores[upto], given.positive[upto], given.weights[upto], given.clusters[upto])
        found = certify(part, TARGET, CONFIDENCE, grid)
        if isinstance(found, Certified) and population.precision(found.threshold) < TARGET:
            return True
    return False


def scenarios() -> dict[str, Callable[[np.random.Generator], bool]]:
    """Return, by name, a draw of each kind: is its certificate wrong?"""
    return {
        "flat, just below the target": lambda rng: is_wrong(FLAT, labels(FLAT, 400, rng)),
        "sloped": lambda rng: is_wrong(SLOPED, labels(SLOPED, 600, rng)),
        "near-duplicates": lambda rng: is_wrong(FLAT, copied(FLAT, 300, rng)),
        "drawn by strata of the score": lambda rng: is_wrong(SLOPED, stratified(SLOPED, 600, rng)),
        "one in a thousand, half of the labels from the top": lambda rng: is_wrong(RARE, rare_by_score(RARE, 600, rng)),
        "one in a thousand, half of the labels right": lambda rng: is_wrong(RARE, balanced(600, rng)),
        "fitted again every night, flat": lambda rng: is_wrong_any_night(FLAT, rng),
        "fitted again every night, sloped": lambda rng: is_wrong_any_night(SLOPED, rng),
    }
