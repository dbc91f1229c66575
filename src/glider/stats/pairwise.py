"""Pairwise accuracy in one order and in both, flips, and position bias.

`orders` has shape (n, 2): P(second output is better) with the outputs as shown, and with their
places exchanged; both are about the same output, whichever place it had. NaN is an order that was
not asked or not judged. `gold` has shape (n,): 1 where the second is better, 0 where the first is,
0.5 where people saw a tie.

One order and both orders are different figures and are never mixed. Gold ties need a decision by
the caller: `ties="out"` leaves such pairs out, `ties="answer"` takes a tie as a third answer that
the judge gives with a probability of exactly 0.5; without it they are `Degenerate`. Where gold is
no tie, a judge at exactly 0.5 is right half of the time.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from glider.stats.estimates import Degenerate
from glider.stats.statistic import SHARE, Floats, Prepared, Statistic, StatisticOfOne, ratio_of

Ties = Literal["out", "answer"]


@Statistic
def single_order_accuracy(
    orders: ArrayLike, gold: ArrayLike, *, ties: Ties | None = None
) -> Prepared:
    """Share of pairs judged right as shown, 0 to 1; not judged is wrong."""
    return _accuracy(orders, gold, ties, lambda p, y: _right(p[:, 0], y))


@Statistic
def consistent_accuracy(
    orders: ArrayLike, gold: ArrayLike, *, ties: Ties | None = None
) -> Prepared:
    """Share of pairs judged right in both orders, 0 to 1; 0.25 by guessing each order apart.

    A pair of which one order was not judged is wrong.
    """
    return _accuracy(
        orders, gold, ties, lambda p, y: np.minimum(_right(p[:, 0], y), _right(p[:, 1], y))
    )


@Statistic
def averaged_order_accuracy(
    orders: ArrayLike, gold: ArrayLike, *, ties: Ties | None = None
) -> Prepared:
    """Share of pairs judged right by the mean of both orders' probabilities, 0 to 1.

    A pair of which one order was not judged is wrong.
    """
    return _accuracy(orders, gold, ties, lambda p, y: _right(p.mean(axis=1), y))


@StatisticOfOne
def flip_rate(orders: ArrayLike) -> Prepared:
    """Share of the pairs judged in both orders whose answer changes with the order, 0 to 1.

    From a side to a tie is a change too. No gold is needed.
    """
    p = _orders(orders)
    both = np.isfinite(p).all(axis=1)
    answers = _answer(p)
    flips = both & (answers[:, 0] != answers[:, 1])
    return ratio_of(flips, both, "no pair was judged in both orders", SHARE)


@StatisticOfOne
def first_slot_share(orders: ArrayLike) -> Prepared:
    """Share of answers that chose the output shown first, 0 to 1; a tie counts half.

    With both orders of every pair judged, a judge without a pull towards a place has 0.5. With
    one order it also mirrors where the better outputs were put.
    """
    p = _orders(orders)
    judged = np.isfinite(p)
    first = np.where(judged, np.column_stack([1 - _answer(p)[:, 0], _answer(p)[:, 1]]), 0)
    return ratio_of(first.sum(axis=1), judged.sum(axis=1), "no order was judged", SHARE)


def _accuracy(
    orders: ArrayLike,
    gold: ArrayLike,
    ties: Ties | None,
    right: Callable[[Floats, Floats], Floats],
) -> Prepared:
    p, y = _orders(orders), np.asarray(gold, np.float64)
    if y.shape != (len(p),):
        raise ValueError(f"gold {y.shape} must have one label for each of {len(p)} pairs")
    if not np.isin(y, (0, 0.5, 1)).all():
        raise Degenerate("gold of a pair is 0, 1 or 0.5")
    tied = y == 0.5
    if tied.any() and ties is None:
        raise Degenerate(f"{tied.sum()} of {len(y)} pairs are ties in gold, and nothing said how "
                         "to count them")  # fmt: skip
    counted = ~tied if ties == "out" else np.ones(len(y), np.bool_)
    return ratio_of(right(p, y) * counted, counted, "every pair is a tie in gold", SHARE)


def _orders(orders: ArrayLike) -> Floats:
    p = np.asarray(orders, np.float64)
    if p.ndim != 2 or p.shape[1] != 2:
        raise ValueError(f"orders must have the shape (n, 2), not {p.shape}")
    if not len(p):
        raise Degenerate("there are no pairs")
    if (np.isinf(p) | (p < 0) | (p > 1)).any():
        raise Degenerate("a probability of a pair is not between 0 and 1")
    return p


def _answer(p: Floats) -> Floats:
    """1 for the second, 0 for the first, 0.5 for neither; NaN stays."""
    # Rounded, since 1 - 0.7 is not exactly 0.3 and a tie must stay a tie.
    return np.where(np.isnan(p), np.nan, (np.sign(np.round(p - 0.5, 9)) + 1) / 2)


def _right(p: Floats, gold: Floats) -> Floats:
    """1 for the gold answer, 0.5 for a tie where gold has none, else 0; 0 where not judged."""
    answer = _answer(p)
    half = np.where((answer == 0.5) & (gold != 0.5), 0.5, 0)
    return np.where(answer == gold, 1, half)
