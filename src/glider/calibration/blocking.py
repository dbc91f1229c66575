"""What a rule that blocks low scores costs: the share of good texts it blocks, bounded by labels.

A text is good if people's label reaches the pass mark. Counted are prompts, not texts: a prompt is
hit if any good text of it is blocked, so texts of one prompt need not be independent. The bound is
Clopper-Pearson, one-sided, 95 %. The share of blocked good texts rises with the threshold, so the
highest threshold whose bound is at most x keeps P(share > x) <= 5 %, although it was chosen on the
same labels (risk-controlling sets: Bates et al. 2021, arXiv 2101.02703).
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from glider.calibration.labelled import LabelledRun
from glider.core.base import Frozen
from glider.stats.clustered import share_upper
from glider.stats.statistic import Ints

ERROR = 0.05
"""Error level of the upper bound: it holds in 95 of 100 draws of the labels."""
_MOST_TYPICAL = 2000


@dataclass(frozen=True, slots=True)
class BlockingThreshold:
    """The highest threshold that keeps a promise."""

    block_below: float
    """On the rubric's scale."""
    n: int
    """Prompts with a good text."""
    hits: int
    """Those of them with a blocked one."""


class BlockingScores(Frozen):
    """Expected scores of a labelled run, on the rubric's scale."""

    good: tuple[float, ...]
    """The lowest score of each prompt's good texts, ascending; prompts without failures."""
    good_beside_failures: tuple[float | None, ...]
    """The same of prompts with a good text that was not judged; None if none of them was."""
    typical: tuple[float | None, ...]
    """One text of each prompt, drawn at random, labelled or not; None for a failure. At most
    2,000."""
    decided: Mapping[str, int]
    """What the calibration alone says of these texts: `passed`, `blocked`, `abstained`, `failed`,
    each with its count."""

    @classmethod
    def of(cls, run: LabelledRun, good_from: float, decided: Sequence[str] = ()) -> Self:
        """Collect the scores of a run of single texts.

        Args:
            good_from: lowest label of a good text.
            decided: what the calibration says of each item.
        """
        low, high = run.scale
        first, last = run.levels[0], run.levels[-1]
        score = np.full(len(run.label), np.nan)
        score[run.judged] = first + (run.readings.expected - low) / (high - low) * (last - first)
        lowest: dict[int, float | None] = {}
        failed: set[int] = set()
        for item in np.flatnonzero(run.label >= good_from):
            cluster, value = int(run.cluster[item]), float(score[item])
            before = lowest.setdefault(cluster, None)
            if np.isnan(value):
                failed.add(cluster)
            elif before is None or value < before:
                lowest[cluster] = value
        typical = one_of_each(run.cluster)[:_MOST_TYPICAL]
        return cls(
            good=tuple(sorted(v for c, v in lowest.items() if v is not None and c not in failed)),
            good_beside_failures=tuple(v for c, v in lowest.items() if c in failed),
            typical=tuple(None if np.isnan(v) else float(v) for v in score[typical]),
            decided=Counter(decided[item] for item in typical) if decided else {},
        )

    @property
    def n(self) -> int:
        """The number of prompts with a good text."""
        return len(self.good) + len(self.good_beside_failures)

    def threshold(
        self, at_most: float, *, failures_block: bool, highest: float
    ) -> BlockingThreshold | None:
        """Return the highest threshold that blocks at most this share of good texts, at 95 %.

        Args:
            failures_block: a text that is not judged counts as blocked.
            highest: the rubric's highest level, where nothing hinders a higher threshold.

        Returns:
            None if there are too few prompts, or too many failures, for any threshold.
        """
        always = len(self.good_beside_failures) if failures_block else 0
        scores = list(self.good)
        if not failures_block:
            scores = sorted([*scores, *(v for v in self.good_beside_failures if v is not None)])
        allowed = most_hits(self.n, at_most) - always
        if allowed < 0:
            return None
        mark = min(scores[allowed], highest) if allowed < len(scores) else highest
        return BlockingThreshold(mark, self.n, always + bisect_left(scores, mark))


def one_of_each(clusters: Ints) -> Ints:
    """Return the index of one item of each cluster, drawn at random with a fixed seed."""
    order = np.random.default_rng(0).permutation(len(clusters))
    first = np.unique(clusters[order], return_index=True)[1]
    return np.asarray(np.random.default_rng(1).permutation(order[first]), np.int64)


def most_hits(n: int, at_most: float) -> int:
    """Return the most hits of n whose 95 % upper bound is at most this share; -1 if even 0 is not.

    Args:
        at_most: between 0 and 1.
    """
    low, high = -1, n
    while high - low > 1:
        middle = (low + high) // 2
        if share_upper(middle, n, ERROR) <= at_most:
            low = middle
        else:
            high = middle
    return low


def fewest_prompts(at_most: float) -> int:
    """Return the fewest prompts for this bound, if none is hit."""
    n = 1
    while share_upper(0, n, ERROR) > at_most:
        n += 1
    return n
