"""Prediction-powered inference: a set's true mean or pass rate from few labels.

Prediction-powered inference with power tuning (PPI++: Angelopoulos, Duchi and Zrnic 2023, arXiv
2311.01453): the judge's scores predict how the labelled items differ from the others, and the
labels determine the weight of its scores, `lambda` in the paper. It is valid for any judge; for a
useless one lambda is 0, which leaves the plain mean of the labels.

It rests on one thing: the labelled items are a random draw from the set. Where the judge's help
cannot be measured, the labels are left alone: labels all alike, fewer than three clusters of them,
or fewer than fifteen clusters of others, and fewer than of labelled ones (the spread of the judge's
scores there is hardly known).

Arrays of labelled items have shape (n,), of the others (m,); equal cluster codes in both mean the
same cluster. Small samples: Student's t, and a residual variance that pays for the tuned power.
"""

from dataclasses import dataclass

import numpy as np

from glider.stats.clustered import (
    clustered_mean,
    clustered_share,
    codes,
    robust_variance,
)
from glider.stats.clustered import sums as cluster_sums
from glider.stats.estimates import Estimate, Undefined
from glider.stats.quantiles import t_quantile
from glider.stats.statistic import ANY, SHARE, Floats, Ints

FEWEST_OF_A_KIND = 5
"""With fewer passes (or fails) than this among the labels, the variance cannot be estimated."""
_FEWEST_OTHERS = 15
"""So many clusters of items without a label are enough, or as many as there are of labelled ones:
of five beside 25, a 95 % interval with the judge's help holds the truth 91 times in 100."""


@dataclass(frozen=True, slots=True)
class Powered:
    """A mean that uses the judge's scores, next to the mean of the labels alone."""

    estimate: Estimate | Undefined
    classical: Estimate | Undefined
    power: float = 0.0
    """PPI++ lambda, the weight of the judge's scores: 0 none, 1 all of their difference."""
    labels_worth: float | None = None
    """Number of labels that would give as narrow an interval without the judge; None if unused."""


def prediction_powered_mean(
    labels: Floats,
    judged: Floats,
    others: Floats,
    *,
    clusters: Ints,
    other_clusters: Ints,
    power: float | None = None,
    scale: tuple[float, float] = ANY,
) -> Powered:
    """Mean human label of everything like this set, with a 95 % interval.

    Args:
        labels: human labels, shape (n,).
        judged: the judge's scores of the same items, on any scale, shape (n,).
        others: its scores of the items nobody labelled, shape (m,).
        power: PPI++ lambda; tuned for the narrowest interval if not given (eq. 6 of the paper,
            over clusters; not cut to 0..1, since scores and labels may differ in scale).
        scale: smallest and largest label there can be.
    """
    classical = clustered_mean(labels, clusters, scale=scale)
    n, m = len(labels), len(others)
    tuned = power is None
    n_labelled = codes(clusters)[1]
    df = n_labelled - (2 if tuned else 1)
    if isinstance(classical, Undefined):
        return Powered(classical, classical)
    if (
        df < 1
        or codes(other_clusters)[1] < min(n_labelled, _FEWEST_OTHERS)
        or np.ptp(labels) == 0
        or (tuned and np.ptp(judged) == 0)
    ):
        return Powered(classical, classical)
    group, n_groups = codes(np.concatenate([clusters, other_clusters]))
    ours, theirs = group[:n], group[n:]
    # Each cluster's pull on: the mean label, the judge's mean there, the judge's mean elsewhere.
    label = cluster_sums((labels - labels.mean()) / n, ours, n_groups)
    near = cluster_sums((judged - judged.mean()) / n, ours, n_groups)
    far = cluster_sums((others - others.mean()) / m, theirs, n_groups)
    if power is None:
        gap = near - far
        power = float(label @ gap / (gap @ gap))
    mean = float(labels.mean() + power * (others.mean() - judged.mean()))
    pull = (label - power * near) * np.sqrt(n_labelled / df) + power * far
    half = t_quantile(df) * float(np.sqrt(pull @ pull))
    # Both halves without the variance floor of `clustered_mean`, so that they are comparable.
    alone = t_quantile(n_labelled - 1) * float(np.sqrt(robust_variance(labels, *codes(clusters))))
    if half < 1e-9 * alone:
        return Powered(classical, classical)
    method = f"prediction-powered (PPI++, lambda {power:.2f}), Student t, 95 %"
    if n_labelled < n:
        method = method.replace("Student t", f"Student t over {n_labelled} clusters")
    value, bottom, top = (float(np.clip(x, *scale)) for x in (mean, mean - half, mean + half))
    estimate = Estimate(value, bottom, top, n, 0, method)
    return Powered(estimate, classical, power, n * (alone / half) ** 2)


