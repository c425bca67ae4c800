"""Streams whose misses are known, audited by a draw, and how often the stated interval of recall is wrong."""

from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.stats.recall import estimate_recall


@dataclass(frozen=True)
class Audited:
    """A policy's day: its right flags and, by stratum, the numbers of images it passed, missed and audits."""

    hits: int
    passed: tuple[int, ...]
    missed: tuple[int, ...]
    looked_at: tuple[int, ...]

    @property
    def recall(self) -> float:
        return self.hits / (self.hits + sum(self.missed))


SCENARIOS = {
    "many misses, all near the threshold": Audited(400, (2_000, 20_000, 80_000), (120, 10, 0), (200, 200, 200)),
    "misses everywhere": Audited(300, (2_000, 20_000, 80_000), (60, 60, 60), (400, 400, 400)),
    "few misses, seldom ten found": Audited(300, (2_000, 20_000, 80_000), (40, 20, 5), (300, 300, 300)),
    "hardly any": Audited(300, (2_000, 20_000, 80_000), (4, 1, 0), (200, 200, 200)),
    "some far away, where one stands for hundreds": Audited(
        200, (1_000, 10_000, 200_000), (100, 50, 20), (300, 300, 600)
    ),
    "one stratum looked at whole": Audited(100, (300, 10_000, 50_000), (30, 30, 5), (300, 600, 300)),
}


def covers(stream: Audited, rng: np.random.Generator) -> bool:
    """Audit once: does the interval contain the true recall, or is recall reported as unknown?"""
    missed, audited = [], []
    for passed, wrong, looked_at in zip(stream.passed, stream.missed, stream.looked_at, strict=True):
        chance = min(1.0, looked_at / passed)
        missed.append(np.full(rng.binomial(wrong, chance), chance))
        audited.append(np.full(rng.binomial(passed, chance), chance))
    found = estimate_recall(stream.hits, np.concatenate(missed), np.concatenate(audited)).interval
    return found is None or found.lower <= stream.recall <= found.upper
