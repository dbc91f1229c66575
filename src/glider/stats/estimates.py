"""A figure is an Estimate with an interval, or Undefined with a reason; never a bare 0."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glider.core.errors import MissingExtra

# 97.5 % quantiles of Student's t for 1 to 29 degrees of freedom.
_T975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045,
)  # fmt: skip
_Z975 = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int
    skipped: int
    method: str

    def __str__(self) -> str:
        lost = f" ({self.skipped} not judged)" if self.skipped else ""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] n={self.n}{lost}"


@dataclass(frozen=True, slots=True)
class Undefined:
    """No valid figure can be given."""

    reason: str
    n: int
    skipped: int

    def __str__(self) -> str:
        return f"undefined: {self.reason} (n={self.n})"


class Degenerate(ValueError):
    """A statistic is undefined on this data: constant labels, one class, too few items.

    Statistics over arrays raise it with the reason in plain words; code that makes figures
    converts it to `Undefined`.
    """


def t975(degrees: int) -> float:
    """The 97.5 % quantile of Student's t, to 0.001; 12.706 for one degree of freedom."""
    if degrees <= len(_T975):
        return _T975[degrees - 1]
    # Cornish-Fisher expansion, to the second term.
    z = _Z975
    return (
        z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees * degrees)
    )


def mean(
    counts: Mapping[float, int], *, skipped: int = 0, scale: Sequence[float] = ()
) -> Estimate | Undefined:
    """Mean of values given as value -> how often, with Student's t interval.

    Samples are taken as independent; where several rows share a document the interval is too
    narrow. Where `scale`, all values there could be in rising order, is given, the interval ends
    with it: no mean lies beyond.
    """
    n = sum(counts.values())
    if n < 2:
        return Undefined("fewer than two judgments", n, skipped)
    if len([count for count in counts.values() if count]) == 1:
        # A zero-width interval would read as certainty.
        (value,) = (value for value, count in counts.items() if count)
        return Undefined(f"every score is {value:g}, so there is no spread to judge by", n, skipped)
    average = sum(value * count for value, count in counts.items()) / n
    variance = sum(count * (value - average) ** 2 for value, count in counts.items()) / (n - 1)
    half = t975(n - 1) * math.sqrt(variance / n)
    low, high = average - half, average + half
    if scale:
        low, high = max(low, min(scale[0], average)), min(high, max(scale[-1], average))
    return Estimate(average, low, high, n, skipped, "Student t, 95 %")


def proportion(hits: int, n: int, *, skipped: int = 0) -> Estimate | Undefined:
    """Share of hits with Wilson's interval (Wilson 1927), which keeps its coverage near 0 and 1."""
    if n == 0:
        return Undefined("nothing was judged", 0, skipped)
    share = hits / n
    z2 = _Z975**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z975 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low, high = max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))
    return Estimate(share, low, high, n, skipped, "Wilson, 95 %")


def exact_proportion(hits: int, n: int, *, skipped: int = 0) -> Estimate | Undefined:
    """Share of hits with the interval of Clopper and Pearson (1934).

    Holds the truth in at least 95 of 100 cases whatever the share is, and is wider for it than
    Wilson's. For items that are independent.

    Raises:
        MissingExtra: scipy is not installed.
    """
    if n == 0:
        return Undefined("nothing was judged", 0, skipped)
    try:
        from scipy.special import betaincinv
    except ImportError as exc:
        raise MissingExtra("an exact interval", "bench") from exc
    low = float(betaincinv(hits, n - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 0.975)) if hits < n else 1.0
    return Estimate(hits / n, low, high, n, skipped, "Clopper-Pearson, 95 %")
