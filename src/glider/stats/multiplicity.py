"""Multiple testing: p-values adjusted for the number of tests.

Holm (1979) bounds the chance of any false finding, under any dependence. Benjamini-Hochberg
(1995) bounds the expected share of false ones among the findings, for independent or positively
dependent tests; Benjamini-Yekutieli (2001) does so under any dependence.
"""

import numpy as np
from numpy.typing import ArrayLike

from glider.stats.statistic import Floats


def holm(p: ArrayLike) -> Floats:
    """Holm's adjusted p-values, in the order given, each at least its own p; shape (m,)."""
    values = _checked(p)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    return _back(np.minimum(np.maximum.accumulate(steps), 1), order)


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Benjamini-Hochberg adjusted p-values, in the order given; shape (m,)."""
    values = _checked(p)
    order = np.argsort(values, kind="stable")
    steps = values[order] * len(values) / np.arange(1, len(values) + 1)
    return _back(np.minimum.accumulate(steps[::-1])[::-1], order)


def benjamini_yekutieli(p: ArrayLike) -> Floats:
    """Benjamini-Yekutieli adjusted p-values, in the order given; shape (m,)."""
    values = _checked(p)
    harmonic = float((1 / np.arange(1, len(values) + 1)).sum())
    return np.minimum(benjamini_hochberg(values) * harmonic, 1)


def _checked(p: ArrayLike) -> Floats:
    values = np.asarray(p, np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values are numbers between 0 and 1 in one row")
    return values


def _back(adjusted: Floats, order: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> Floats:
    placed = np.empty_like(adjusted)
    placed[order] = adjusted
    return placed
