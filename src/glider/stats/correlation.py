"""Correlation of scores and labels: Pearson, Spearman, Kendall's tau-b.

A correlation ignores the level: a judge that is always two too high has 1. Report the mean
absolute error with it. If a side does not vary, or with fewer than three items, it is undefined:
`Degenerate`, never 0.

`f(score, gold, weights=None)`; weights say how often an item counts, so that a weight of 2 is the
item written twice (for tau-b, whose ties that makes, too).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from glider.stats.statistic import (
    Floats,
    Ints,
    Kernel,
    Prepared,
    Statistic,
    checked,
    runs,
    why_no_spread,
)

_NOTHING = 1e-12  # Relative to a sum of squares: less spread than this is rounding.


@Statistic
def pearson(score: ArrayLike, gold: ArrayLike) -> Prepared:
    """Pearson's r, -1 to 1."""
    x, y = checked(score, gold)
    # Centred, so that the sums of squares keep their precision.
    x, y = x - x.mean(), y - y.mean()
    moments = np.column_stack([np.ones_like(x), x, y, x * x, y * y, x * y])

    def kernel(weights: Floats) -> Floats:
        n, sx, sy, sxx, syy, sxy = (weights @ moments).T
        spread_x, spread_y = sxx - sx * sx / n, syy - sy * sy / n
        r = (sxy - sx * sy / n) / np.sqrt(spread_x * spread_y)
        real = (n >= 3) & (spread_x > _NOTHING * sxx) & (spread_y > _NOTHING * syy)
        return np.where(real, np.clip(r, -1, 1), np.nan)

    return Prepared(len(x), kernel, why_no_spread(*checked(score, gold)), (-1, 1))


@Statistic
def spearman(score: ArrayLike, gold: ArrayLike) -> Prepared:
    """Spearman's rho, -1 to 1: Pearson's r of the ranks, ties at the mean of their ranks."""
    x, y = checked(score, gold)
    cells, xs, ys = _cells(x, y)
    x_starts = runs(xs)
    y_order = np.argsort(ys, kind="stable")
    y_starts = runs(ys[y_order])

    def kernel(weights: Floats) -> Floats:
        w = cells(weights)
        n = w.sum(axis=1)
        of_x = np.add.reduceat(w, x_starts, axis=1)
        of_y = np.add.reduceat(np.take(w, y_order, axis=1), y_starts, axis=1)
        rank_x, rank_y = _ranks(of_x, n), _ranks(of_y, n)
        spread = _dot(of_x, rank_x**2) * _dot(of_y, rank_y**2)
        together = np.einsum(
            "ij,ij,ij->i", w, np.take(rank_x, xs, axis=1), np.take(rank_y, ys, axis=1)
        )
        # Ranks are of order n, their sum of squares of order n cubed.
        real = (n >= 3) & (spread > (_NOTHING * n**3) ** 2)
        return np.where(real, np.clip(together / np.sqrt(spread), -1, 1), np.nan)

    return Prepared(len(x), kernel, why_no_spread(x, y), (-1, 1))


@Statistic
def kendall(score: ArrayLike, gold: ArrayLike) -> Prepared:
    """Kendall's tau-b, -1 to 1 (Kendall 1945): concordant minus discordant pairs, ties corrected.

    O(n log m) for m distinct values on the side with fewer.
    """
    x, y = checked(score, gold)
    if len(np.unique(x)) < len(np.unique(y)):
        x, y = y, x
    cells, xs, ys = _cells(x, y)
    x_starts = runs(xs)
    y_order = np.argsort(ys, kind="stable")
    y_starts = runs(ys[y_order])
    rising = _rising_pairs(xs, ys)

    def kernel(weights: Floats) -> Floats:
        w = cells(weights)
        n = w.sum(axis=1)
        of_x = np.add.reduceat(w, x_starts, axis=1)
        of_y = np.add.reduceat(np.take(w, y_order, axis=1), y_starts, axis=1)
        # Twice the pairs that differ in x, in y, in both.
        in_x, in_y = n * n - _dot(of_x, of_x), n * n - _dot(of_y, of_y)
        in_both = in_x + in_y - n * n + _dot(w, w)
        tau = (4 * rising(w) - in_both) / np.sqrt(in_x * in_y)
        real = (n >= 3) & (in_x > _NOTHING * n * n) & (in_y > _NOTHING * n * n)
        return np.where(real, np.clip(tau, -1, 1), np.nan)

    return Prepared(len(x), kernel, why_no_spread(*checked(score, gold)), (-1, 1))


def _cells(x: Floats, y: Floats) -> tuple[Kernel, Ints, Ints]:
    """The different (x, y) by x, then y: sums of weights over each, and its codes, (cells,)."""
    xs = np.unique(x, return_inverse=True)[1].astype(np.int64)
    ys = np.unique(y, return_inverse=True)[1].astype(np.int64)
    order = np.lexsort((ys, xs))
    xs, ys = xs[order], ys[order]
    starts = runs(xs, ys)

    def sums(weights: Floats) -> Floats:
        ordered = np.take(weights, order, axis=1)
        return ordered if len(starts) == len(order) else np.add.reduceat(ordered, starts, axis=1)

    return sums, xs[starts], ys[starts]


def _ranks(counts: Floats, n: Floats) -> Floats:
    """Mean ranks less the mean of all ranks, from how often each value occurs, shape (r, values).

    Exact for whole counts; all 0 where only one value occurs.
    """
    ranks = np.cumsum(counts, axis=1)
    ranks -= counts / 2
    ranks -= n[:, None] / 2
    return ranks


def _dot(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", a, b), np.float64)


def _rising_pairs(xs: Ints, ys: Ints) -> Callable[[Floats], Floats]:
    """Weight of the pairs that rise in both; cells are sorted by x, then y.

    Two different y part at exactly one binary digit, the highest in which their codes differ. So
    for each digit: cells that agree in all higher digits, in the order of x, and for each that
    has a 1 there the weight of those before it, at a smaller x, that have a 0.
    """
    steps: list[tuple[Ints, Ints, Ints, Ints]] = []
    for digit in range(int(ys.max()).bit_length()):
        higher = ys >> (digit + 1)
        order = np.argsort(higher, kind="stable")
        ones = (ys[order] >> digit & 1).astype(np.bool_)
        zeros_before: Ints = np.cumsum(~ones) - ~ones
        group = runs(higher[order])
        tied = runs(higher[order], xs[order])
        first_of_group: Ints = zeros_before[group].repeat(np.diff(group, append=len(order)))
        first_of_tied: Ints = zeros_before[tied].repeat(np.diff(tied, append=len(order)))
        steps.append((order[~ones], order[ones], first_of_group[ones], first_of_tied[ones]))

    def weight(w: Floats) -> Floats:
        total = np.zeros(len(w))
        for zero, one, start, end in steps:
            sums = np.zeros((len(w), len(zero) + 1))
            np.cumsum(np.take(w, zero, axis=1), axis=1, out=sums[:, 1:])
            before = np.take(sums, end, axis=1)
            before -= np.take(sums, start, axis=1)
            total += _dot(np.take(w, one, axis=1), before)
        return total

    return weight
