"""Overlap of predicted spans with the spans that people marked.

Places are half-open pairs (start, end) of code points of one text. Overlapping spans count once.
Counts of items are added up before the division (micro average), so that an item without any span
neither helps nor hurts; where nothing was predicted, precision has no value rather than 0.

`counts` has shape (items, 3): marked by both, by the prediction, by people; characters or words.
"""

from collections.abc import Iterable, Sequence
from operator import and_

import numpy as np
from numpy.typing import ArrayLike

from glider.stats.estimates import Degenerate
from glider.stats.statistic import SHARE, Floats, Prepared, StatisticOfOne, ratio_of
from glider.text.words import word_places

Place = tuple[int, int]


def character_counts(
    text: str, predicted: Iterable[Place], human: Iterable[Place]
) -> tuple[int, int, int]:
    """Characters marked by both, by the prediction, by people.

    Raises:
        ValueError: a place is outside the text.
    """
    a, b = _marked(len(text), predicted), _marked(len(text), human)
    return int((a & b).sum()), int(a.sum()), int(b.sum())


def token_counts(
    text: str, predicted: Iterable[Place], human: Iterable[Place]
) -> tuple[int, int, int]:
    """The same in words (`glider.text.words`); one is marked if any of its characters is."""
    a, b = _marked(len(text), predicted), _marked(len(text), human)
    of_a, of_b = ([bool(of[start:end].any()) for start, end in word_places(text)] for of in (a, b))
    return sum(map(and_, of_a, of_b)), sum(of_a), sum(of_b)


def substring_counts(text: str, phrases: Sequence[str]) -> tuple[int, int]:
    """Count the phrases that occur verbatim in the text, and all phrases."""
    return sum(bool(phrase) and phrase in text for phrase in phrases), len(phrases)


@StatisticOfOne
def precision(counts: ArrayLike) -> Prepared:
    """Share of the predicted marks that people marked too, 0 to 1."""
    both, predicted, _ = _columns(counts, 3)
    return ratio_of(both, predicted, "nothing was predicted", SHARE)


@StatisticOfOne
def recall(counts: ArrayLike) -> Prepared:
    """Share of people's marks that were predicted, 0 to 1."""
    both, _, human = _columns(counts, 3)
    return ratio_of(both, human, "people marked nothing", SHARE)


@StatisticOfOne
def f1(counts: ArrayLike) -> Prepared:
    """Harmonic mean of precision and recall, 0 to 1; 0 where one side marked nothing."""
    both, predicted, human = _columns(counts, 3)
    return ratio_of(2 * both, predicted + human, "nothing was predicted or marked", SHARE)


@StatisticOfOne
def substring_rate(counts: ArrayLike) -> Prepared:
    """Share of all phrases that occur in their text; counts of shape (items, 2)."""
    found, phrases = _columns(counts, 2)
    return ratio_of(found, phrases, "there are no phrases", SHARE)


def _marked(length: int, places: Iterable[Place]) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    marked = np.zeros(length, np.bool_)
    for start, end in places:
        if not 0 <= start <= end <= length:
            raise ValueError(f"place {start} to {end} is outside a text of {length} characters")
        marked[start:end] = True
    return marked


def _columns(counts: ArrayLike, n: int) -> tuple[Floats, ...]:
    table = np.asarray(counts, np.float64)
    if not table.size:
        raise Degenerate("there are no items")
    if table.ndim != 2 or table.shape[1] != n:
        raise ValueError(f"counts must have the shape (items, {n}), not {table.shape}")
    return tuple(table.T)
