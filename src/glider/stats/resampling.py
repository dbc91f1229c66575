"""Intervals and tests by resampling whole clusters: bootstrap, and paired permutation.

Items of one document or prompt are not independent, so a cluster is drawn or swapped as a whole;
items that stand alone are clusters of one. `clusters` has shape (n,), one code per item. Random
numbers come from the generator that is passed in, and from nowhere else.

The interval is BCa (Efron 1987), its acceleration from a jackknife over clusters, or where that
does not hold the percentile one. Both take their tails further out for few clusters (Hesterberg
2015, "expanded"): at the quantiles of Student's t with K - 1 degrees of freedom times the root of
K / (K - 1), for a bootstrap of K clusters spreads too little by just that. Fewer than eight
clusters can be drawn in too few ways for any bootstrap; there it is Student's t around the value
with the jackknife's standard error, cut at the limits of the statistic. What was done is in
`method`. benchmarks/simulation.py measures how often the intervals hold the truth.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from glider.stats.estimates import Degenerate, Estimate, Undefined, t975
from glider.stats.statistic import Bools, Floats, Ints, Prepared

_NORMAL = NormalDist()
_BLOCK = 2_000_000
"""Weights held at once: 16 MB, and a few times that in a statistic."""
_COUNTED = 16_384
"""Draws counted at once, chosen to fit the processor's cache."""
_WORK = 40_000_000
"""Total weights drawn; above it there are fewer resamples, but at least 399."""
_FEWEST = 399
_JACKKNIFE = 100
"""Maximum leave-one-out estimates of the acceleration; with more clusters, groups are left out."""
_FEW = 8
"""Clusters below which nothing is resampled: of 5, a bootstrap's interval holds 85 times in 100."""
_LOST = 0.2
"""Share of resamples without a value above which no interval is given."""

Rows = TypeVar("Rows", Floats, Bools)
Of = Callable[[Floats], float]
"""A statistic of weights of shape (n,); a `Prepared` one takes many sets at once."""


def bootstrap(
    statistic: Of,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 999,
    skipped: int = 0,
) -> Estimate | Undefined:
    """A statistic with its 95 % interval from resampled clusters.

    Args:
        statistic: takes weights of shape (n,) and may raise `Degenerate`.
        clusters: shape (n,), codes of any kind.
        rng: the source of chance.
        n_resamples: of more than 40,000 items fewer are drawn, down to 399.
        skipped: items that are not among the n, for the record.

    Returns:
        `Undefined` where the statistic has no value, with one cluster, where every resample gives
        the same, or where more than a fifth of them have no value. `low <= value <= high`.
    """
    sample = _Clusters.of(clusters)
    n, k = sample.n, sample.k
    try:
        value = statistic(np.ones(n))
    except Degenerate as reason:
        return Undefined(str(reason), n, skipped)
    if k < 2:
        return Undefined("all items are of one cluster, so there is no spread to judge by", n,
                         skipped)  # fmt: skip
    left_out = np.concatenate([_many(statistic, w) for w in sample.without_each(rng)])
    if k < _FEW:
        return _by_jackknife(statistic, value, left_out, n, skipped)
    asked = _enough(n_resamples, n)
    drawn = np.concatenate([_many(statistic, w) for w in sample.resamples(asked, rng)])
    draws = np.sort(drawn[np.isfinite(drawn)])
    lost = asked - len(draws)
    if lost > _LOST * asked:
        return Undefined(f"{lost} of {asked} resamples have no value: too little data", n, skipped)
    slack = _slack(value)
    if draws[-1] - draws[0] <= slack:
        # A zero-width interval would read as certainty.
        return Undefined(f"every resample gives {value:.3g}, so there is no spread to judge by", n,
                         skipped)  # fmt: skip
    tails = _bca(value, draws, left_out, k, slack)
    name = "BCa" if tails else "percentile"
    low, high = np.quantile(draws, tails or _percentile(k), method="weibull")
    what = f"{n} items" if k == n else f"{k} clusters"
    method = f"{name} bootstrap over {what}, {asked} resamples, 95 %"
    if lost:
        method += f", {lost} without a value left out"
    return Estimate(value, min(float(low), value), max(float(high), value), n, skipped, method)


