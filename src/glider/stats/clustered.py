"""Means and shares of items that come in clusters: several answers to one prompt, one document.

Items of one cluster are alike, so they tell less than as many independent ones. Every interval
here counts clusters, not items; where each item is its own cluster the textbook formula comes out.

Arrays have shape (n,); `clusters` holds any integers, equal where items belong together.
"""

import numpy as np
from scipy import stats

from glider.stats.estimates import Degenerate, Estimate, Undefined
from glider.stats.statistic import Bools, Floats, Ints

_ALPHA = 0.05


def codes(clusters: Ints) -> tuple[Ints, int]:
    """Clusters as 0..G-1, and G."""
    names, found = np.unique(clusters, return_inverse=True)
    return found.astype(np.int64), len(names)


def sums(values: Floats, group: Ints, n_groups: int) -> Floats:
    """Sum of the values of each cluster, shape (G,)."""
    return np.bincount(group, weights=values, minlength=n_groups).astype(np.float64)


def quantile_t(df: float) -> float:
    """How many standard errors a 95 % interval reaches to either side."""
    return float(stats.t.ppf(1 - _ALPHA / 2, df))


def clustered_mean(
    values: Floats,
    clusters: Ints,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    skipped: int = 0,
) -> Estimate | Undefined:
    """Mean with a 95 % interval: cluster-robust variance, Student's t with G - 1 degrees.

    Args:
        low: smallest value there can be; the interval is cut there.
        high: largest value there can be.
    """
    n = len(values)
    group, n_groups = codes(clusters)
    if n_groups < 2:
        return Undefined("fewer than two independent items", n, skipped)
    if np.ptp(values) == 0:
        # A zero-width interval would read as certainty.
        reason = f"every value is {values[0]:g}, so there is no spread to judge by"
        return Undefined(reason, n, skipped)
    mean = float(values.mean())
    half = quantile_t(n_groups - 1) * float(np.sqrt(mean_variance(values, group, n_groups)))
    method = "Student t, 95 %" if n_groups == n else f"Student t over {n_groups} clusters, 95 %"
    return Estimate(mean, max(low, mean - half), min(high, mean + half), n, skipped, method)


def mean_variance(values: Floats, group: Ints, n_groups: int) -> float:
    """Variance of the mean of n values in G clusters (CR1: times G / (G - 1))."""
    residual = sums(values - values.mean(), group, n_groups) / len(values)
    return float(n_groups / (n_groups - 1) * (residual @ residual))


def clustered_share(hits: Bools, clusters: Ints, *, skipped: int = 0) -> Estimate:
    """Share of hits with an interval that is honest near 0 and 1.

    Clopper-Pearson; where items share clusters, with the effective sample size in the place of n
    (Korn and Graubard 1998).

    Raises:
        Degenerate: there is nothing to count.
    """
    n = len(hits)
    if n == 0:
        raise Degenerate("nothing to count")
    group, n_groups = codes(clusters)
    share = float(hits.mean())
    size = effective_size(hits, group, n_groups)
    k = share * size
    low = 0.0 if k <= 0 else float(stats.beta.ppf(_ALPHA / 2, k, size - k + 1))
    high = 1.0 if k >= size else float(stats.beta.ppf(1 - _ALPHA / 2, k + 1, size - k))
    method = "exact (Clopper-Pearson), 95 %"
    if n_groups < n:
        method = f"Korn-Graubard over {n_groups} clusters, 95 %"
    return Estimate(share, low, high, n, skipped, method)


def effective_size(hits: Bools, group: Ints, n_groups: int) -> float:
    """As many independent items would tell as much about the share of hits; at most n."""
    n = len(hits)
    if n_groups == n:
        return float(n)
    if n_groups < 2:
        return 1.0
    share = float(hits.mean())
    if share in (0.0, 1.0):
        return float(n_groups)  # no spread tells how alike a cluster is: take the worst case
    variance = mean_variance(hits.astype(np.float64), group, n_groups)
    if variance == 0:
        return float(n)
    size = min(float(n), share * (1 - share) / variance)
    return size * few(n, n_groups)


def few(n: int, n_groups: int) -> float:
    """Factor on an effective size: of few clusters, the variance is itself hardly known."""
    if n_groups == n:
        return 1.0
    if n_groups < 2:
        return 1.0 / n
    return (quantile_t(n - 1) / quantile_t(n_groups - 1)) ** 2


def likeness(values: Floats, clusters: Ints) -> float:
    """Intraclass correlation, 0..1: how alike items of one cluster are (ANOVA estimator).

    0 where every item is its own cluster.
    """
    n = len(values)
    group, n_groups = codes(clusters)
    if n_groups in (1, n):
        return 0.0
    sizes = sums(np.ones(n), group, n_groups)
    means = sums(values, group, n_groups) / sizes
    between = float(sizes @ (means - values.mean()) ** 2) / (n_groups - 1)
    within = float(((values - means[group]) ** 2).sum()) / (n - n_groups)
    typical = (n - float(sizes @ sizes) / n) / (n_groups - 1)
    total = between + (typical - 1) * within
    return float(np.clip((between - within) / total, 0.0, 1.0)) if total > 0 else 0.0


def design_effect(correlation: float, clusters: Ints) -> float:
    """How many times fewer independent items these are worth: 1 + (m - 1) * likeness."""
    group, n_groups = codes(clusters)
    sizes = sums(np.ones(len(clusters)), group, n_groups)
    return 1 + (float(sizes @ sizes) / len(clusters) - 1) * correlation


def binomial_tail(hits: float, n: float, share: float) -> float:
    """P(at most `hits` of `n`) where each hits with probability `share`; n need not be whole."""
    return 1.0 if hits >= n else float(stats.beta.sf(share, hits + 1, n - hits))


def share_upper(hits: float, n: float, error: float) -> float:
    """Largest share that `hits` of `n` does not rule out with confidence 1 - error."""
    return 1.0 if hits >= n else float(stats.beta.ppf(1 - error, hits + 1, n - hits))
