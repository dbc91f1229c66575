"""Overlap of two people's marks on one sample: in words, at their edges, and span by span."""

from collections.abc import Iterable

import numpy as np

from glider.core.judgments import Span
from glider.core.samples import Sample
from glider.stats.gamma import alignment_costs
from glider.stats.overlap import token_counts
from glider.text.words import word_places

TOLERANCE = 1
"""Maximum distance in words between matching edges."""


def word_counts(sample: Sample, a: Iterable[Span], b: Iterable[Span]) -> tuple[int, int, int]:
    """Count words marked by both, by the first and by the second, over all judged fields."""
    total = np.zeros(3, np.int64)
    for field in sample.judged:
        total += token_counts(field.text, _places(a, field.name), _places(b, field.name))
    return int(total[0]), int(total[1]), int(total[2])


def boundary_counts(
    sample: Sample, a: Iterable[Span], b: Iterable[Span], *, tolerance: int = TOLERANCE
) -> tuple[int, int, int]:
    """Count edges of marks that both share, that the first has, and that the second has.

    Marks that touch or overlap are merged. Two edges match if both start, or both end, a mark and
    are at most `tolerance` words apart; each edge matches once.
    """
    both = n_a = n_b = 0
    for field in sample.judged:
        of_a, of_b = (_edges(field.text, _places(spans, field.name)) for spans in (a, b))
        for side in (0, 1):
            left, right = of_a[side], list(of_b[side])
            n_a, n_b = n_a + len(left), n_b + len(right)
            for edge in left:  # both ascend, so the first match is the best
                near = next((other for other in right if abs(other - edge) <= tolerance), None)
                if near is not None:
                    right.remove(near)
                    both += 1
    return both, n_a, n_b


def alignment_cost(
    sample: Sample, a: Iterable[Span], b: Iterable[Span], rng: np.random.Generator
) -> tuple[float, float]:
    """Cost of aligning the marks of two people, observed and by chance; see `stats/gamma.py`."""
    costs = np.zeros(2)
    for field in sample.judged:
        a_here, b_here = _places(a, field.name), _places(b, field.name)
        costs += alignment_costs(len(field.text), a_here, b_here, rng=rng)
    return float(costs[0]), float(costs[1])


def _places(spans: Iterable[Span], field: str) -> list[tuple[int, int]]:
    return [(span.start, span.end) for span in spans if span.field == field]


def _edges(text: str, places: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Return the indices of the first and of the last word of every run of marked words."""
    marked = [
        any(start < end_of and begin < end for start, end in places)
        for begin, end_of in word_places(text)
    ]
    first = [n for n, on in enumerate(marked) if on and (n == 0 or not marked[n - 1])]
    last = [n for n, on in enumerate(marked) if on and (n + 1 == len(marked) or not marked[n + 1])]
    return first, last
