"""Choose which answers to one prompt form pairs (pure functions).

A score is right if it equals the human label or the annotators' most common level (any of them in a
tie). With `majority`, which uses no human labels, it is right if it is the most common of the
model's own scores. The margin is in levels of a 1 to 5 scale and is rescaled to the range of other
scales: 2 is half the range.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from glider.corpus.examples import Example

STEPS = 4
"""Steps from 1 to 5, the scale on which a margin is expressed."""


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """One readable answer."""

    score: int
    text: str
    """The answer's text after the opening."""


@dataclass(frozen=True, slots=True)
class Paired:
    """The pairs made from the answers to one prompt."""

    outcome: str
    """`pairs`, or the reason why there are none."""
    pairs: tuple[tuple[ReadAnswer, ReadAnswer], ...] = ()
    """(preferred, rejected) pairs; each answer is used at most once."""


def right_levels(example: Example, levels: Sequence[int]) -> frozenset[int]:
    """Return the human label's level and the annotators' most common levels, if they differ from
    it.

    Args:
        levels: the rubric's levels, ascending.
    """
    given = set() if example.score is None else {example.score}
    if example.soft is not None:
        most = max(example.soft)
        shares = zip(levels, example.soft, strict=True)
        given |= {level for level, share in shares if share >= most - 1e-6}
    return frozenset(given)


def majority(scores: Iterable[int]) -> frozenset[int]:
    """Return the most common score; empty in a tie or without scores."""
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
    """Pair right answers with wrong ones.

    Args:
        right: scores that count as right; empty if unknown.
        levels: the rubric's levels, ascending.
        margin: minimum distance of a wrong score from every right score, in levels of a 1 to 5
            scale.
        most: maximum number of pairs; their answers are drawn at random.
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