def _by_jackknife(
    statistic: Of, value: float, left_out: Floats, n: int, skipped: int
) -> Estimate | Undefined:
    """Student's t with the standard error from leaving out each of k clusters."""
    k = len(left_out)
    what = f"{n} items" if k == n else f"{k} clusters"
    if not np.isfinite(left_out).all():
        return Undefined(f"without one of its {what} it has no value", n, skipped)
    if np.ptp(left_out) <= _slack(value):
        given = f"any {k - 1} of its {what} give {round(value, 9):z.3g}"
        return Undefined(f"{given}, so there is no spread to judge by", n, skipped)
    half = t975(k - 1) * math.sqrt((k - 1) / k * float(((left_out - left_out.mean()) ** 2).sum()))
    lowest, highest = getattr(statistic, "limits", (-math.inf, math.inf))
    return Estimate(
        value,
        max(value - half, lowest),
        min(value + half, highest),
        n,
        skipped,
        f"jackknife over {what}, Student t, 95 %",
    )


def paired_difference(
    a: Of,
    b: Of,
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 999,
    skipped: int = 0,
) -> Estimate | Undefined:
    """The first statistic minus the second on the same resamples of the same items."""
    return bootstrap(_Difference(a, b), clusters, rng=rng, n_resamples=n_resamples, skipped=skipped)


def paired_permutation(
    statistic_of_swap: Callable[[Bools], float],
    clusters: ArrayLike,
    *,
    rng: np.random.Generator,
    n_permutations: int = 999,
) -> float:
    """Two-sided p of a difference between two judges of the same items, never 0.

    The two judges' answers change places in whole clusters. With so few clusters that all ways
    of swapping are no more than `n_permutations`, all are tried and p is exact.

    Args:
        statistic_of_swap: takes shape (n,), true where a and b change places, and gives the
            difference; `Swapped` makes one.
        clusters: shape (n,), codes of any kind.
        rng: the source of chance.
        n_permutations: of more than 40,000 items fewer are drawn, down to 399.

    Raises:
        Degenerate: the difference as it stands has no value. A swap without one counts as a
            difference as large as the one seen.
    """
    sample = _Clusters.of(clusters)
    seen = abs(statistic_of_swap(np.zeros(sample.n, np.bool_)))
    asked = _enough(n_permutations, sample.n)
    large = tried = 0
    for swap in sample.swaps(asked, rng):
        values = np.abs(_many(statistic_of_swap, swap))
        large += int((~(values < seen - _slack(seen))).sum())
        tried += len(values)
    # The exact test already includes the observed assignment.
    return large / tried if sample.all_swaps(asked) else (large + 1) / (tried + 1)


@dataclass(frozen=True, slots=True)
class Swapped:
    """a minus b after swapping, from a statistic of 2n rows: a's n items, then b's n.

    Scores on two scales are first made z-scores or ranks (Deutsch et al. 2021), as far as the
    statistic does not see that: mixed as they are they spoil every swap, and the test rejects
    hardly anything, true or not.
    """

    both: Prepared

    def __call__(self, swap: Bools) -> float:
        """The difference where the items marked in shape (n,) have changed places.

        Raises:
            Degenerate: one of the two has no value.
        """
        first, second = self._weights(swap[None])
        return self.both(first[0]) - self.both(second[0])

    def many(self, swap: Bools) -> Floats:
        """The differences of many swaps, shape (r, n); NaN where there is none."""
        first, second = self._weights(swap)
        return self.both.many(first) - self.both.many(second)

    @staticmethod
    def _weights(swap: Bools) -> tuple[Floats, Floats]:
        first = np.concatenate([~swap, swap], axis=1).astype(np.float64)
        return first, 1 - first


@dataclass(frozen=True, slots=True)
class _Difference:
    a: Of
    b: Of

    def __call__(self, weights: Floats) -> float:
        return self.a(weights) - self.b(weights)

    def many(self, weights: Floats) -> Floats:
        return _many(self.a, weights) - _many(self.b, weights)


