"""Compute a figure and its interval from the values of trials.

Everything about one sample is resampled together. A share of independent samples gets Wilson's
interval, everything else the cluster bootstrap. If all samples have the same value, resampling
shows no variation: the interval is then the number of different samples that could have been
missed, times the largest possible difference.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from glider.audit.probe import Effect, Rng, Side, Trial, Unit
from glider.stats.estimates import Estimate, Undefined, proportion
from glider.stats.resampling import bootstrap
from glider.stats.statistic import mean_of

Floats = NDArray[np.float64]
T = TypeVar("T", bound=Trial)


@dataclass(frozen=True)
class Values:
    """One value per judged trial."""

    values: Floats
    clusters: NDArray[np.int64]
    """Codes from 0."""
    asked: int
    """Number of trials, including those without a value."""

    def __len__(self) -> int:
        return len(self.values)


def values(trials: Iterable[T], value: Callable[[T], float | None]) -> Values:
    """The value of every trial that has one; None is a trial that could not be judged."""
    tried = list(trials)
    found = [(value(trial), trial.subject.cluster) for trial in tried]
    known = [(number, cluster) for number, cluster in found if number is not None]
    codes: dict[str, int] = {}
    return Values(
        np.array([number for number, _ in known], dtype=np.float64),
        np.array([codes.setdefault(cluster, len(codes)) for _, cluster in known], dtype=np.int64),
        len(tried),
    )


def mean(
    found: Values, rng: Rng, *, span: tuple[float, float], nothing: str
) -> Estimate | Undefined:
    """Mean with its 95 % interval.

    Args:
        span: lowest and highest possible value.
        nothing: why there may be no value at all, and what the user can supply.
    """
    n, skipped = len(found), found.asked - len(found)
    if not found.asked:
        return Undefined(nothing, 0, 0)
    if not n:
        return Undefined("none of it could be judged", 0, skipped)
    samples = len(np.unique(found.clusters))
    if samples < 2:
        return Undefined("one sample only", n, skipped)
    of_each = np.bincount(found.clusters, found.values) / np.bincount(found.clusters)
    if np.ptp(of_each) < 1e-9:
        return _constant(float(of_each[0]), samples, span, n, skipped)
    if samples == n and set(found.values) <= {0.0, 1.0}:
        return proportion(int(found.values.sum()), n, skipped=skipped)
    return bootstrap(mean_of(found.values), found.clusters, rng=rng, skipped=skipped)


def _constant(
    value: float, samples: int, span: tuple[float, float], n: int, skipped: int
) -> Estimate:
    # If a larger share differed, at least one would have been seen in 95 of 100 cases.
    missed = 1 - 0.05 ** (1 / samples)
    low, high = span
    return Estimate(
        value,
        value - missed * (value - low),
        value + missed * (high - value),
        n,
        skipped,
        f"{samples} samples all alike, exact, 95 %",
    )


_SPAN: dict[Unit, tuple[float, float]] = {
    "share": (0.0, 1.0),
    "shift": (-1.0, 1.0),
    "correlation": (-2.0, 2.0),
}


def effect(
    name: str,
    title: str,
    trials: Sequence[T],
    value: Callable[[T], float | None],
    rng: Rng,
    *,
    unit: Unit,
    means: str,
    nothing: str,
    neutral: float = 0.0,
    bound: float | None = None,
    side: Side = "both",
) -> Effect:
    """The mean of a value over trials, as an Effect."""
    found = values(trials, value)
    return Effect(
        name=name,
        title=title,
        estimate=mean(found, rng, span=_SPAN[unit], nothing=nothing),
        asked=found.asked,
        judged=len(found),
        unit=unit,
        neutral=neutral,
        bound=bound,
        side=side,
        means=means,
    )
