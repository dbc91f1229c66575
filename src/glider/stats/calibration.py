"""Calibration: maps from a judge's numbers to human labels, and their errors.

Two maps. *Isotonic*: an increasing function of the judge's score, fitted to the labels (pool
adjacent violators, linear between steps). *Temperature*: the judge's level probabilities
sharpened or flattened by one number (Guo et al. 2017). A map is evaluated only on items it was not
fitted to: `cross_fitted`, with whole clusters in a fold.

`predicted` and `actual` are either probabilities of an event and 0/1, or scores and labels of one
scale; every measure here serves both. Arrays have shape (n,).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.optimize import isotonic_regression, minimize_scalar

from glider.stats.clustered import clustered_mean, clustered_share, codes, sums
from glider.stats.estimates import Degenerate, Estimate, Undefined
from glider.stats.statistic import ANY, Bools, Floats, Ints

_LEAST = 1e-3
"""Probabilities are clipped to this distance from 0 and 1 before taking logarithms."""
_COLDEST, _HOTTEST = 0.05, 20.0


@dataclass(frozen=True, slots=True)
class Curve:
    """An increasing piecewise linear function, constant beyond its ends."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, values: Floats) -> Floats:
        return np.interp(values, self.x, self.y)


def fit_isotonic(scores: Floats, labels: Floats) -> Curve:
    """Fit an increasing curve to the labels by least squares (scipy's isotonic regression)."""
    x, group, count = np.unique(scores, return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=labels) / count
    y = isotonic_regression(means, weights=count).x
    # The two ends of each step determine the curve.
    flat = np.zeros(len(x), np.bool_)
    flat[1:-1] = (y[1:-1] == y[:-2]) & (y[1:-1] == y[2:])
    return Curve(tuple(x[~flat].tolist()), tuple(y[~flat].tolist()))


def tempered(probs: Floats, temperature: float) -> Floats:
    """Level probabilities (n, K) raised to 1 / temperature, normalized to sum to 1."""
    logs = np.log(np.maximum(probs, 1e-9)) / temperature
    logs -= logs.max(axis=1, keepdims=True)
    raised = np.exp(logs)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float64)


