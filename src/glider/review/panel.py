"""Everybody's answers as tables: rows are items, columns are people, in the plan's order."""

from collections.abc import Sequence

import numpy as np

from glider.core.judgments import Span
from glider.review.answered import Answered, AnsweredItem
from glider.stats.agreement import krippendorff_alpha
from glider.stats.estimates import Degenerate, Estimate, Undefined
from glider.stats.resampling import bootstrap
from glider.stats.statistic import Floats, Ints

JUDGE, SETTLED = -1, -2
"""In the place of a person's number: the judge, and the adjudicated answers."""


class Panel:
    """The tables behind the figures."""

    def __init__(self, answered: Answered, seed: int, *, has_judge: bool) -> None:
        """Make the tables.

        Args:
            seed: for the resamples.
        """
        self.has_judge = has_judge
        self.answered, self.items, self.names = answered, answered.items, answered.names
        self.plan = answered.review.plan
        self._seed = seed
        ends = [ends_of(item) for item in self.items]
        self.alike = len(set(ends)) == 1
        """Whether all items have one scale; where not, scores are mapped to 0..1."""
        self._low = np.array([0.0 if self.alike else low for low, _ in ends])
        self._span = np.array([1.0 if self.alike else high - low for low, high in ends])
        self.farthest = ends[0][1] - ends[0][0] if self.alike else 1.0
        """Largest distance between two scores."""
        self.scores: Floats = (answered.values() - self._low[:, None]) / self._span[:, None]
        """Shape (items, people); NaN where missing."""
        self.judge: Floats = self.mapped([item.judge_value for item in self.items])
        """Shape (items,); NaN without a judge."""
        self.clusters: Ints = np.array([item.cluster for item in self.items], np.int64)
        """Prompt of each item, shape (items,)."""
        self.weights: Floats = np.array([item.weight for item in self.items])

    def mapped(self, values: Sequence[float]) -> Floats:
        """Map one value of each item to the common scale."""
        mapped: Floats = (np.array(values, np.float64) - self._low) / self._span
        return mapped

    def rng(self) -> np.random.Generator:
        """A new generator with the same seed for every figure, so each is reproducible alone."""
        return np.random.default_rng(self._seed)

    def column(self, who: int) -> Floats:
        """The scores of a person, or of the judge, shape (items,)."""
        return self.judge if who == JUDGE else self.scores[:, who]

    def spans(self, who: int, row: int) -> Sequence[Span]:
        """What somebody marked in an item."""
        item = self.items[row]
        if who == JUDGE:
            return item.judge_spans
        answer = item.settled if who == SETTLED else item.blind.get(self.names[who])
        return answer.spans if answer is not None else ()

    def alpha(self, table: Floats, level: str) -> Estimate | Undefined:
        """Krippendorff's alpha of a table of shape (items, people)."""
        try:
            statistic = krippendorff_alpha.on(table, level=level)  # type: ignore[arg-type]
        except Degenerate as reason:
            return Undefined(str(reason), int((np.isfinite(table).sum(axis=1) > 1).sum()), 0)
        return bootstrap(statistic, self.clusters, rng=self.rng())


def ends_of(item: AnsweredItem) -> tuple[float, float]:
    """Return the lowest and the highest score of an item."""
    rubric = item.item.criterion.rubric
    return (0.0, 1.0) if item.item.is_pair else (float(rubric.low), float(rubric.high))
