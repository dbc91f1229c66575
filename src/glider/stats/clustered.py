"""Means and shares of clustered items: several answers to one prompt or document.

Items of one cluster are correlated, so they are worth less than as many independent ones. Every
interval here counts clusters, not items; with one item per cluster it is the textbook formula.
An interval never extends beyond the scale and never has zero width: for items that are all equal
it covers what could have been missed (`clustered_mean`), or is undefined.

These are the intervals of the terminal, the report, the gate and of calibrations. How often they
hold the truth is in tests/numeric/test_clustered.py. Arrays have shape (n,); `clusters` holds any
integers, equal where items belong together.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from glider.stats.estimates import Degenerate, Estimate, Undefined
from glider.stats.quantiles import beta_quantile, t_quantile
from glider.stats.statistic import ANY, Bools, Floats, Ints

_ALPHA = 0.05


def codes(clusters: ArrayLike) -> tuple[Ints, int]:
    """Clusters as 0..G-1, and G."""
    names, found = np.unique(np.asarray(clusters), return_inverse=True)
    return found.astype(np.int64), len(names)


def sums(values: Floats, group: Ints, n_groups: int) -> Floats:
    """Sum of the values in each cluster, shape (G,)."""
    return np.bincount(group, weights=values, minlength=n_groups).astype(np.float64)


def clustered_mean(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    scale: tuple[float, float] = ANY,
    skipped: int = 0,
) -> Estimate | Undefined:
    """Mean with a 95 % interval: cluster-robust variance, Student's t with G - 1 degrees.

    The variance is at least that of as many independent items: of few clusters, means that are
    near each other are more often luck than a sign that items of one cluster balance each other.

    Where all values are alike, the interval is what the scale allows: if G clusters are all c, the
    share of clusters that are not is below q = 1 - 0.025^(1/G) with 97.5 % confidence (or chance
    would have shown one), so the mean lies within q of the way from c to the ends of the scale.
    Without a scale nothing can be said then.

    Args:
        scale: smallest and largest value there can be.
    """
    values = np.asarray(values, np.float64)
    n = len(values)
    group, n_groups = codes(clusters)
    if n_groups < 2:
        return Undefined("fewer than two independent items", n, skipped)
    mean, (lowest, highest) = float(values.mean()), scale
    over = "" if n_groups == n else f" over {n_groups} clusters"
    if np.ptp(values) == 0:
        if not math.isfinite(highest - lowest):
            reason = f"every value is {values[0]:g}, so there is no spread to judge by"
            return Undefined(reason, n, skipped)
        value, odd = float(values[0]), 1 - 0.025 ** (1 / n_groups)
        low, high = value - odd * (value - lowest), value + odd * (highest - value)
        return Estimate(value, low, high, n, skipped, f"all alike; exact on the scale{over}, 95 %")
    half = t_quantile(n_groups - 1) * math.sqrt(mean_variance(values, group, n_groups))
    low, high = max(lowest, mean - half), min(highest, mean + half)
    return Estimate(mean, low, high, n, skipped, f"Student t{over}, 95 %")


def mean_variance(values: Floats, group: Ints, n_groups: int) -> float:
    """Variance of the mean of n values in G clusters, at least that of n independent ones."""
    robust = robust_variance(values, group, n_groups)
    if n_groups == len(values):
        return robust
    return max(robust, float(values.var(ddof=1)) / len(values))


def robust_variance(values: Floats, group: Ints, n_groups: int) -> float:
    """Variance of the mean of n values in G clusters: CR1, times G / (G - 1)."""
    residual = sums(values - values.mean(), group, n_groups) / len(values)
    return float(n_groups / (n_groups - 1) * (residual @ residual))


def clustered_share(hits: ArrayLike, clusters: ArrayLike, *, skipped: int = 0) -> Estimate:
    """Share of hits with an interval that keeps its coverage near 0 and 1.

    Clopper-Pearson; where items share clusters, with the effective sample size in the place of n
    (Korn and Graubard 1998).

    Raises:
        Degenerate: there is nothing to count.
    """
    hits = np.asarray(hits, np.bool_)
    n = len(hits)
    if n == 0:
        raise Degenerate("nothing to count")
    group, n_groups = codes(clusters)
    share = float(hits.mean())
    size = effective_size(hits, group, n_groups)
    k = share * size
    low = 0.0 if k <= 0 else beta_quantile(_ALPHA / 2, k, size - k + 1)
    high = 1.0 if k >= size else beta_quantile(1 - _ALPHA / 2, k + 1, size - k)
    method = "exact (Clopper-Pearson), 95 %"
    if n_groups < n:
        method = f"Korn-Graubard over {n_groups} clusters, 95 %"
    return Estimate(share, min(low, share), max(high, share), n, skipped, method)


def effective_size(hits: Bools, group: Ints, n_groups: int) -> float:
    """Number of independent items with the same information on the share of hits; at most n."""
    n = len(hits)
    if n_groups == n:
        return float(n)
    if n_groups < 2:
        return 1.0
    share = float(hits.mean())
    if share in (0.0, 1.0):
        return float(n_groups)  # no variation: assume the worst case
    variance = robust_variance(hits.astype(np.float64), group, n_groups)
    size = min(float(n), share * (1 - share) / variance) if variance > 0 else float(n)
    return size * few_clusters_factor(n, n_groups)


def few_clusters_factor(n: int, n_groups: int) -> float:
    """Factor on an effective size: of few clusters, the variance is itself hardly known.

    The squared ratio of two t quantiles, with n - 1 and with G - 1 degrees of freedom (Korn and
    Graubard 1998).
    """
    if n_groups == n:
        return 1.0
    if n_groups < 2:
        return 1.0 / n
    return (t_quantile(n - 1) / t_quantile(n_groups - 1)) ** 2


def intraclass_correlation(values: Floats, clusters: ArrayLike) -> float:
    """Intraclass correlation within clusters, 0..1 (the ANOVA estimator, cut at 0).

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


