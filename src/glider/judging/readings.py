"""A judge's outcomes as arrays on the scale of the labels. Failures are left out.

The rubric's levels are mapped linearly to the scale of the human labels. A *position* is an index
on the ladder of levels: 0 for the lowest, 1 for the next, and a fraction for labels between levels,
so "off by more than one level" means the same on any scale.

There are three definitions of agreement: `level` (the judge's level is the nearest to the label;
for a label half way between two, either), `near` (at most one level apart), and `pass` (on the same
side of a pass mark).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from glider.core.errors import SetupError
from glider.core.judgments import Comparison, Judgment
from glider.stats.statistic import Bools, Floats

AgreeOn = Literal["pass", "level", "near"]

_TOLERANCE = {"level": 0.5, "near": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """n judged items, on a ladder of K levels."""

    ladder: Floats
    """The levels on the labels' scale, ascending, shape (K,)."""
    position: Floats
    """The judge's level as a position, shape (n,)."""
    expected: Floats
    """Expected level if the judge gives probabilities, else its level; on the labels' scale."""
    probs: Floats | None
    """Level probabilities, shape (n, K); None unless every judgment has them."""

    @classmethod
    def of(
        cls,
        outcomes: Sequence[Judgment | Comparison],
        levels: Sequence[int],
        scale: tuple[float, float],
    ) -> Self:
        """Read judgments, or comparisons as scores from 0 (first is better) to 1 (second)."""
        places = {level: place for place, level in enumerate(levels)}
        low, high = levels[0], levels[-1]
        ladder = scale[0] + (np.array(levels) - low) / (high - low) * (scale[1] - scale[0])
        position = np.zeros(len(outcomes))
        expected = np.zeros(len(outcomes))
        probs: Floats | None = np.zeros((len(outcomes), len(levels)))
        for n, outcome in enumerate(outcomes):
            if isinstance(outcome, Comparison):
                assert outcome.p_first is not None
                second = 1 - outcome.p_first
                score, mean = int(second > 0.5), second
                given = {0: outcome.p_first, 1: second}
            else:
                score = outcome.score
                mean = outcome.expected_or_score
                given = dict(outcome.score_probs or {})
            if score not in places:
                raise SetupError(f"a judgment has the score {score}; the levels are {levels}")
            position[n] = places[score]
            expected[n] = mean
            if not given:
                probs = None
            elif probs is not None:
                probs[n] = [given.get(level, 0.0) for level in levels]
        expected = scale[0] + (expected - low) / (high - low) * (scale[1] - scale[0])
        return cls(ladder=ladder, position=position, expected=expected, probs=probs)

    def __len__(self) -> int:
        return len(self.expected)

    def only(self, keep: Bools) -> Self:
        """Return the items where `keep` is true."""
        return replace(
            self,
            position=self.position[keep],
            expected=self.expected[keep],
            probs=None if self.probs is None else self.probs[keep],
        )

    def cut(self, pass_at: float) -> float:
        """Return the midpoint of the highest failing and the lowest passing level.

        Raises:
            SetupError: every level passes, or none does.
        """
        passing = self.ladder >= pass_at
        if passing.all() or not passing.any():
            raise SetupError(
                f"a pass mark of {pass_at:g} has no level on one side; the levels are "
                + ", ".join(f"{level:g}" for level in self.ladder)
            )
        first = int(passing.argmax())
        return float(self.ladder[first - 1] + self.ladder[first]) / 2

    def p_pass(self, pass_at: float) -> Floats:
        """Return the judge's probability of passing; 0 or 1 if it only gives levels."""
        cut = self.cut(pass_at)
        if self.probs is None:
            return np.asarray(self.expected >= cut, np.float64)
        return np.asarray(self.probs @ (self.ladder >= pass_at), np.float64)

    def confidence(self, agree_on: AgreeOn, pass_at: float | None) -> Floats | None:
        """Return the judge's confidence in its decision; None if it is unknown.

        This is the probability of its side of the pass mark, or of the levels that count as
        agreement. For a judge that only gives levels, it is the distance from the pass mark (0.5 to
        1).
        """
        if agree_on == "pass":
            assert pass_at is not None
            if self.probs is not None:
                passing = self.p_pass(pass_at)
                return np.maximum(passing, 1 - passing)
            reach = float(np.abs(self.ladder - self.cut(pass_at)).max())
            return 0.5 + np.abs(self.expected - self.cut(pass_at)) / (2 * reach)
        if self.probs is None:
            return None
        steps = np.abs(np.arange(len(self.ladder)) - self.position[:, None])
        return np.asarray((self.probs * (steps <= _TOLERANCE[agree_on])).sum(axis=1), np.float64)

    def disagree(self, labels: Floats, agree_on: AgreeOn, pass_at: float | None) -> Bools:
        """Return where the judge and the human labels disagree, shape (n,)."""
        if agree_on == "pass":
            assert pass_at is not None
            ours, theirs = self.p_pass(pass_at) >= 0.5, labels >= pass_at
            return np.asarray(ours != theirs, np.bool_)
        away = np.abs(self.position - self.positions(labels))
        return np.asarray(away > _TOLERANCE[agree_on] + 1e-9, np.bool_)

    def positions(self, labels: Floats) -> Floats:
        """Convert labels to positions on the ladder."""
        return np.interp(labels, self.ladder, np.arange(len(self.ladder), dtype=np.float64))

    def targets(self, labels: Floats) -> Floats:
        """Convert labels to weights on the two nearest levels, shape (n, K)."""
        steps = np.abs(self.positions(labels)[:, None] - np.arange(len(self.ladder)))
        return np.asarray(np.maximum(1 - steps, 0.0), np.float64)
