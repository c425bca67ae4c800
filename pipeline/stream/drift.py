"""Drift of scores and embeddings: population stability indexes of a recent window against a reference window."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.events.policies import Policy

# Bins that scores are counted in; those beyond the ends fall into the first and the last. Scores are log ratios, mostly
# within ±20, so a bin of 0.25 is finer than the tenths of the reference that the index compares.
SCORE_EDGES = np.linspace(-20, 20, 161)
COSINE_EDGES = np.linspace(-1, 1, 401)

# Groups of the reference with about equal counts; ten is usual for the index.
GROUPS = 10

# With fewer images in either window, chance alone would move the index by more than 0.04 (Yurdakul and Naranjo 2020:
# its mean without drift is about (groups - 1) (1/n + 1/m)).
MIN_IMAGES = 500

# The window that is being filled and the last whole one.
RECENT = 2


def stability_index(reference: NDArray[np.int64], recent: NDArray[np.int64]) -> float | None:
    """
    Return the population stability index of two histograms, int64 [B], or None when either is too small.

    It is the sum of (p - q) ln(p / q) over groups of bins with about a tenth of the reference each, where p and q are
    the shares of the recent and the reference window; half a count is added to each, so that none is 0. The usual
    reading: under 0.1 stable, over 0.25 a shift (Siddiqi 2006, chapter 8).
    """
    if reference.sum() < MIN_IMAGES or recent.sum() < MIN_IMAGES:
        return None
    cumulated = np.cumsum(reference) / reference.sum()
    starts = np.searchsorted(cumulated, np.arange(1, GROUPS) / GROUPS, side="left") + 1
    groups = np.unique(np.concatenate([[0], starts[starts < len(reference)]]))
    q, p = (np.add.reduceat(counts, groups) + 0.5 for counts in (reference, recent))
    q, p = q / q.sum(), p / p.sum()
    return float(((p - q) * np.log(p / q)).sum())


class _Windows:
    """Histograms of consecutive windows, int64 [R, B] each, one row a variable; the last one is being filled."""

    def __init__(self, rows: int, bins: int, kept: int) -> None:
        self._shape, self._kept = (rows, bins), kept
        self._counts: deque[NDArray[np.int64]] = deque([np.zeros(self._shape, np.int64)])

    def add(self, rows: NDArray[np.intp], bins: NDArray[np.intp]) -> None:
        """Count one value in each pair of a row and a bin."""
        count, width = self._shape
        self._counts[-1] += np.bincount(rows * width + bins, minlength=count * width).reshape(self._shape)

    def turn(self) -> None:
        """Begin another window, and drop the oldest one beyond the reference."""
        self._counts.append(np.zeros(self._shape, np.int64))
        while len(self._counts) > self._kept + RECENT:
            self._counts.popleft()

    def rearranged(self, origins: Sequence[int | None]) -> Self:
        """Return windows whose rows are these rows, or empty for None."""
        other = type(self)(len(origins), self._shape[1], self._kept)
        other._counts = deque(  # noqa: SLF001 -- of the same class
            np.stack([np.zeros(self._shape[1], np.int64) if row is None else counts[row] for row in origins])
            for counts in self._counts
        )
        return other

    def index(self, row: int) -> float | None:
        """Return a row's stability index of the recent windows against those before."""
        if len(self._counts) <= RECENT:
            return None
        histograms = [counts[row] for counts in self._counts]
        return stability_index(np.sum(histograms[:-RECENT], axis=0), np.sum(histograms[-RECENT:], axis=0))


class DriftMonitor:
    """
    Compares the last one to two windows with the reference: the windows before, up to `reference_s`.

    A policy whose meaning changes begins anew, and so does everything with another model. Embeddings are compared by
    their cosine with the mean embedding of the first window. Times are monotonic seconds. Safe with several threads.
    """

    def __init__(self, window_s: float, reference_s: float, clock: Callable[[], float]) -> None:
        self._window_s, self._kept = window_s, max(1, round(reference_s / window_s))
        self._clock, self._turned_s = clock, clock()
        self._model = ""
        self._policies: tuple[Policy, ...] = ()
        self._scores = _Windows(0, len(SCORE_EDGES) + 1, self._kept)
        self._cosines = _Windows(1, len(COSINE_EDGES) + 1, self._kept)
        self._first: NDArray[np.float32] | None = None
        self._direction: NDArray[np.float32] | None = None
        self._lock = threading.Lock()

    def add(
        self,
        policies: tuple[Policy, ...],
        model: str,
        scores: NDArray[np.float64],
        in_scope: NDArray[np.bool_],
        embeddings: NDArray[np.float16],
    ) -> None:
        """Count images: `scores`: float64 [N, P], `in_scope`: bool [N, P], `embeddings`: float16 [N, D]."""
        with self._lock:
            self._turn()
            if model != self._model:
                self._begin(model)
            self._arrange(policies)
            images, rows = np.nonzero(in_scope)
            self._scores.add(rows, np.searchsorted(SCORE_EDGES, scores[images, rows]))
            self._add_embeddings(embeddings.astype(np.float32))

    def score_drift(self) -> Mapping[str, float | None]:
        """Return the index of each policy, None with too few images in either window."""
        with self._lock:
            return {policy.id: self._scores.index(row) for row, policy in enumerate(self._policies)}

    def embedding_drift(self) -> float | None:
        """Return the index of the cosines with the mean embedding, None with too few images in either window."""
        with self._lock:
            return self._cosines.index(0)

    def _turn(self) -> None:
        if self._clock() - self._turned_s < self._window_s:
            return
        self._turned_s = self._clock()
        self._scores.turn()
        if self._direction is not None:
            self._cosines.turn()
        elif self._first is not None:
            self._direction = self._first / np.linalg.norm(self._first)

    def _begin(self, model: str) -> None:
        self._model, self._policies = model, ()
        self._first = self._direction = None
        self._scores = _Windows(0, len(SCORE_EDGES) + 1, self._kept)
        self._cosines = _Windows(1, len(COSINE_EDGES) + 1, self._kept)

    def _arrange(self, policies: tuple[Policy, ...]) -> None:
        """Keep the rows of unchanged policies when another set judges."""
        if policies is self._policies:
            return
        before = {(policy.id, policy.digest): row for row, policy in enumerate(self._policies)}
        self._scores = self._scores.rearranged([before.get((policy.id, policy.digest)) for policy in policies])
        self._policies = policies

    def _add_embeddings(self, embeddings: NDArray[np.float32]) -> None:
        """Sum the first window's embeddings; count the later ones' cosines with their mean. float32 [N, D]."""
        if self._direction is None:
            total = embeddings.sum(axis=0)
            self._first = total if self._first is None else self._first + total
        else:
            bins = np.searchsorted(COSINE_EDGES, embeddings @ self._direction)
            self._cosines.add(np.zeros_like(bins), bins)
