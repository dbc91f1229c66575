"""Choose which answers to one prompt make pairs; pure functions.

A score is right when it is the people's level, or what most of them gave (of a tie, both); or,
without looking at people, when it is the most common of the model's own (`majority`). The margin
counts levels of a scale from 1 to 5, and is the same share of any other: 2 is half a scale.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from glider.corpus.examples import Example

STEPS = 4
"""From 1 to 5: what a margin is counted in."""


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """One answer that can be read."""

    score: int
    text: str
    """What follows the opening."""


@dataclass(frozen=True, slots=True)
class Paired:
    """What the answers to one prompt come to."""

    outcome: str
    """`pairs`, or why there are none."""
    pairs: tuple[tuple[ReadAnswer, ReadAnswer], ...] = ()
    """Preferred, not preferred; no answer twice."""


def right_levels(example: Example, levels: Sequence[int]) -> frozenset[int]:
    """The people's level, and what most of them gave, should it be another or several.

    Args:
        levels: the rubric's, rising.
    """
    given = set() if example.score is None else {example.score}
    if example.soft is not None:
        most = max(example.soft)
        shares = zip(levels, example.soft, strict=True)
        given |= {level for level, share in shares if share >= most - 1e-6}
    return frozenset(given)


def majority(scores: Iterable[int]) -> frozenset[int]:
    """The most common score; none where two are, or there is no score."""
    counts = Counter(scores)
    most = [score for score, n in counts.items() if n == max(counts.values())]
    return frozenset(most) if len(most) == 1 else frozenset()


def paired(
    answers: Sequence[ReadAnswer],
    right: Collection[int],
    levels: Sequence[int],
    *,
    margin: float,
    most: int,
    rng: Random,
) -> Paired:
    """Right answers beside wrong ones.

    Args:
        right: scores that count as right; empty where nobody knows.
        levels: the rubric's, rising.
        margin: least distance of a wrong score from every right one, in levels of 1 to 5.
        most: pairs at most; which answers make them is drawn.
    """
    if not answers:
        return Paired("nothing readable")
    if not right:
        return Paired("no majority")
    good = [answer for answer in answers if answer.score in right]
    bad = [answer for answer in answers if answer.score not in right]
    if not good:
        return Paired("none right")
    if not bad:
        return Paired("all right")
    least = margin / STEPS * (levels[-1] - levels[0]) - 1e-9
    bad = [answer for answer in bad if min(abs(answer.score - r) for r in right) >= least]
    if not bad:
        return Paired("wrong by less than the margin")
    n = min(most, len(good), len(bad))
    return Paired("pairs", tuple(zip(rng.sample(good, n), rng.sample(bad, n), strict=True)))
