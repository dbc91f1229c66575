"""Ridge regression from a few features to a number or a probability (Hoerl and Kennard 1970).

Features are standardised first, and the penalty equals one observation (lambda 1), so it is
negligible from a hundred labels on and stabilizes what twenty cannot determine. An unknown feature
(NaN) is replaced by its mean. The intercept is not penalised.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from glider.stats.statistic import Floats

_PENALTY = 1.0
_STEPS = 50
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Ridge:
    """A fitted line, or logistic curve, over F features."""

    mean: Floats
    """Mean of each feature in the fitted data, shape (F,)."""
    spread: Floats
    """Standard deviation of each feature, shape (F,); 1 if it is constant."""
    weights: Floats
    """Weights of the standardised features, shape (F,)."""
    intercept: float
    logistic: bool

    @classmethod
    def fit(cls, features: Floats, target: Floats, *, logistic: bool) -> Self:
        """Fit to n items.

        Args:
            features: shape (n, F); NaN where unknown.
            target: shape (n,); 0 or 1 for a logistic curve, both of which must occur.
        """
        known = np.isfinite(features)
        n = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, features, 0.0).sum(axis=0) / n
        away = np.where(known, features - mean, 0.0)
        spread = np.sqrt(np.square(away).sum(axis=0) / n)
        spread[spread < _CLOSE * np.maximum(np.abs(mean), 1.0)] = 1.0
        design = np.column_stack([np.ones(len(target)), away / spread])
        penalty = np.diag([0.0, *[_PENALTY] * features.shape[1]])
        if logistic:
            beta = _logistic(design, target, penalty)
        else:
            beta = np.linalg.solve(design.T @ design + penalty, design.T @ target)
        return cls(mean, spread, beta[1:], float(beta[0]), logistic)

    def __call__(self, features: Floats) -> Floats:
        """Predictions, shape (n,): probabilities where it is logistic."""
        away = np.where(np.isfinite(features), features - self.mean, 0.0) / self.spread
        line = self.intercept + away @ self.weights
        return _probability(line) if self.logistic else line


def _logistic(design: Floats, target: Floats, penalty: Floats) -> Floats:
    """Newton's method on the penalised likelihood, halving steps that do not improve it."""
    beta = np.zeros(design.shape[1])
    beta[0] = np.log(target.mean() / (1 - target.mean()))

    def loss(at: Floats) -> float:
        line = design @ at
        return float(np.logaddexp(0, line).sum() - target @ line + at @ penalty @ at / 2)

    for _ in range(_STEPS):
        p = _probability(design @ beta)
        slope = design.T @ (p - target) + penalty @ beta
        curve = design.T @ (design * (p * (1 - p))[:, None]) + penalty
        step = np.linalg.lstsq(curve, slope, rcond=None)[0]
        now = loss(beta)
        while loss(beta - step) > now and np.abs(step).max() > _CLOSE:
            step = step / 2
        beta = beta - step
        if np.abs(step).max() < _CLOSE:
            break
    return beta


def _probability(line: Floats) -> Floats:
    # 0.5 (1 + tanh(x / 2)) is the logistic curve and never overflows.
    return np.asarray(0.5 * (1 + np.tanh(line / 2)), np.float64)
