"""Estimates against scipy's published values and by simulation."""

import random

import pytest

from glider.stats.estimates import Estimate, Undefined, mean, proportion


def test_mean_against_a_hand_worked_table():
    # 1, 2, 3, 4, 5: mean 3, s = 1.5811, t(4) = 2.776, half = 2.776 * 1.5811 / sqrt(5) = 1.9629
    figure = mean({1: 1, 2: 1, 3: 1, 4: 1, 5: 1})
    assert isinstance(figure, Estimate)
    assert (figure.value, figure.low, figure.high) == pytest.approx((3, 1.0371, 4.9629), abs=1e-3)


def test_the_interval_of_a_mean_ends_with_the_scale():
    free, held = (mean({4: 1, 5: 4}, scale=scale) for scale in ((), (1, 2, 3, 4, 5)))
    assert free.high > 5 and held.high == 5
    assert (held.value, held.low) == (free.value, free.low)
    beyond = mean({5: 3, 7: 3}, scale=(1, 5))  # a score the scale does not have
    assert beyond.low < beyond.value == beyond.high == 6


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [  # Wilson's interval without continuity correction, as statsmodels gives it
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (98, 100, 0.9300, 0.9945),
    ],
)
def test_proportion(hits, n, low, high):
    figure = proportion(hits, n)
    assert (figure.low, figure.high) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("figure", "reason"),
    [
        (mean({}), "fewer than two"),
        (mean({3: 1}), "fewer than two"),
        (mean({3: 50}), "every score is 3"),
        (proportion(0, 0), "nothing was judged"),
    ],
)
def test_too_little_data_is_undefined_never_zero(figure, reason):
    assert isinstance(figure, Undefined)
    assert reason in figure.reason


def test_intervals_hold_the_truth_about_95_times_in_100():
    rng = random.Random(7)
    held = 0
    for _ in range(2000):
        draws = [rng.choice((1, 2, 2, 3, 5)) for _ in range(20)]
        figure = mean({value: draws.count(value) for value in set(draws)})
        held += isinstance(figure, Estimate) and figure.low <= 2.6 <= figure.high
    assert 0.93 < held / 2000 < 0.97
    held = 0
    for _ in range(2000):
        figure = proportion(sum(rng.random() < 0.9 for _ in range(60)), 60)
        held += isinstance(figure, Estimate) and figure.low <= 0.9 <= figure.high
    assert 0.93 < held / 2000 < 0.98
