"""Agreement between judge and people, and among people.

Percent agreement, Cohen's kappa, Krippendorff's alpha, Themis' Agr(p, q), mean absolute error, and
EvalYaks' accuracies over several criteria of one item. Kappa and alpha correct for chance
agreement, and are undefined where agreement by chance alone would be perfect.

Distances between labels are distances of their values: 1 and 5 are four steps apart, whether or not
2, 3 and 4 occur. (scikit-learn counts the labels that occur; pass it the whole scale to compare.)
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from glider.stats.estimates import Degenerate
from glider.stats.statistic import (
    SHARE,
    Bools,
    Floats,
    Ints,
    Prepared,
    Statistic,
    StatisticOfOne,
    checked,
    divided,
    mean_of,
    ratio_of,
    tally,
)

SAME = 1e-9  # Labels closer than this are equal: scales are mapped in floating point.


@Statistic
def percent_agreement(score: ArrayLike, gold: ArrayLike) -> Prepared:
    """Share of items with the same label, 0 to 1; no correction for chance."""
    x, y = checked(score, gold)
    return mean_of(np.abs(x - y) < SAME, SHARE)


@Statistic
def mean_absolute_error(score: ArrayLike, gold: ArrayLike) -> Prepared:
    """Mean distance in steps of the labels' scale, 0 and up; lower is better."""
    x, y = checked(score, gold)
    return mean_of(np.abs(x - y), (0, math.inf))


@Statistic
def themis_agreement(score: ArrayLike, gold: ArrayLike, *, p: float = 2, q: float = 2) -> Prepared:
    """Agr(p, q) of Themis (arXiv 2502.02988), 0 to 1.

    The mean of 1 / (d + 1)^q where the distance d < p, else 0; so Agr(2, 2) gives 1 for the same
    label and 0.25 for the next one. Distances of 2^0.5 count too if scores are not whole levels.
    """
    x, y = checked(score, gold)
    distance = np.abs(x - y)
    return mean_of(np.where(distance < p - SAME, 1 / (distance + 1) ** q, 0), SHARE)


@Statistic
def cohen_kappa(
    score: ArrayLike,
    gold: ArrayLike,
    *,
    weighting: Literal["none", "linear", "quadratic"] = "none",
    levels: Sequence[float] | None = None,
) -> Prepared:
    """Cohen's kappa (1960; weighted: 1968), at most 1; 0 is chance agreement given the margins.

    Args:
        score: shape (n,).
        gold: shape (n,).
        weighting: cost of a disagreement: constant, its distance, or the squared distance.
        levels: the scale; a label outside of it is an error, not another class.

    Raises:
        Degenerate: both sides have one and the same label only, or a label is off the scale.
    """
    codes_x, codes_y, values = coded(score, gold, levels)
    of_x, of_y = tally(codes_x, len(values)), tally(codes_y, len(values))
    distance = np.abs(values[codes_x] - values[codes_y])
    cost = {"none": (distance > 0) * 1.0, "linear": distance, "quadratic": distance**2}[weighting]
    steps = np.diff(values)
    middle = values - values.mean()

    def kernel(weights: Floats) -> Floats:
        n = weights.sum(axis=1)
        x, y = of_x(weights), of_y(weights)
        if weighting == "none":
            by_chance = n * n - (x * y).sum(axis=1)
        elif weighting == "linear":
            # A distance counts the steps crossed: one side at or below a step, the other above.
            low_x, low_y = x.cumsum(axis=1)[:, :-1], y.cumsum(axis=1)[:, :-1]
            above_x, above_y = n[:, None] - low_x, n[:, None] - low_y
            by_chance = (low_x * above_y + low_y * above_x) @ steps
        else:
            squares = n * (x @ middle**2 + y @ middle**2)
            by_chance = squares - 2 * (x @ middle) * (y @ middle)
            by_chance = np.where(by_chance > 1e-12 * squares, by_chance, 0)
        return 1 - divided(n * (weights @ cost), by_chance)

    def why(weights: Floats) -> str:
        if not weights.any():
            return "there are no items"
        return f"every score and every gold label is {values[codes_x[weights > 0][0]]:g}"

    return Prepared(len(codes_x), kernel, why, (-math.inf, 1))


@StatisticOfOne
def krippendorff_alpha(
    ratings: ArrayLike, *, level: Literal["nominal", "ordinal", "interval"] = "interval"
) -> Prepared:
    """Krippendorff's alpha (2011), at most 1; 0 is chance.

    Args:
        ratings: shape (items, raters); NaN where a rater did not rate. Items with one rating
            drop out, as the definition requires. Weights apply to items.
        level: nominal (labels only differ), ordinal, or interval.

    Raises:
        Degenerate: no item has two ratings, or all ratings are the same.
    """
    table = np.asarray(ratings, np.float64)
    if table.ndim != 2:
        raise ValueError(f"ratings must have the shape (items, raters), not {table.shape}")
    given = np.isfinite(table)
    given &= (given.sum(axis=1) >= 2)[:, None]
    if not given.any():
        raise Degenerate("no item has two ratings")
    items, raters = np.nonzero(given)
    values, found = np.unique(np.round(table[given], 9), return_inverse=True)
    codes = found.astype(np.int64)
    per_item = given.sum(axis=1).astype(np.float64)
    # An item with m ratings has m (m - 1) ordered pairs, each of weight 1 / (m - 1).
    share = np.where(per_item > 0, 1 / np.maximum(per_item - 1, 1), 0)
    of_item = np.full(table.shape, -1, np.int64)
    of_item[items, raters] = codes
    in_value = tally(codes, len(values))
    different = _different_pairs(items, codes, len(table), len(values)) * share

    def kernel(weights: Floats) -> Floats:
        n = weights @ per_item
        counts = in_value(np.take(weights, items, axis=1))
        if level == "nominal":
            seen = weights @ different
            by_chance = n * n - (counts**2).sum(axis=1)
        else:
            if level == "interval":
                places = np.broadcast_to(values - values.mean(), counts.shape)
            else:  # Krippendorff's ordinal distance is the distance of the mean ranks.
                places = counts.cumsum(axis=1) - counts / 2 - n[:, None] / 2
            first, second = _sums_per_item(places, of_item)
            seen = ((per_item * second - first**2) * share * weights).sum(axis=1) * 2
            squares, sums = (counts * places**2).sum(axis=1), (counts * places).sum(axis=1)
            by_chance = 2 * (n * squares - sums**2)
            by_chance = np.where(by_chance > 1e-12 * n * squares, by_chance, 0)
        return 1 - divided((n - 1) * seen, by_chance)

    def why(weights: Floats) -> str:
        counts = in_value(weights[items][None])[0]
        if not counts.any():
            return "no item has two ratings"
        return f"every rating is {values[counts.argmax()]:g}"

    return Prepared(len(table), kernel, why, (-math.inf, 1))