def design_effect(correlation: float, clusters: ArrayLike) -> float:
    """How many times fewer independent items these are worth (Kish 1965).

    1 + (m - 1) * intraclass correlation, where m is the mean cluster size as an item sees it.
    """
    group, n_groups = codes(clusters)
    sizes = sums(np.ones(len(group)), group, n_groups)
    return 1 + (float(sizes @ sizes) / len(group) - 1) * correlation


def binomial_tail(hits: float, n: float, share: float) -> float:
    """P(at most `hits` of `n`) where each hits with probability `share`; n need not be whole."""
    from scipy.stats import beta

    return 1.0 if hits >= n else float(beta.sf(share, hits + 1, n - hits))


def share_upper(hits: float, n: float, error: float) -> float:
    """Upper confidence bound of a share, given `hits` of `n`, with confidence 1 - error."""
    return 1.0 if hits >= n else beta_quantile(1 - error, hits + 1, n - hits)


def two_way_mean(
    values: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    scale: tuple[float, float] = ANY,
) -> Estimate | Undefined:
    """Weighted mean of values clustered in two ways, such as by prompt and by person.

    The variance is V(first) + V(second) - V(both) (Cameron, Gelbach and Miller 2011), at least the
    larger of the first two, with Student's t at the smaller number of clusters minus one. It
    generalizes to new items and new people; with two or three people it is necessarily wide.

    Args:
        values: shape (n,).
        first: cluster of each value, shape (n,).
        second: its other cluster, shape (n,).
        weights: shape (n,); all alike if not given.
        scale: smallest and largest value there can be; the interval ends with it.
    """
    y = np.asarray(values, np.float64)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
    a, n_a = codes(first)
    b, n_b = codes(second)
    n = len(y)
    fewest = min(n_a, n_b)
    if fewest < 2:
        what = "there is nothing to count" if not n else "there is one cluster only"
        return Undefined(what, n, 0)
    mean = float((w @ y) / w.sum())
    residual = w * (y - mean) / w.sum()
    both, n_both = codes(a * n_b + b)

    def variance(group: Ints, k: int) -> float:
        of_group = sums(residual, group, k)
        return float(k / (k - 1) * (of_group @ of_group))

    v_a, v_b = variance(a, n_a), variance(b, n_b)
    total = max(v_a + v_b - (variance(both, n_both) if n_both > 1 else 0.0), v_a, v_b)
    if total <= 0:
        reason = f"every value is {y[0]:g}, so there is no spread to judge by"
        return Undefined(reason, n, 0)
    half = t_quantile(fewest - 1) * math.sqrt(total)
    method = f"two-way clustered over {n_a} and {n_b}, Student t with {fewest - 1}, 95 %"
    return Estimate(mean, max(scale[0], mean - half), min(scale[1], mean + half), n, 0, method)