def prediction_powered_rate(
    passes: Floats,
    judged: Floats,
    others: Floats,
    *,
    clusters: Ints,
    other_clusters: Ints,
    power: float | None = None,
) -> Powered:
    """Share that people would pass; as `prediction_powered_mean` for labels that are 0 or 1.

    Beside it stands the exact interval of the labels alone. With fewer than five passes or fails
    the judge's help cannot be measured and only the exact interval is given.
    """
    classical = clustered_share(passes > 0, clusters)
    rarer = int(min(passes.sum(), len(passes) - passes.sum()))
    if rarer < FEWEST_OF_A_KIND:
        kind = "passed" if passes.sum() == rarer else "failed"
        reason = f"only {rarer} of the {len(passes)} labelled items {kind}"
        return Powered(Undefined(reason, len(passes), 0), classical)
    found = prediction_powered_mean(
        passes,
        judged,
        others,
        clusters=clusters,
        other_clusters=other_clusters,
        power=power,
        scale=SHARE,
    )
    return Powered(found.estimate, classical, found.power, found.labels_worth)


def weighted_prediction_powered(
    labels: Floats,
    judged: Floats,
    everyone: Floats,
    *,
    weights: Floats,
    clusters: Ints,
    all_clusters: Ints,
    scale: tuple[float, float] = ANY,
) -> Powered:
    """As `prediction_powered_mean`, of labels drawn with known unequal probabilities.

    The Hajek form of active inference (Zrnic and Candes 2024, arXiv 2403.03208) with a tuned power;
    for a rate, labels are 0 and 1 and the scale is theirs.

    Args:
        everyone: the judge's scores of all items that were drawn from, labelled or not, shape (m,).
        weights: one divided by the probability of being drawn, shape (n,).
    """
    n, share = len(labels), weights / weights.sum()
    group, n_groups = codes(np.concatenate([clusters, all_clusters]))
    ours, theirs = group[:n], group[n:]
    n_labelled = codes(clusters)[1]
    if n_labelled < 4 or np.ptp(labels) == 0:
        why = "fewer than four independent labels" if n_labelled < 4 else "every label is the same"
        return Powered(Undefined(why, n, 0), Undefined(why, n, 0))
    mean, mean_judged = float(share @ labels), float(share @ judged)
    label = cluster_sums(share * (labels - mean), ours, n_groups)
    near = cluster_sums(share * (judged - mean_judged), ours, n_groups)
    far = cluster_sums((everyone - everyone.mean()) / len(everyone), theirs, n_groups)
    gap = near - far
    power = float(label @ gap / (gap @ gap)) if gap @ gap > 0 else 0.0

    def estimate(power: float, df: int, method: str) -> tuple[Estimate, float]:
        value = mean + power * (float(everyone.mean()) - mean_judged)
        pull = (label - power * near) * np.sqrt(n_labelled / df) + power * far
        half = t_quantile(df) * float(np.sqrt(pull @ pull))
        middle, low, high = (float(np.clip(x, *scale)) for x in (value, value - half, value + half))
        return Estimate(middle, low, high, n, 0, method), half

    over = f"Student t over {n_labelled} clusters" if n_labelled < n else "Student t"
    alone, wide = estimate(0.0, n_labelled - 1, f"weighted by the draw, {over}, 95 %")
    method = f"weighted by the draw, prediction-powered (lambda {power:.2f}), {over}, 95 %"
    found, narrow = estimate(power, n_labelled - 2, method)
    return Powered(found, alone, power, n * (wide / narrow) ** 2 if narrow > 0 else None)


def half_width(
    n: int, *, spread: float, correlation: float, total: int | None, design: float = 1.0
) -> float:
    """Expected half-width of a 95 % interval from n labels.

    Args:
        spread: standard deviation of the labels.
        correlation: of judge and labels, Pearson; 0 for no judge.
        total: items in the whole set; None where judgments are as good as unlimited.
        design: how many times fewer independent items n are worth (clusters).
    """
    df = n / design - (2 if correlation else 1)
    if df < 1:
        return float("inf")
    rest = 1.0 if total is None else 1 - n / total
    variance = spread**2 / n * design * (1 - correlation**2 * rest)
    if correlation:
        variance *= (df + 1) / df  # correct for tuning the power
    return t_quantile(df) * float(np.sqrt(variance))


def labels_needed(
    width: float, *, spread: float, correlation: float, total: int | None, design: float = 1.0
) -> int | None:
    """Fewest labels whose 95 % interval has at most this half-width.

    None where labelling the whole set would not do, or more than ten million are needed.
    """
    most = 10_000_000 if total is None else total

    def enough(n: int) -> bool:
        return (
            half_width(n, spread=spread, correlation=correlation, total=total, design=design)
            <= width
        )

    if not enough(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
