"""Two people's marks of one sample, counted in words; spaces at the edges count for nothing."""

from collections.abc import Iterable

import numpy as np

from glider.core.judgments import Span
from glider.core.samples import Sample
from glider.stats.overlap import token_counts
from glider.text.words import word_places

TOLERANCE = 1
"""Words that two edges may lie apart."""


def word_counts(sample: Sample, a: Iterable[Span], b: Iterable[Span]) -> tuple[int, int, int]:
    """Words marked by both, by the first, by the second, over all judged fields."""
    total = np.zeros(3, np.int64)
    for field in sample.judged:
        total += token_counts(field.text, _places(a, field.name), _places(b, field.name))
    return int(total[0]), int(total[1]), int(total[2])


def boundary_counts(
    sample: Sample, a: Iterable[Span], b: Iterable[Span], *, tolerance: int = TOLERANCE
) -> tuple[int, int, int]:
    """Edges of marks that both have, that the first has, that the second has.

    Marks that touch or overlap are one. Two edges match if both begin, or both end, a mark and lie
    at most so many words apart; each edge matches once.
    """
    both = n_a = n_b = 0
    for field in sample.judged:
        of_a, of_b = (_edges(field.text, _places(spans, field.name)) for spans in (a, b))
        for side in (0, 1):
            left, right = of_a[side], list(of_b[side])
            n_a, n_b = n_a + len(left), n_b + len(right)
            for edge in left:  # both rise, so the first that fits is the best to take
                near = next((other for other in right if abs(other - edge) <= tolerance), None)
                if near is not None:
                    right.remove(near)
                    both += 1
    return both, n_a, n_b


def _places(spans: Iterable[Span], field: str) -> list[tuple[int, int]]:
    return [(span.start, span.end) for span in spans if span.field == field]


def _edges(text: str, places: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Numbers of the first and of the last word of every stretch of marked words."""
    marked = [
        any(start < end_of and begin < end for start, end in places)
        for begin, end_of in word_places(text)
    ]
    first = [n for n, on in enumerate(marked) if on and (n == 0 or not marked[n - 1])]
    last = [n for n, on in enumerate(marked) if on and (n + 1 == len(marked) or not marked[n + 1])]
    return first, last
