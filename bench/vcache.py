"""vCache's policy as its paper describes it (arXiv 2502.03771), for comparison.

Each cached entry learns its own threshold: it keeps the similarity and the outcome of each check against the
model, fits a sigmoid to them, and explores (asks the model, and checks) with a probability that keeps the
chance of a wrong answer below the tolerated error. With p a lower bound of the chance that a hit is right,
explore with probability (1 - tolerated - p) / (1 - p). The bound takes the entry's threshold at the upper
end of its confidence interval and multiplies by the confidence; the best of a grid of confidences counts.
"""

from __future__ import annotations

import math

import numpy as np

_GRID = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
_QUANTILES = (0.0, 0.524, 0.842, 1.282, 1.645, 2.054, 2.326, 2.576)  # of the normal distribution
_FEWEST = 6  # observations, below which an entry is always explored


class VCache:
    """The observations of every entry, and the decision to explore."""

    def __init__(self, tolerated_error: float, seed: int) -> None:
        self.tolerated_error = tolerated_error
        self._random = np.random.default_rng(seed)
        self._observed: dict[int, list[tuple[float, bool]]] = {}

    def observe(self, entry: int, similarity: float, right: bool) -> None:
        """Keep what a check against the model showed."""
        self._observed.setdefault(entry, []).append((similarity, right))

    def explores(self, entry: int, similarity: float) -> bool:
        """Say whether to ask the model, rather than answer from the entry."""
        observed = self._observed.get(entry, [])
        if len(observed) < _FEWEST:
            return True
        p = self._right_at_least(observed, similarity)
        chance = max(0.0, (1 - self.tolerated_error - p) / max(1 - p, 1e-9))
        return bool(self._random.random() < chance)

    def _right_at_least(self, observed: list[tuple[float, bool]], similarity: float) -> float:
        s = np.array([each[0] for each in observed])
        c = np.array([each[1] for each in observed], dtype=float)
        threshold, slope, deviation = _fit(s, c)
        bounds = [
            confidence / (1 + math.exp(-min(50.0, max(-50.0, slope * (similarity - threshold - z * deviation)))))
            for confidence, z in zip(_GRID, _QUANTILES, strict=True)
        ]
        return min(max(bounds), 1 - 1e-9)


def _fit(s: np.ndarray, c: np.ndarray) -> tuple[float, float, float]:
    """Fit a sigmoid by Newton's method with a weak prior: (threshold, slope, standard deviation of the threshold)."""
    x = np.stack([np.ones_like(s), s - 0.9], axis=1)
    prior = np.diag([0.1, 0.001])
    w = np.array([0.0, 10.0])
    start = w.copy()
    for _ in range(25):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        hessian = x.T @ (x * (p * (1 - p))[:, None]) + prior
        step = np.linalg.solve(hessian, x.T @ (c - p) - prior @ (w - start))
        w = w + np.clip(step, -20, 20)
        if np.abs(step).max() < 1e-6:
            break
    slope = max(float(w[1]), 1e-3)
    gradient = np.array([-1 / slope, w[0] / slope**2])
    variance = float(gradient @ np.linalg.inv(hessian) @ gradient)
    return 0.9 - float(w[0]) / slope, slope, math.sqrt(max(variance, 0.0))
