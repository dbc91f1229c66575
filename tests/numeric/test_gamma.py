"""Gamma against pygamma-agreement, and by hand.

`ORACLE` was made with pygamma-agreement 0.5.9: for each pair of annotations a `Continuum` with
the bounds 0 and the length, `compute_gamma(PositionalSporadicDissimilarity(1.0), n_samples=4000,
sampler=ShuffleContinuumSampler())`, its `observed_disorder` and `expected_disorder`, and the
standard error of the latter over the samples. `test_live` does the same where the package is there.
"""

import numpy as np
import pytest

from glider.stats.estimates import Degenerate
from glider.stats.gamma import alignment_costs, gamma
from glider.stats.resampling import bootstrap

CASES = {
    "alike": (60, [(0, 10), (30, 42)], [(0, 10), (30, 42)]),
    "near": (120, [(3, 12), (40, 55), (80, 84)], [(4, 14), (38, 50), (80, 85)]),
    "one more": (100, [(10, 20), (60, 70)], [(11, 21), (30, 35), (62, 70)]),
    "split": (90, [(10, 40)], [(10, 22), (25, 40)]),
    "crossing": (80, [(5, 25), (20, 45), (30, 50)], [(8, 30), (24, 48), (33, 47)]),
    "apart": (200, [(0, 8), (50, 60)], [(100, 110), (150, 156)]),
    "one has none": (50, [(4, 9), (20, 31)], []),
    "whole text": (40, [(0, 40)], [(0, 35)]),
    "many": (
        300,
        [(i * 20, i * 20 + 7 + i % 5) for i in range(14)],
        [(i * 22 + i % 3, i * 22 + 9) for i in range(12)],
    ),
}
"""Length of the text and the spans of two annotators."""
ORACLE = {
    "alike": (0.000000, 0.9043, 0.0095),
    "near": (0.034831, 1.2564, 0.0086),
    "one more": (0.408938, 1.3566, 0.0085),
    "split": (0.740741, 1.3562, 0.0092),
    "crossing": (0.029277, 1.0272, 0.0057),
    "apart": (2.000000, 1.7002, 0.0077),
    "one has none": (2.000000, 1.7079, 0.0072),
    "whole text": (0.004444, 0.4416, 0.0030),
    "many": (0.491826, 0.7136, 0.0044),
}
"""Disorder, expected disorder and its standard error."""


def disorders(name, draws=3000):
    length, a, b = CASES[name]
    found = alignment_costs(length, a, b, rng=np.random.default_rng(1), draws=draws)
    return np.array(found) * 2 / (len(a) + len(b))


@pytest.mark.parametrize("name", CASES)
def test_disorders_are_those_of_pygamma(name):
    observed, expected = disorders(name)
    its_observed, its_expected, error = ORACLE[name]
    assert observed == pytest.approx(its_observed, abs=2e-6)  # it computes in single precision
    assert expected == pytest.approx(its_expected, abs=4 * error + 0.01)


@pytest.mark.filterwarnings("ignore")
def test_live():
    pygamma = pytest.importorskip("pygamma_agreement")
    segment = pytest.importorskip("pyannote.core").Segment
    np.random.seed(2)
    for name in ("near", "crossing"):
        length, *both = CASES[name]
        continuum = pygamma.Continuum()
        for who, spans in zip("ab", both, strict=True):
            for start, end in spans:
                continuum.add(who, segment(float(start), float(end)), "mark")
        continuum.bound_inf, continuum.bound_sup = 0.0, float(length)
        told = continuum.compute_gamma(
            pygamma.PositionalSporadicDissimilarity(1.0),
            n_samples=300,
            sampler=pygamma.ShuffleContinuumSampler(),
        )
        observed, expected = disorders(name)
        assert observed == pytest.approx(told.observed_disorder, abs=2e-6)
        assert 1 - observed / expected == pytest.approx(told.gamma, abs=0.05)


def test_costs_by_hand():
    def cost(a, b, length=100):
        return alignment_costs(length, a, b, rng=np.random.default_rng(0))[0]

    assert cost([(0, 10)], [(0, 10)]) == 0
    assert cost([(0, 10)], [(10, 20)]) == 1  # they touch
    assert cost([(0, 10)], [(2, 10)]) == pytest.approx((2 / 18) ** 2)
    assert cost([(0, 10)], [(80, 90)]) == 2  # both are alone: cheaper than 64
    assert cost([(0, 10)], []) == 1 and cost([], []) == 0
    # The first of `a` must leave the nearer partner to the second.
    assert cost([(0, 10), (5, 15)], [(4, 14), (0, 11)]) == pytest.approx(
        (1 / 21) ** 2 + (2 / 20) ** 2
    )


def test_chance_is_near_zero_and_alike_is_one():
    rng = np.random.default_rng(5)
    costs, same = [], []
    for _ in range(300):
        a, b = ([(int(s), int(s) + 12)] for s in rng.integers(0, 188, 2))
        costs.append(alignment_costs(200, a, b, rng=rng))
        same.append(alignment_costs(200, a, a, rng=rng))
    assert abs(gamma(costs)) < 0.06
    assert gamma(same) == 1


def test_texts_weigh_by_their_spans_and_unmarked_ones_add_nothing():
    costs = [(1.0, 2.0), (0.0, 1.0)]
    assert gamma(costs) == pytest.approx(1 - 1 / 3)
    assert gamma(costs, [2, 1]) == pytest.approx(1 - 2 / 5)
    assert gamma([*costs, (0.0, 0.0)]) == gamma(costs)
    for nothing, why in (([(0, 0), (0, 0)], "nothing was marked"), ([], "no items")):
        with pytest.raises(Degenerate, match=why):
            gamma(nothing)


def panel(n, rng):
    """Costs of texts that two people mark: mostly the same place, a little moved."""
    costs = []
    for _ in range(n):
        starts = rng.integers(0, 150, rng.integers(0, 3))
        a = [(int(s), int(s) + int(rng.integers(5, 25))) for s in starts]
        b = [
            (s + int(m), e + int(m))
            for s, e in a
            if rng.random() < 0.8
            for m in [rng.integers(0, 4) if rng.random() < 0.7 else rng.integers(0, 40)]
        ]
        costs.append(alignment_costs(220, a, b, rng=rng))
    return costs


@pytest.mark.slow
def test_intervals_hold_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(11)
    truth = gamma(panel(20_000, rng))
    held = 0
    for _ in range(400):
        found = bootstrap(gamma.on(panel(60, rng)), np.arange(60), rng=rng, n_resamples=399)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98
