"""Means and shares over clusters: the textbook where there are none, and how often they cover."""

import builtins
import math

import numpy as np
import pytest
from scipy import stats

from glider.stats import quantiles
from glider.stats.clustered import clustered_mean, clustered_share
from glider.stats.estimates import Undefined
from glider.stats.quantiles import beta_quantile, t_quantile


def of(hits_by_cluster, size):
    """Hits and clusters, from the hits of each cluster."""
    hits = np.concatenate([np.arange(size) < k for k in hits_by_cluster])
    return hits, np.repeat(np.arange(len(hits_by_cluster)), size)


@pytest.mark.parametrize(("one", "other"), [((5, 5), (5, 6)), ((4, 4, 4), (4, 4, 5))])
def test_clusters_of_equal_rate_are_no_surer_than_those_that_nearly_are(one, other):
    equal, near = (clustered_share(*of(hits, 10)) for hits in (one, other))
    assert equal.low == pytest.approx(near.low, abs=0.06)
    assert equal.high == pytest.approx(near.high, abs=0.06)
    width = [e.high - e.low for e in (equal, near)]
    assert width[0] > 0.5 and width[0] == pytest.approx(width[1], abs=0.05)


def test_cluster_means_that_are_equal_are_not_certain():
    values, clusters = np.array([1, 3, 1, 3, 1, 3, 3, 1.0]), np.repeat(np.arange(4), 2)
    found = clustered_mean(values, clusters, scale=(1, 5))
    independent = stats.sem(values) * stats.t.ppf(0.975, 3)
    assert (found.low, found.high) == pytest.approx((max(1, 2 - independent), 2 + independent))


@pytest.mark.parametrize("scale", [(0, 1), (1, 5), (0, 100)])
@pytest.mark.parametrize("n_clusters", [2, 3, 8, 40])
def test_no_interval_ends_beyond_the_scale(scale, n_clusters):
    rng = np.random.default_rng(1)
    low, high = scale
    for size in (1, 2, 7):
        clusters = np.repeat(np.arange(n_clusters), size)
        for share in (0.02, 0.5, 1.0):
            values = low + (high - low) * rng.beta(share * 3 + 0.1, 3.1 - share * 3, len(clusters))
            for one in (values, np.rint(values), np.full(len(clusters), float(high))):
                found = clustered_mean(one, clusters, scale=scale)
                assert low <= found.low <= found.value <= found.high <= high
                assert found.high > found.low
            hits = clustered_share(values > (low + high) / 2, clusters)
            assert 0 <= hits.low <= hits.value <= hits.high <= 1 and hits.high > hits.low


CUTS = np.array([-0.84, 0.2, 0.84])
MEAN = float((1 - stats.norm.cdf(CUTS)).sum())


@pytest.mark.parametrize(
    ("n_clusters", "size", "alike"),
    [(2, 5, 0.0), (2, 20, 0.5), (3, 10, 0.3), (5, 10, 0.3), (12, 10, 0.3), (40, 4, 0.8)],
)
def test_means_cover(n_clusters, size, alike):
    """Four levels; `alike` is the intraclass correlation of what lies behind them."""
    rng, held = np.random.default_rng(2), []
    clusters = np.repeat(np.arange(n_clusters), size)
    for _ in range(600):
        common = rng.normal(size=(n_clusters, 1)) * math.sqrt(alike)
        latent = common + rng.normal(size=(n_clusters, size)) * math.sqrt(1 - alike)
        found = clustered_mean(np.digitize(latent.ravel(), CUTS), clusters, scale=(0, 3))
        held.append(found.low <= MEAN <= found.high)
    assert np.mean(held) >= 0.93


@pytest.mark.parametrize(("n_clusters", "size"), [(2, 10), (3, 10), (5, 10), (10, 10), (30, 5)])
@pytest.mark.parametrize("alike", [0.0, 0.1, 0.5, 0.95])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_shares_cover(n_clusters, size, alike, share):
    """Rates of clusters are drawn from a beta distribution with this intraclass correlation."""
    rng, held = np.random.default_rng(3), []
    for _ in range(300):
        rates = np.full(n_clusters, share)
        if alike:
            rest = (1 - alike) / alike
            rates = rng.beta(share * rest, (1 - share) * rest, n_clusters)
        found = clustered_share(*of(rng.binomial(size, rates), size))
        held.append(found.low <= share <= found.high)
    assert np.mean(held) >= 0.92


def test_all_alike_is_what_could_have_been_missed():
    found = clustered_mean(np.full(10, 5.0), np.arange(10), scale=(1, 5))
    assert found.low == pytest.approx(5 - 4 * (1 - 0.025**0.1)) and found.high == 5
    shared = clustered_mean(np.full(10, 5.0), np.arange(10) // 5, scale=(1, 5))
    assert shared.low == pytest.approx(5 - 4 * (1 - 0.025**0.5))
    assert isinstance(clustered_mean(np.full(10, 5.0), np.arange(10)), Undefined)
    assert isinstance(clustered_mean(np.full(10, 5.0), np.zeros(10)), Undefined)


def test_quantiles_are_the_same_without_scipy(monkeypatch):
    cases = [(0.025, 1, 30), (0.975, 2.7, 0.6), (0.5, 40, 4000), (0.025, 999.5, 1.5), (0.9, 1, 1)]
    beta = [beta_quantile(*case) for case in cases]
    t = [t_quantile(df) for df in (1, 2, 7, 99, 12_345)]
    assert beta == pytest.approx([stats.beta.ppf(*case) for case in cases], rel=1e-12)
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("scipy"):
            raise ImportError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(quantiles, "__builtins__", {**vars(builtins), "__import__": without})
    assert [beta_quantile(*case) for case in cases] == pytest.approx(beta, rel=1e-10)
    assert [t_quantile(df) for df in (1, 2, 7, 99, 12_345)] == pytest.approx(t, rel=1e-9)
