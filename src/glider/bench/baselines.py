"""Simple baselines: a judge that does not beat them has not read the text.

None asks a language model, and only `majority` learns from the labels. Each gives one score per
item on the scale of its labels; for a pair, P(the second is better). None if the rule is not
applicable (no text to compare with); such items count as not judged.

A similarity is mapped linearly to the scale: 0 is the lowest label, 1 the highest. For a pair the
output with the greater similarity is better (0 or 1; 0.5 if they are equal).

A baseline that gives every item the same score has no correlation: metrics must call it
undefined, never 0.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glider.bench.scored import item_id
from glider.core.plugins import Registry
from glider.data.covariates import compared_with
from glider.gold.items import Item
from glider.text.similarity import Pairs, chrf, embedding, rouge_l

Scores = list[float | None]


class Baseline(Protocol):
    """A rule that scores items."""

    name: str
    title: str

    def scores(self, items: Sequence[Item]) -> Scores:
        """One score (or None) per item, on the scale of its labels."""


class Majority:
    """The most frequent label of the part; the lowest one in a tie.

    It is counted on the same items that it is then measured on, as is common in the field: the best
    that one constant answer can reach, so the bar is slightly too high rather than too low.
    """

    name = "majority"
    title = "Most frequent label"

    def scores(self, items: Sequence[Item]) -> Scores:
        counts: dict[str, Counter[float]] = {}
        for item in items:
            counts.setdefault(item.part, Counter())[item.gold] += 1
        leaders = {
            part: min(labels, key=lambda label: (-labels[label], label))
            for part, labels in counts.items()
        }
        return [leaders[item.part] for item in items]


class LengthBaseline:
    """Longer is better: characters of the judged text, by their rank within the part.

    The shortest text of a part gets the lowest label, the longest the highest, equals the middle of
    their ranks. That longer is better is stated, not learned; where shorter is better, as in
    readability, the correlation comes out negative.
    """

    name = "length"
    title = "Length (longer is better)"

    def scores(self, items: Sequence[Item]) -> Scores:
        scores: Scores = [None] * len(items)
        parts: dict[str, list[int]] = {}
        for number, item in enumerate(items):
            sizes = [len(field.text) for field in item.sample.judged]
            if item.is_pair:
                scores[number] = _second_is_better(*sizes)
            else:
                parts.setdefault(item.part, []).append(number)
        for numbers in parts.values():
            lengths = np.array([len(items[n].sample.judged[0].text) for n in numbers])
            for n, share in zip(numbers, _rank_shares(lengths), strict=True):
                low, high = items[n].scale
                scores[n] = low + (high - low) * share
        return scores


def _rank_shares(values: NDArray[np.int64]) -> list[float]:
    """Mid-ranks in 0..1; 0.5 where there is one value only."""
    if len(values) < 2:
        return [0.5] * len(values)
    _, code, count = np.unique(values, return_inverse=True, return_counts=True)
    below = np.cumsum(count) - count
    shares = (below + (count - 1) / 2)[code] / (len(values) - 1)
    return [float(share) for share in shares]


class Random:
    """One of the criterion's levels, uniformly at random; for a pair one of the two outputs.

    The draw depends on the seed and the item's id, so an item has one score in any selection. It
    defines the zero of scales on which a judge is placed between chance and people.
    """

    name = "random"
    title = "Random level"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def scores(self, items: Sequence[Item]) -> Scores:
        return [self._drawn(item) for item in items]

    def _drawn(self, item: Item) -> float:
        rng = random.Random(f"{self.seed}:{item_id(item)}")
        if item.is_pair:
            return float(rng.randrange(2))
        return item.on_gold_scale(rng.choice(item.criterion.rubric.scores))


class Similarity:
    """Similarity of the judged text to the reference; else to the context; else the input."""

    def __init__(self, name: str, title: str, measure: Callable[[Pairs], list[float]]) -> None:
        """Name the rule.

        Args:
            measure: similarity in 0..1 of each (judged text, target).
        """
        self.name, self.title = name, title
        self._measure = measure

    def scores(self, items: Sequence[Item]) -> Scores:
        targets = [compared_with(item.sample) for item in items]
        # One text is often judged under several criteria: it is measured once.
        wanted = dict.fromkeys(
            (field.text, goal)
            for item, goal in zip(items, targets, strict=True)
            if goal is not None
            for field in item.sample.judged
        )
        pairs = list(wanted)
        alike = dict(zip(pairs, self._measure(pairs), strict=True))
        scores: Scores = []
        for item, goal in zip(items, targets, strict=True):
            if goal is None:
                scores.append(None)
                continue
            values = [alike[field.text, goal] for field in item.sample.judged]
            low, high = item.scale
            scores.append(
                _second_is_better(*values) if item.is_pair else low + (high - low) * values[0]
            )
        return scores


def _second_is_better(first: float, second: float) -> float:
    return 0.5 if first == second else float(second > first)


MAJORITY = Majority()
LENGTH = LengthBaseline()
RANDOM = Random()
ROUGE_L = Similarity("rouge_l", "ROUGE-L", rouge_l)
CHRF = Similarity("chrf", "chrF", chrf)
EMBEDDING = Similarity("embedding", "Embedding similarity", embedding)

BASELINES: Registry[Baseline] = Registry(
    kind="baseline",
    group="glider.baselines",
    builtin={
        "majority": "glider.bench.baselines:MAJORITY",
        "length": "glider.bench.baselines:LENGTH",
        "random": "glider.bench.baselines:RANDOM",
        "rouge_l": "glider.bench.baselines:ROUGE_L",
        "chrf": "glider.bench.baselines:CHRF",
        "embedding": "glider.bench.baselines:EMBEDDING",
    },
)
