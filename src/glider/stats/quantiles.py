"""Quantiles of the beta distribution and of Student's t, with or without scipy.

Judging a file needs neither scipy nor anything else of the extra `bench`, and its intervals are
the same numbers as those of the commands that do. Where scipy is missing, the beta distribution is
computed here by its continued fraction, to about 12 digits.
"""

import math

_TINY = 1e-300


def beta_quantile(share: float, a: float, b: float) -> float:
    """The point below which `share` of the beta distribution with parameters a and b lies.

    Args:
        share: 0 to 1.
        a: above 0.
        b: above 0.
    """
    try:
        from scipy.special import betaincinv
    except ImportError:
        return _by_bisection(share, a, b)
    return float(betaincinv(a, b, share))


def t_quantile(degrees: float) -> float:
    """The 97.5 % quantile of Student's t: half-width of a 95 % interval in standard errors."""
    try:
        from scipy.special import stdtrit
    except ImportError:
        # P(|t| > q) is the beta distribution's share below d / (d + q^2).
        below = beta_quantile(0.05, degrees / 2, 0.5)
        return math.sqrt(degrees * (1 - below) / below)
    return float(stdtrit(degrees, 0.975))


def _by_bisection(share: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if _below(middle, a, b) < share:
            low = middle
        else:
            high = middle


def _below(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, 0 < x < 1."""
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    # The fraction converges fast only on one side of the mean.
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction (DLMF 8.17.22) by the modified method of Lentz (1976)."""
    above, below = 1.0, 1 - (a + b) * x / (a + 1)
    below = 1 / (below or _TINY)
    value = below
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            below = 1 / ((1 + term * below) or _TINY)
            above = (1 + term / above) or _TINY
            step = above * below
            value *= step
        if abs(step - 1) < 1e-15:
            break
    return value
