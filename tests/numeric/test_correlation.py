"""Correlations against scipy, and against pairs counted by hand."""

import numpy as np
import pytest
from scipy import stats

from glider.stats.correlation import kendall, pearson, spearman
from glider.stats.estimates import Degenerate

BY_SCIPY = [(pearson, stats.pearsonr), (spearman, stats.spearmanr), (kendall, stats.kendalltau)]


def drawn(kind, n, rng):
    """Scores and gold: numbers without ties, levels, or levels of which one is nearly all."""
    x = rng.normal(size=n)
    y = x + rng.normal(size=n)
    if kind == "numbers":
        return x, y
    if kind == "numbers against levels":
        return x, np.clip(np.round(y) + 3, 1, 5)
    if kind == "levels":
        return np.clip(np.round(x) + 3, 1, 5), np.clip(np.round(y) + 3, 1, 5)
    return (x > 1.5) * 1.0, np.clip(np.round(y) + 3, 1, 5)


@pytest.mark.parametrize(("ours", "theirs"), BY_SCIPY)
@pytest.mark.parametrize("kind", ["numbers", "numbers against levels", "levels", "skewed"])
@pytest.mark.parametrize("n", [40, 257])
def test_against_scipy(ours, theirs, kind, n):
    rng = np.random.default_rng(n)
    x, y = drawn(kind, n, rng)
    assert ours(x, y) == pytest.approx(theirs(x, y).statistic, abs=1e-12)
    assert ours(y, x) == pytest.approx(theirs(x, y).statistic, abs=1e-12)
    weights = rng.integers(0, 4, n)
    repeated = theirs(np.repeat(x, weights), np.repeat(y, weights)).statistic
    assert ours(x, y, weights) == pytest.approx(repeated, abs=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), BY_SCIPY)
def test_many_sets_of_weights_are_each_of_them(ours, theirs):
    rng = np.random.default_rng(3)
    x, y = drawn("levels", 60, rng)
    rows = rng.integers(0, 3, (20, 60)).astype(float)
    prepared = ours.on(x, y)
    assert prepared.many(rows) == pytest.approx([prepared(row) for row in rows], abs=1e-12)


def test_kendall_by_hand():
    # (1,1) (2,3) (3,2) (3,4): of 6 pairs 4 rise, 1 falls (2,3)-(3,2), 1 is tied in x.
    # tau-b = (4 - 1) / sqrt(5 * 6)
    assert kendall([1, 2, 3, 3], [1, 3, 2, 4]) == pytest.approx(3 / np.sqrt(30))


@pytest.mark.parametrize("ours", [pearson, spearman, kendall])
def test_landmarks(ours):
    x = np.array([1.0, 2, 3, 4, 5])
    assert ours(x, 2 * x + 7) == pytest.approx(1)
    assert ours(x, -x) == pytest.approx(-1)
    # Far from 0 and narrow: nothing is lost.
    assert ours(x * 1e-6 + 1e6, x) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("ours", [pearson, spearman, kendall])
@pytest.mark.parametrize(
    ("score", "gold", "weights", "reason"),
    [
        ([1, 2, 3], [4, 4, 4], None, "every gold label is 4"),
        ([0.1, 0.1, 0.1], [1, 2, 3], None, "every score is 0.1"),
        ([1, 2, 3], [1, 2, 3], [1, 0, 1], "fewer than three items"),
        ([1, 2, 3], [1, 2, 3], [0, 9, 0], "every gold label is 2"),
        ([], [], None, "no items"),
        ([1, 2, np.nan], [1, 2, 3], None, "1 scores are not finite"),
        ([1, 2, 3], [1, np.inf, np.nan], None, "2 gold labels are not finite"),
    ],
)
def test_no_honest_value(ours, score, gold, weights, reason):
    with pytest.raises(Degenerate, match=reason):
        ours(score, gold, weights)


@pytest.mark.parametrize("weights", [[1, 2], [1, 1, -1], [1, 1, np.nan]])
def test_bad_weights_are_the_callers_mistake(weights):
    with pytest.raises(ValueError, match="weights must be 3 numbers"):
        pearson([1, 2, 3], [1, 2, 4], weights)
