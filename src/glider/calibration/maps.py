"""Calibration maps: from the judge's numbers to the people's scale and P(pass).

`none` leaves the judge's numbers unchanged. `temperature` needs level probabilities. `isotonic`
needs only a score. `auto` selects the map with the smallest error out of fold.
"""

from typing import Literal, Self

import numpy as np
from numpy.random import Generator

from glider.core.base import Frozen
from glider.core.errors import SetupError
from glider.judging.readings import Readings
from glider.stats.calibration import (
    Curve,
    cross_fitted,
    fit_isotonic,
    fit_temperature,
    folds,
    squared_errors,
    tempered,
)
from glider.stats.statistic import Bools, Floats, Ints

Method = Literal["none", "temperature", "isotonic"]

N_FOLDS = 10


class Points(Frozen):
    """An increasing piecewise linear function, constant beyond its ends."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def at(self, values: Floats) -> Floats:
        """Evaluate the function."""
        return Curve(self.x, self.y)(values)


class Maps(Frozen):
    """A fitted map to the labels' scale and, with a pass mark, one to P(pass)."""

    method: Method
    temperature: float | None = None
    to_score: Points | None = None
    """Input: the judge's expected score."""
    to_pass: Points | None = None
    """Input: the judge's own P(pass), or its expected score if it gives no probabilities."""

    @classmethod
    def fit(cls, method: Method, readings: Readings, labels: Floats, pass_at: float | None) -> Self:
        """Fit to labelled items.

        Raises:
            SetupError: temperature for a judge that gives no probabilities.
        """
        if method == "none":
            return cls(method=method)
        if method == "temperature":
            if readings.probs is None:
                raise SetupError(
                    "the judge gives no probabilities, so there is no temperature to fit",
                    hint="--method isotonic needs only scores",
                )
            heat = fit_temperature(readings.probs, readings.targets(labels))
            return cls(method=method, temperature=heat)
        to_pass = None
        if pass_at is not None:
            to_pass = _points(
                fit_isotonic(pass_score(readings, pass_at), (labels >= pass_at).astype(float))
            )
        return cls(
            method=method,
            to_score=_points(fit_isotonic(readings.expected, labels)),
            to_pass=to_pass,
        )

    def score(self, readings: Readings) -> Floats:
        """Predict people's mean score, on their scale."""
        if self.to_score is not None:
            return self.to_score.at(readings.expected)
        if self.temperature is not None and readings.probs is not None:
            return tempered(readings.probs, self.temperature) @ readings.ladder
        return readings.expected

    def p_pass(self, readings: Readings, pass_at: float) -> Floats:
        """Predict the probability that people would pass it."""
        if self.to_pass is not None:
            return self.to_pass.at(pass_score(readings, pass_at))
        if self.temperature is not None and readings.probs is not None:
            return tempered(readings.probs, self.temperature) @ (readings.ladder >= pass_at)
        return readings.p_pass(pass_at)


def _points(curve: Curve) -> Points:
    return Points(x=curve.x, y=curve.y)


def pass_score(readings: Readings, pass_at: float) -> Floats:
    """Return the input of the map to P(pass): the judge's own P(pass), or its score without one."""
    return readings.expected if readings.probs is None else readings.p_pass(pass_at)


def predicted(
    method: Method,
    readings: Readings,
    labels: Floats,
    clusters: Ints,
    pass_at: float | None,
    rng: Generator,
) -> tuple[Floats, Floats | None]:
    """Predict scores and P(pass) of labelled items out of fold."""
    fold = folds(clusters, N_FOLDS, rng)
    if method == "none":  # no map to fit
        return readings.expected, None if pass_at is None else readings.p_pass(pass_at)

    def fitted(train: Bools) -> Maps:
        return Maps.fit(method, readings.only(train), labels[train], pass_at)

    scores = cross_fitted(lambda train, test: fitted(train).score(readings.only(test)), fold)
    if pass_at is None:
        return scores, None
    mark = pass_at
    return scores, cross_fitted(
        lambda train, test: fitted(train).p_pass(readings.only(test), mark), fold
    )


def best(
    readings: Readings, labels: Floats, clusters: Ints, pass_at: float | None, rng: Generator
) -> Method:
    """Return the map with the smallest squared error out of fold.

    The error is that of P(pass) if there is a pass mark, else of the score; ties take the simpler.
    """
    if np.ptp(labels) == 0:
        return "none"
    tried: list[Method] = ["none", "isotonic"]
    if readings.probs is not None:
        tried.insert(1, "temperature")

    def loss(method: Method) -> float:
        scores, passing = predicted(method, readings, labels, clusters, pass_at, rng)
        if passing is None or pass_at is None:
            return float(squared_errors(scores, labels).mean())
        return float(squared_errors(passing, (labels >= pass_at).astype(np.float64)).mean())

    return min(tried, key=loss)
