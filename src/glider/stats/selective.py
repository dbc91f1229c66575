"""Selective prediction: risk against coverage, and a certified threshold.

An item is kept where the judge's confidence reaches the threshold; *risk* is the share of kept
items on which judge and people disagree. What counts as disagreement is the caller's choice and
comes as an array of booleans.

The threshold is certified by fixed-sequence testing (Learn then Test: Angelopoulos et al. 2021,
arXiv 2110.01052; selective judging: Jung et al. 2024, arXiv 2407.18370): thresholds that keep
more and more are tested one after another, each by an exact binomial bound, and the last one
before the first failure is taken. The order is settled without looking at the labels, so
P(risk > alpha) <= delta over the draw of labelled items. With clusters the bound uses the
effective sample size and is approximate.
"""

from dataclasses import dataclass

import numpy as np

from glider.stats.clustered import (
    binomial_tail,
    clustered_share,
    codes,
    design_effect,
    few_clusters_factor,
    intraclass_correlation,
    share_upper,
)
from glider.stats.estimates import Degenerate, Estimate, Undefined
from glider.stats.statistic import Bools, Floats, Ints

_STEP = 0.05
"""Step between the shares kept: thresholds keep 5 %, 10 %, ... 100 % of the judged items."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The risk of keeping everything at least as confident as `threshold`."""

    threshold: float
    kept: float
    """Share of the judged items that is kept."""
    risk: Estimate | Undefined
    """Share of disagreement among labelled items that are kept."""


def thresholds(everyone: Floats) -> Floats:
    """Confidences that keep 5 %, 10 %, ... 100 % of the judged items, highest first."""
    shares = np.arange(1, round(1 / _STEP) + 1) * _STEP
    found = np.quantile(everyone, 1 - np.minimum(shares, 1.0), method="lower")
    return np.unique(found)[::-1]


def risk_coverage(
    confidence: Floats, disagree: Bools, clusters: Ints, everyone: Floats
) -> list[CurvePoint]:
    """The risk-coverage curve, fewest kept first.

    Args:
        confidence: of the labelled items, shape (n,).
        disagree: judge and people differ there, shape (n,).
        everyone: confidences of all judged items, labelled or not.
    """
    points = []
    for threshold in thresholds(everyone):
        here = confidence >= threshold
        risk: Estimate | Undefined = Undefined("no label among the kept", 0, 0)
        if here.any():
            risk = clustered_share(disagree[here], clusters[here])
        points.append(CurvePoint(float(threshold), float((everyone >= threshold).mean()), risk))
    return points


def aurc(confidence: Floats, disagree: Floats, weights: Floats | None = None) -> float:
    """Area under the risk-coverage curve (Geifman and El-Yaniv 2017), 0 best.

    A confidence that tells nothing gives the overall risk. Equal confidences are kept together.

    Raises:
        Degenerate: no item has weight.
    """
    weight = np.ones(len(confidence)) if weights is None else weights
    total = float(weight.sum())
    if total <= 0:
        raise Degenerate("no items")
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    kept = np.cumsum(weight[order])
    wrong = np.cumsum((weight * disagree)[order])
    last = np.searchsorted(-ranked, -ranked, side="right") - 1
    risk = np.divide(wrong[last], kept[last], out=np.zeros(len(last)), where=kept[last] > 0)
    return float(risk @ weight[order]) / total


@dataclass(frozen=True, slots=True)
class Certified:
    """A threshold with a guarantee."""

    threshold: float
    kept: float
    """Share of the judged items that is kept."""
    labelled: int
    """Labelled items among the kept."""
    disagreed: int
    upper: float
    """Upper confidence bound of the risk, at most alpha."""


def fewest_labels(alpha: float, delta: float, disagreements: int = 0) -> int:
    """Kept labels needed to certify a threshold, given this many disagreements among them."""
    n = disagreements + 1
    while binomial_tail(disagreements, n, alpha) > delta:
        n += 1
    return n


def certified_threshold(
    confidence: Floats,
    disagree: Bools,
    clusters: Ints,
    everyone: Floats,
    *,
    alpha: float,
    delta: float,
) -> Certified | Undefined:
    """The lowest threshold for which P(disagreement among kept > alpha) <= delta.

    Args:
        confidence: of the labelled items, shape (n,), from a random draw of the judged ones.
        disagree: judge and people differ there, shape (n,).
        everyone: confidences of all judged items, labelled or not.
    """
    n = len(confidence)
    fewest = fewest_labels(alpha, delta)
    if n < fewest:
        return Undefined(
            f"{fewest} labels without any disagreement would be the least for this promise, and "
            f"there are {n}",
            n,
            0,
        )
    correlation = intraclass_correlation(disagree.astype(np.float64), clusters)
    best: Certified | None = None
    start = _start(n, alpha, delta)
    for threshold in thresholds(everyone):
        kept = float((everyone >= threshold).mean())
        if kept * n < start:
            continue
        here = confidence >= threshold
        k, size = int(disagree[here].sum()), int(here.sum())
        worth = _worth(correlation, clusters[here])
        if binomial_tail(k * worth, size * worth, alpha) > delta:
            break
        upper = share_upper(k * worth, size * worth, delta)
        best = Certified(float(threshold), kept, size, k, upper)
    if best is None:
        return Undefined(
            f"even the most confident judgments were not shown to disagree in at most {alpha:.0%}",
            n,
            0,
        )
    return best


def _worth(correlation: float, clusters: Ints) -> float:
    """Number of independent items that one of these is worth, at most 1."""
    n = len(clusters)
    if n == 0:
        return 1.0
    return few_clusters_factor(n, codes(clusters)[1]) / design_effect(correlation, clusters)


def _start(n: int, alpha: float, delta: float) -> float:
    """Expected number of kept labels at the first threshold tested.

    With too few the first test fails by bad luck, with too many it leaves no room for a judge that
    is right only where it is sure. A third kept most over five shapes of risk and 60 to 500 labels,
    beside fixed starts and several starts that share delta.
    """
    fewest = fewest_labels(alpha, delta)
    # The actual number kept varies around the expected one.
    return min(float(n), max(n / 3, fewest + 2 * float(np.sqrt(fewest))))