def fit_temperature(probs: Floats, targets: Floats) -> float:
    """Find the temperature with the smallest log loss, within 0.05 to 20.

    Args:
        probs: the judge's, shape (n, K), rows summing to 1.
        targets: people's labels as weights over the levels, shape (n, K), rows summing to 1.

    Returns:
        1 if the judge's probabilities are calibrated; above 1 if it is overconfident.
    """

    def loss(log_temperature: float) -> float:
        return float(
            -(targets * np.log(tempered(probs, float(np.exp(log_temperature))))).sum(axis=1).mean()
        )

    found = minimize_scalar(loss, bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def folds(clusters: Ints, n_folds: int, rng: Generator) -> Ints:
    """A fold number for each item: whole clusters, sizes as equal as they allow."""
    group, n_groups = codes(clusters)
    sizes = np.bincount(group, minlength=n_groups)
    order = rng.permutation(n_groups)
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(min(n_folds, n_groups), np.int64)
    fold = np.zeros(n_groups, np.int64)
    for cluster in order:
        fold[cluster] = int(filled.argmin())
        filled[fold[cluster]] += sizes[cluster]
    return fold[group]


def cross_fitted(predict: Callable[[Bools, Bools], Floats], fold: Ints) -> Floats:
    """Return a map's out-of-fold predictions.

    Args:
        predict: fits on the items of the first mask, returns predictions for the second.
        fold: from `folds`.

    Raises:
        Degenerate: all items are in one fold, so there is nothing to fit on.
    """
    if np.ptp(fold) == 0:
        raise Degenerate("all items are of one cluster, so a map cannot be checked on others")
    predicted = np.empty(len(fold))
    for number in range(int(fold.max()) + 1):
        held_out = fold == number
        predicted[held_out] = predict(~held_out, held_out)
    return predicted


def squared_errors(predicted: Floats, actual: Floats) -> Floats:
    """Squared errors; for probabilities and 0/1 their mean is the Brier score, 0.25 at p = 0.5."""
    return np.square(predicted - actual)


LOG_LOSSES = (float(-np.log(1 - _LEAST)), float(-np.log(_LEAST)))
"""The smallest and the largest log loss."""


def log_losses(predicted: Floats, actual: Floats) -> Floats:
    """Log losses in nats; 0.69 at 0.5. Probabilities are clipped to 0.001..0.999."""
    p = np.clip(predicted, _LEAST, 1 - _LEAST)
    return -(actual * np.log(p) + (1 - actual) * np.log(1 - p))


@dataclass(frozen=True, slots=True)
class ReliabilityPoint:
    """One bin of a reliability diagram."""

    predicted: float
    """Mean prediction in the bin."""
    actual: Estimate | Undefined
    """Mean label in the bin."""


def bins(predicted: Floats, n_bins: int | None = None) -> Ints:
    """Bins of equal mass, from 0; equal predictions share a bin.

    By default one bin for 15 items, at least 2 and at most 10.
    """
    wanted = n_bins or int(np.clip(len(predicted) // 15, 2, 10))
    edges = np.unique(np.quantile(predicted, np.arange(1, wanted) / wanted))
    return codes(np.searchsorted(edges, predicted, side="right").astype(np.int64))[0]


def reliability(
    predicted: Floats,
    actual: Floats,
    clusters: Ints,
    *,
    by: Floats | None = None,
    n_bins: int | None = None,
    scale: tuple[float, float] = ANY,
) -> list[ReliabilityPoint]:
    """Points of a reliability diagram with 95 % intervals, lowest bin first.

    Args:
        by: what decides the bins, shape (n,); the predictions if not given. Cross-fitted ones
            must be given the judge's own score: where a map knows little, its predictions differ
            by fold alone, high where the fold's own labels are low, and bins of them would show an
            error that is not there.
        scale: smallest and largest label there can be, where labels are no 0 and 1.
    """
    event = bool(np.isin(actual, (0.0, 1.0)).all())
    bin_of = bins(predicted if by is None else by, n_bins)
    points = []
    for number in range(int(bin_of.max()) + 1):
        here = bin_of == number
        found: Estimate | Undefined
        if event:
            found = clustered_share(actual[here] > 0, clusters[here])
        else:
            found = clustered_mean(actual[here], clusters[here], scale=scale)
        points.append(ReliabilityPoint(float(predicted[here].mean()), found))
    return points


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """Expected calibration error (ECE), and its value by chance for a calibrated judge."""

    value: float
    """Mean distance of predicted and actual over equal-mass bins, in units of the scale."""
    by_chance: float
    """Mean value for a perfectly calibrated judge with these labels: the measure counts
    noise as error and is never 0."""
    by_chance_high: float
    """Its 95th percentile for a perfectly calibrated judge."""
    n: int
    n_bins: int


def calibration_error(
    predicted: Floats,
    actual: Floats,
    clusters: Ints,
    *,
    rng: Generator,
    by: Floats | None = None,
    n_bins: int | None = None,
    n_draws: int = 999,
) -> CalibrationError:
    """Expected calibration error (equal-mass bins, see `reliability`) with its bias.

    The bias is measured by a wild bootstrap: residuals within bins, centred there so that nothing
    is miscalibrated, get a random sign for each cluster.
    """
    bin_of = bins(predicted if by is None else by, n_bins)
    n, wanted = len(predicted), int(bin_of.max()) + 1
    group, n_groups = codes(clusters)
    residual = actual - predicted
    size = np.bincount(bin_of, minlength=wanted)
    mean = sums(residual, bin_of, wanted) / size
    value = float(size @ np.abs(mean)) / n
    # Centring n residuals removes one degree of freedom.
    centred = (residual - mean[bin_of]) * np.sqrt(size / np.maximum(size - 1, 1))[bin_of]
    pull = np.zeros((n_groups, wanted))
    np.add.at(pull, (group, bin_of), centred)
    signs = rng.choice(np.array([-1.0, 1.0]), (n_draws, n_groups))
    drawn = np.abs(signs @ pull).sum(axis=1) / n
    return CalibrationError(value, float(drawn.mean()), float(np.quantile(drawn, 0.95)), n, wanted)
