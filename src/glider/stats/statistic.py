"""The interface of a statistic: a function of items and their weights.

`pearson(score, gold)` is a number; `pearson(score, gold, weights)` the same where item i counts
weights[i] times; `pearson.on(score, gold)` does the sorting once and is then asked for many sets of
weights, which is all that a bootstrap, a jackknife or a permutation test is. Nothing here draws
random numbers or knows what an item is.

Arrays of weights have one row per set of weights: shape (r, n), values 0 and up. A row for which
there is no honest number gives NaN inside this package and `Degenerate` to everybody else.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from typing import Concatenate, Generic, ParamSpec

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glider.stats.estimates import Degenerate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Kernel = Callable[[Floats], Floats]
"""Weights of shape (r, n) to values of shape (r,), NaN where there is none."""

ANY = (-math.inf, math.inf)
SHARE = (0.0, 1.0)

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statistic of n given items, as a function of their weights."""

    n: int
    kernel: Kernel
    why: Callable[[Floats], str]
    """For weights of shape (n,) that have no value: the reason, in plain words."""
    limits: tuple[float, float] = ANY
    """The smallest and largest possible value."""

    def __call__(self, weights: ArrayLike | None = None) -> float:
        """The value under weights of shape (n,), by default each item once.

        Raises:
            Degenerate: there is no honest value.
        """
        row = np.ones(self.n) if weights is None else np.asarray(weights, np.float64)
        if row.shape != (self.n,) or not (np.isfinite(row) & (row >= 0)).all():
            raise ValueError(f"weights must be {self.n} numbers, 0 or more, one per item")
        (value,) = self.many(row[None])
        if np.isnan(value):
            raise Degenerate(self.why(row))
        return float(value)

    def many(self, weights: Floats) -> Floats:
        """The values under weights of shape (r, n); NaN where there is none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            values = self.kernel(weights)
        return np.where(np.isfinite(values), values, np.nan)


class Statistic(Generic[P]):
    """A statistic of a judge's scores and people's labels; decorates what prepares it."""

    def __init__(self, prepare: Callable[Concatenate[ArrayLike, ArrayLike, P], Prepared]) -> None:
        self._prepare = prepare
        update_wrapper(self, prepare)

    def on(self, score: ArrayLike, gold: ArrayLike, *args: P.args, **options: P.kwargs) -> Prepared:
        """Prepare the statistic of these items for any weights."""
        return self._prepare(score, gold, *args, **options)

    def __call__(
        self,
        score: ArrayLike,
        gold: ArrayLike,
        weights: ArrayLike | None = None,
        *args: P.args,
        **options: P.kwargs,
    ) -> float:
        """The value, each item counted weights[i] times (by default once)."""
        return self._prepare(score, gold, *args, **options)(weights)


class StatisticOfOne(Generic[P]):
    """The same for a statistic of one array, such as ratings of shape (items, raters)."""

    def __init__(self, prepare: Callable[Concatenate[ArrayLike, P], Prepared]) -> None:
        self._prepare = prepare
        update_wrapper(self, prepare)

    def on(self, data: ArrayLike, *args: P.args, **options: P.kwargs) -> Prepared:
        """Prepare the statistic of these items for any weights."""
        return self._prepare(data, *args, **options)

    def __call__(
        self,
        data: ArrayLike,
        weights: ArrayLike | None = None,
        *args: P.args,
        **options: P.kwargs,
    ) -> float:
        """The value, each item counted weights[i] times (by default once)."""
        return self._prepare(data, *args, **options)(weights)


# ---- statistics made of statistics


def mean_of(values: ArrayLike, limits: tuple[float, float] = ANY) -> Prepared:
    """The weighted mean of one value per item."""
    return ratio_of(values, np.ones(np.shape(values)), "there are no items", limits)


def ratio_of(
    above: ArrayLike, below: ArrayLike, nothing: str, limits: tuple[float, float] = ANY
) -> Prepared:
    """A sum over items, divided by another; `nothing` is the reason where the latter is 0."""
    both = np.column_stack([np.asarray(above, np.float64), np.asarray(below, np.float64)])

    def kernel(weights: Floats) -> Floats:
        sums = weights @ both
        return divided(sums[:, 0], sums[:, 1])

    return Prepared(len(both), kernel, lambda _: nothing, limits)


def average(parts: Sequence[tuple[Prepared, Ints]], n: int) -> Prepared:
    """The plain mean of a statistic over parts of the n items; each part comes with its rows.

    It is undefined under weights for which any part is undefined.
    """

    def kernel(weights: Floats) -> Floats:
        values = [part.many(np.take(weights, rows, axis=1)) for part, rows in parts]
        return np.asarray(np.mean(values, axis=0), np.float64)

    def why(weights: Floats) -> str:
        for part, rows in parts:
            if np.isnan(part.many(weights[rows][None])[0]):
                return part.why(weights[rows])
        return "there are no parts"

    limits = [part.limits for part, _ in parts] or [ANY]
    return Prepared(
        n,
        kernel if parts else _no_value,
        why,
        (min(low for low, _ in limits), max(high for _, high in limits)),
    )


def _no_value(weights: Floats) -> Floats:
    return np.full(len(weights), np.nan)


# ---- shared by the kernels


def checked(score: ArrayLike, gold: ArrayLike) -> tuple[Floats, Floats]:
    """Both as arrays of shape (n,).

    Raises:
        Degenerate: no items, or a value that is not a finite number.
    """
    x, y = np.asarray(score, np.float64), np.asarray(gold, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"scores {x.shape} and gold {y.shape} must be rows of one length")
    if not len(x):
        raise Degenerate("there are no items")
    for what, values in (("score", x), ("gold label", y)):
        if not np.isfinite(values).all():
            raise Degenerate(f"{(~np.isfinite(values)).sum()} {what}s are not finite numbers")
    return x, y


def divided(above: Floats, below: Floats) -> Floats:
    """A quotient, NaN if the divisor is 0."""
    return np.where(below > 0, above / np.where(below > 0, below, 1), np.nan)


def constant(what: str, values: Floats, weights: Floats) -> str | None:
    """Return `every score is 3` if it holds among the items with weight."""
    kept = values[weights > 0]
    return f"every {what} is {kept[0]:g}" if len(kept) and np.ptp(kept) == 0 else None


def why_no_spread(x: Floats, y: Floats) -> Callable[[Floats], str]:
    """The reason a correlation has no value: too few items, or one side does not vary."""

    def why(weights: Floats) -> str:
        if weights.sum() < 3:
            return "fewer than three items"
        return (
            constant("gold label", y, weights)
            or constant("score", x, weights)
            or "the values hardly differ"
        )

    return why


def tally(codes: Ints, n_codes: int, rows: Ints | None = None) -> Kernel:
    """Weights of shape (r, n) to their sums per code, shape (r, n_codes); of `rows` only."""
    chosen = np.arange(len(codes)) if rows is None else rows
    order = chosen[np.argsort(codes[chosen], kind="stable")]
    ordered = codes[order]
    starts = runs(ordered)
    present = ordered[starts]

    def sums(weights: Floats) -> Floats:
        total = np.zeros((len(weights), n_codes))
        if len(order):
            total[:, present] = np.add.reduceat(np.take(weights, order, axis=1), starts, axis=1)
        return total

    return sums


def runs(*keys: NDArray[np.int64]) -> Ints:
    """Indices at which a new run of equal keys starts; the keys are sorted, shape (n,) each."""
    if not len(keys[0]):
        return np.zeros(0, np.int64)
    changed = np.zeros(len(keys[0]), np.bool_)
    changed[0] = True
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changed)
