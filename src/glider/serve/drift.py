"""Has the traffic left what the labelled texts were like? Rates of blocked and abstained texts.

Of every `window` judged texts of a check, the blocked and the abstained are counted and compared
with the labelled run's by Fisher's exact test, two-sided, at 0.001 for each rate. If served and
labelled texts are alike, a window therefore raises a false alarm with a probability of at most
0.002, whatever the rates are; both samples' chance is allowed for. It holds for texts that are
independent of one another: a flood of one text is drift, and is reported as such. The test is
conditional on the total, so the allowed counts are known beforehand and watching costs an addition.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Rate = Literal["blocked", "abstained"]
RATES: tuple[Rate, ...] = ("blocked", "abstained")
ALPHA = 0.001
"""Error level of the test of one rate in one window."""


def allowed(hits: int, n: int, window: int) -> tuple[int, int]:
    """Return the fewest and the most hits in a window that agree with `hits` of `n` before.

    A count is outside if, given the total of both samples, one so low or so high has a probability
    of at most ALPHA / 2.
    """
    low, high = -1, window  # low is outside or -1; high is inside
    while high - low > 1:
        middle = (low + high) // 2
        if _tail(hits, n, middle, window) <= ALPHA / 2:
            low = middle
        else:
            high = middle
    fewest = high
    # The other tail is the same with hits and misses exchanged.
    low, high = -1, window
    while high - low > 1:
        middle = (low + high) // 2
        if _tail(n - hits, n, middle, window) <= ALPHA / 2:
            low = middle
        else:
            high = middle
    return fewest, window - high


def _tail(hits: int, n: int, k: int, window: int) -> float:
    """P(at most k hits in the window), of `hits + k` hits spread over `n + window` texts."""
    total, every = hits + k, n + window
    first = max(0, total - n)
    whole = _log_choose(every, total)
    return sum(
        math.exp(_log_choose(window, i) + _log_choose(n, total - i) - whole)
        for i in range(first, k + 1)
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


@dataclass
class Drift:
    """Watches one check. Use from one thread only."""

    expected: Mapping[str, int]
    """What the labelled texts came to: `passed`, `blocked`, `abstained`, each with its count."""
    window: int
    alarms: dict[Rate, str] = field(default_factory=dict)
    """Of each rate that was outside in the last whole window, what was seen and what is allowed."""
    windows: int = 0
    """Whole windows so far."""
    _seen: Counter[str] = field(default_factory=Counter)

    @cached_property
    def allowed(self) -> dict[Rate, tuple[int, int]]:
        """The fewest and the most texts of a window that may be blocked, and abstained."""
        n = sum(count for found, count in self.expected.items() if found != "failed")
        return {rate: allowed(self.expected.get(rate, 0), n, self.window) for rate in RATES}

    def saw(self, found: str) -> list[str]:
        """Count one text; at the end of a window return the alarms, in words.

        Failures are not counted: they have a rate of their own in the metrics.
        """
        if found == "failed":
            return []
        self._seen[found] += 1
        if self._seen.total() < self.window:
            return []
        self.windows += 1
        self.alarms = {
            rate: f"{self._seen[rate]} of {self.window} texts {rate}; the labelled ones allow "
            f"{low} to {high}"
            for rate, (low, high) in self.allowed.items()
            if not low <= self._seen[rate] <= high
        }
        self._seen.clear()
        return list(self.alarms.values())