@dataclass(frozen=True, slots=True)
class _Clusters:
    """Cluster of each item, and the weights that resampling gives the items."""

    code: Ints
    n: int
    k: int

    @classmethod
    def of(cls, clusters: ArrayLike) -> "_Clusters":
        names, code = np.unique(np.asarray(clusters), return_inverse=True)
        return cls(code.astype(np.int64), len(code), len(names))

    def resamples(self, n: int, rng: np.random.Generator) -> Iterator[Floats]:
        """Clusters drawn with replacement, n times over; blocks of weights, shape (r, items)."""
        for r in self._blocks(n):
            drawn = rng.integers(self.k, size=(r, self.k), dtype=np.int32)
            counts = np.empty((r, self.k))
            # Many rows at a time: with few clusters a call per row costs more than the counting.
            step = max(1, _COUNTED // self.k)
            offset = np.arange(min(step, r))[:, None] * self.k
            for start in range(0, r, step):
                some = drawn[start : start + step]
                found = np.bincount((some + offset[: len(some)]).ravel(), minlength=some.size)
                counts[start : start + step] = found.reshape(some.shape)
            yield np.take(counts, self.code, axis=1)

    def without_each(self, rng: np.random.Generator) -> Iterator[Floats]:
        """Leave out one cluster at a time, or one of 100 random groups of clusters."""
        groups = min(self.k, _JACKKNIFE)
        of_item = (rng.permutation(self.k) % groups)[self.code]
        done = 0
        for r in self._blocks(groups):
            yield (of_item != np.arange(done, done + r)[:, None]).astype(np.float64)
            done += r

    def all_swaps(self, n: int) -> bool:
        """Whether the number of distinct swaps, with the observed assignment, is at most n."""
        return self.k < 60 and 2**self.k <= n + 1

    def swaps(self, n: int, rng: np.random.Generator) -> Iterator[Bools]:
        """Cluster swaps, random or exhaustive; blocks of shape (r, items)."""
        every, done = self.all_swaps(n), 0
        for r in self._blocks(2**self.k if every else n):
            if every:
                ways = (np.arange(done, done + r)[:, None] >> np.arange(self.k) & 1) == 1
                done += r
            else:
                ways = rng.integers(2, size=(r, self.k), dtype=np.bool_)
            yield np.take(ways, self.code, axis=1)

    def _blocks(self, n: int) -> Iterator[int]:
        size = max(1, _BLOCK // max(1, self.n))
        for start in range(0, n, size):
            yield min(size, n - start)


def _slack(value: float) -> float:
    """Values of this size that are closer than this differ only by rounding."""
    return 1e-9 * max(1.0, abs(value))


def _enough(n: int, items: int) -> int:
    return min(n, max(_FEWEST, _WORK // max(1, items)))


def _many(statistic: Callable[[Rows], float], rows: Rows) -> Floats:
    """A statistic of every row; NaN where it has no value."""
    many = getattr(statistic, "many", None)
    if many is not None:
        return np.asarray(many(rows), np.float64)
    return np.array([_or_nan(statistic, row) for row in rows], np.float64)


def _or_nan(statistic: Callable[[Rows], float], row: Rows) -> float:
    try:
        return statistic(row)
    except Degenerate:
        return math.nan


def _reach(k: int) -> float:
    """How far into the tails a bootstrap of k clusters reaches, in standard normal units."""
    return t975(k - 1) * math.sqrt(k / (k - 1))


def _percentile(k: int) -> list[float]:
    return [_NORMAL.cdf(-_reach(k)), _NORMAL.cdf(_reach(k))]


def _bca(value: float, draws: Floats, left_out: Floats, k: int, slack: float) -> list[float] | None:
    """The quantiles of the draws between which a BCa interval lies; None where it does not hold.

    Bias z0 from the share of draws below the value (ties half), acceleration from the skewness of
    the leave-one-out values (Efron 1987, eq. 6.6).
    """
    below = float((draws < value - slack).mean() + (np.abs(draws - value) <= slack).mean() / 2)
    off = left_out.mean() - left_out
    spread = float((off**2).sum())
    if not 0 < below < 1 or not spread > slack**2:
        return None
    z0 = _NORMAL.inv_cdf(below)
    acceleration = float((off**3).sum()) / (6 * spread**1.5)
    tails = []
    for z in (-_reach(k), _reach(k)):
        room = 1 - acceleration * (z0 + z)
        if room <= 0:
            return None
        tails.append(_NORMAL.cdf(z0 + (z0 + z) / room))
    return tails
