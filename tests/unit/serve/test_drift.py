"""Drift alarms: the false-alarm rate is what is documented, and real changes are seen."""

from math import comb

import pytest
from scipy.stats import binom, hypergeom

from glider.serve.drift import ALPHA, Drift, allowed


@pytest.mark.parametrize(("hits", "n", "window"), [(10, 100, 50), (0, 60, 50), (60, 60, 80)])
def test_the_range_is_of_fishers_exact_test(hits, n, window):
    low, high = allowed(hits, n, window)
    for k in range(window + 1):
        spread = hypergeom(n + window, hits + k, window)
        outside = min(spread.cdf(k), spread.sf(k - 1)) <= ALPHA / 2
        assert outside == (not low <= k <= high), k


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.97])
@pytest.mark.parametrize("n", [60, 200])
def test_a_window_without_a_change_raises_a_false_alarm_in_at_most_one_of_a_thousand(share, n):
    """Summed over every labelled run and every window that chance can bring: no simulation."""
    window = 120
    alarm = 0.0
    for hits in range(n + 1):
        weight = comb(n, hits) * share**hits * (1 - share) ** (n - hits)
        if weight > 1e-9:
            low, high = allowed(hits, n, window)
            seen = binom(window, share)
            alarm += weight * (seen.cdf(low - 1) + seen.sf(high))
    assert alarm <= ALPHA


def test_a_rate_that_triples_is_seen_in_the_next_window_nearly_always():
    low, high = allowed(20, 200, 500)
    assert binom(500, 0.3).sf(high) > 0.999 and binom(500, 0.1).sf(high) < ALPHA
    assert low > 0


def test_an_alarm_lasts_until_a_window_is_as_it_should_be():
    drift = Drift({"passed": 90, "blocked": 10, "abstained": 0, "failed": 7}, window=50)
    for _ in range(50):
        drift.saw("failed")
    assert drift.windows == 0
    raised = [alarm for _ in range(50) for alarm in drift.saw("abstained")]
    assert len(raised) == 1 and "50 of 50 texts abstained" in raised[0]
    assert set(drift.alarms) == {"abstained"}
    assert not [alarm for n in range(50) for alarm in drift.saw("blocked" if n < 5 else "passed")]
    assert not drift.alarms and drift.windows == 2