def _different_pairs(items: Ints, codes: Ints, n_items: int, n_values: int) -> Floats:
    """Ordered pairs of an item's ratings that differ: all pairs minus those of equal value."""
    cells, counts = np.unique(items * n_values + codes, return_counts=True)
    same = np.bincount(cells // n_values, counts.astype(np.float64) ** 2, n_items)
    return np.bincount(items, minlength=n_items).astype(np.float64) ** 2 - same


def _sums_per_item(places: Floats, of_item: Ints) -> tuple[Floats, Floats]:
    """Sum and sum of squares of the places of an item's ratings, shape (r, items) each."""
    first = np.zeros((len(places), len(of_item)))
    second = np.zeros_like(first)
    for rater in of_item.T:
        values = np.take(places, rater, axis=1) * (rater >= 0)
        first += values
        second += values * values
    return first, second


# ---- EvalYaks: several criteria of one item


@Statistic
def all_criteria_right(score: ArrayLike, gold: ArrayLike) -> Prepared:
    """EvalYaks' accurate (arXiv 2408.12226): share of items with every criterion as in gold.

    Args:
        score: shape (items, criteria); NaN where the item has no such criterion.
        gold: the same shape, NaN in the same places.
    """
    off, _ = _off(score, gold)
    return mean_of((np.abs(off) < SAME).all(axis=1), SHARE)


@Statistic
def some_criteria_right(score: ArrayLike, gold: ArrayLike) -> Prepared:
    """Share of items with only some criteria as in gold: our reading of "partly accurate"."""
    off, asked = _off(score, gold)
    right = ((np.abs(off) < SAME) & asked).sum(axis=1)
    return mean_of((right > 0) & (right < asked.sum(axis=1)), SHARE)


@Statistic
def acceptable_accuracy(score: ArrayLike, gold: ArrayLike) -> Prepared:
    """EvalYaks' acceptable: no criterion off by more than one, and all errors in one direction.

    Items that are all right count too.
    """
    off, _ = _off(score, gold)
    up, down = (off > SAME).any(axis=1), (off < -SAME).any(axis=1)
    return mean_of((np.abs(off) < 1 + SAME).all(axis=1) & ~(up & down), SHARE)


@Statistic
def degree_of_variation(score: ArrayLike, gold: ArrayLike) -> Prepared:
    """EvalYaks' DOV: mean |gold - score| over all criteria of all items, in steps; 0 is best."""
    off, asked = _off(score, gold)
    return ratio_of(np.abs(off).sum(axis=1), asked.sum(axis=1), "there are no items", (0, math.inf))


def _off(score: ArrayLike, gold: ArrayLike) -> tuple[Floats, Bools]:
    """Score minus gold, shape (items, criteria), 0 where not asked; and what was asked."""
    x, y = np.asarray(score, np.float64), np.asarray(gold, np.float64)
    if x.ndim != 2 or x.shape != y.shape:
        raise ValueError(f"scores {x.shape} and gold {y.shape} must be (items, criteria) alike")
    if not len(x):
        raise Degenerate("there are no items")
    asked = np.isfinite(y)
    for what, odd in (
        ("items have no gold label", ~asked.any(axis=1)),
        ("criteria have a gold label and no score", (asked & ~np.isfinite(x)).any(axis=1)),
    ):
        if odd.any():
            raise Degenerate(f"{odd.sum()} {what}")
    return np.where(asked, x - y, 0), asked


def coded(
    score: ArrayLike, gold: ArrayLike, levels: Sequence[float] | None
) -> tuple[Ints, Ints, Floats]:
    """Encode both as indices into the levels, by default the ascending levels that occur.

    Raises:
        Degenerate: a label is not one of the levels.
    """
    x, y = checked(score, gold)
    x, y = np.round(x, 9), np.round(y, 9)
    if levels is None:
        values = np.unique(np.concatenate([x, y]))
    else:
        values = np.unique(np.round(np.asarray(levels, np.float64), 9))
        for what, labels in (("score", x), ("gold label", y)):
            off = labels[~np.isin(labels, values)]
            if len(off):
                raise Degenerate(
                    f"{what} {off[0]:g} is not on the scale {values[0]:g} to {values[-1]:g}"
                    + (f" ({len(off)} such)" if len(off) > 1 else "")
                )
    return np.searchsorted(values, x), np.searchsorted(values, y), values
