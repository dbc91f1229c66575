"""Pairs: seven pairs whose figures are counted by hand."""

import numpy as np
import pytest

from glider.stats.estimates import Degenerate
from glider.stats.pairwise import (
    averaged_order_accuracy,
    consistent_accuracy,
    first_slot_share,
    flip_rate,
    single_order_accuracy,
)

NAN = np.nan
ORDERS = np.array([
    # P(second is better) as shown, and exchanged; gold; what that is
    (0.9, 0.8),  # 1    right, right
    (0.9, 0.3),  # 1    right, wrong: flips; mean 0.6 right
    (0.2, 0.9),  # 0    right, wrong: flips; mean 0.55 wrong
    (0.1, 0.5),  # 0    right, undecided: flips; mean 0.3 right
    (0.7, 0.6),  # 0    wrong, wrong
    (0.6, NAN),  # 1    right, not judged
    (NAN, NAN),  # 0    not judged
])  # fmt: skip
GOLD = np.array([1, 1, 0, 0, 0, 1, 0])


def test_by_hand():
    assert single_order_accuracy(ORDERS, GOLD) == pytest.approx(5 / 7)
    assert consistent_accuracy(ORDERS, GOLD) == pytest.approx((1 + 0.5) / 7)
    assert averaged_order_accuracy(ORDERS, GOLD) == pytest.approx(3 / 7)
    assert flip_rate(ORDERS) == pytest.approx(3 / 5)
    # First place as shown: P < 0.5, rows 3 and 4. Exchanged, the second stands first: P > 0.5,
    # rows 1, 3 and 5, and half of row 4. Of 6 + 5 answers.
    assert first_slot_share(ORDERS) == pytest.approx((2 + 3.5) / 11)


def test_landmarks():
    always_first = np.array([(0.1, 0.9)] * 10)
    assert first_slot_share(always_first) == 1
    assert flip_rate(always_first) == 1
    assert consistent_accuracy(always_first, [0, 1] * 5) == 0
    assert single_order_accuracy(always_first, [0, 1] * 5) == 0.5
    # A tie by the mean is a tie although 1 - 0.7 is not 0.3 to the last digit.
    assert averaged_order_accuracy([(0.7, 1 - 0.7)], [1]) == 0.5


def test_weights():
    weights = np.array([2, 0, 1, 0, 3, 1, 0])
    repeated = np.repeat(ORDERS, weights, axis=0)
    for statistic in (single_order_accuracy, consistent_accuracy, averaged_order_accuracy):
        assert statistic(ORDERS, GOLD, weights) == pytest.approx(
            statistic(repeated, np.repeat(GOLD, weights))
        )
    for statistic in (flip_rate, first_slot_share):
        assert statistic(ORDERS, weights) == pytest.approx(statistic(repeated))


@pytest.mark.parametrize(
    "statistic", [single_order_accuracy, consistent_accuracy, averaged_order_accuracy]
)
def test_ties_in_gold_are_never_mixed_in_silently(statistic):
    orders = [(0.9, 0.9), (0.5, 0.5), (0.9, 0.9)]
    gold = [1, 0.5, 0.5]
    with pytest.raises(Degenerate, match="2 of 3 pairs are ties in gold"):
        statistic(orders, gold)
    assert statistic(orders, gold, ties="out") == 1
    assert statistic(orders, gold, ties="answer") == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: single_order_accuracy([(0.1, 0.9)], [0.5], ties="out"), "every pair is a tie"),
        (lambda: single_order_accuracy([(0.1, 1.9)], [1]), "not between 0 and 1"),
        (lambda: single_order_accuracy([(0.1, 0.9)], [2]), "0, 1 or 0.5"),
        (lambda: flip_rate([(0.1, NAN)]), "no pair was judged in both orders"),
        (lambda: first_slot_share([(NAN, NAN)]), "no order was judged"),
        (lambda: flip_rate(np.zeros((0, 2))), "no pairs"),
    ],
)
def test_no_honest_value(call, reason):
    with pytest.raises(Degenerate, match=reason):
        call()
