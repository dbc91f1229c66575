"""Gamma of two annotators who mark spans of texts (Mathet, Widlöcher and Métivier 2015).

"The Unified and Holistic Method Gamma for Inter-Annotator Agreement Measure and Alignment",
Computational Linguistics 41(3), with one category, so that only places matter:

- Two spans u and v are apart by d(u, v) = ((|start_u - start_v| + |end_u - end_v|) /
  (length_u + length_v))^2: 0 if they are equal, 1 if they touch, more if they are separate.
- An alignment pairs each span with one span of the other annotator, or with none at the cost of 1.
  The best alignment costs least; with two annotators it is an assignment problem.
- Disorder is the cost of the best alignment, divided by the mean number of spans an annotator.
- Expected disorder is the mean over texts annotated by chance: each annotator gets the spans of one
  of the two, drawn at random, moved around the text by a random number of places (section 5.2). The
  two moves differ by at least half the mean length of a span, as in the authors' software.
- Gamma = 1 - disorder / expected disorder: 1 for the same spans, 0 for chance.

The paper has one long text. Of many short ones, disorder and expected disorder are summed, each
text with the mean number of its spans as weight; of one text, this is the paper's gamma. A text
that nobody marked adds nothing.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from glider.stats.estimates import Degenerate
from glider.stats.overlap import Place
from glider.stats.statistic import Floats, Prepared, StatisticOfOne, divided

_DRAWS = 8
"""Texts by chance for each way to draw whose spans the two get, of which there are up to four."""


@StatisticOfOne
def gamma(costs: ArrayLike) -> Prepared:
    """Gamma of two annotators over several texts, at most 1; 0 is chance.

    Args:
        costs: shape (texts, 2): what `alignment_costs` gives for each text.

    Raises:
        Degenerate: there are no texts, or nobody marked anything.
    """
    table = np.asarray(costs, np.float64)
    if not table.size:
        raise Degenerate("there are no items")
    if table.ndim != 2 or table.shape[1] != 2:
        raise ValueError(f"costs must have the shape (texts, 2), not {table.shape}")

    def kernel(weights: Floats) -> Floats:
        observed, expected = (weights @ table).T
        return 1 - divided(observed, expected)

    return Prepared(len(table), kernel, lambda _: "nothing was marked", (-math.inf, 1))


def alignment_costs(
    length: int,
    a: Iterable[Place],
    b: Iterable[Place],
    *,
    rng: np.random.Generator,
    draws: int = _DRAWS,
) -> tuple[float, float]:
    """Cost of the best alignment of two annotators' spans in one text, observed and by chance.

    Args:
        length: of the text, in the unit of the places.
        a: spans of one annotator, each longer than 0; they may overlap.
        b: spans of the other.
        rng: the source of chance.
        draws: for each way to draw whose spans the two get.

    Returns:
        The observed cost, and the expected disorder times the mean number of spans an annotator.
    """
    both = [np.array(sorted(spans), np.float64).reshape(-1, 2) for spans in (a, b)]
    first, second = both
    n = len(first) + len(second)
    if not n:
        return 0.0, 0.0
    (observed,) = _costs(first[None], second[None])
    apart = float(np.concatenate([np.diff(first), np.diff(second)]).mean()) / 2
    disorders = []
    for x in both:
        for y in both:
            if len(x) and len(y):
                moves = _moves(length, apart, draws, rng)
                costs = _costs(*(_moved(s, m, length) for s, m in zip((x, y), moves, strict=True)))
                disorders.append(2 * float(costs.mean()) / (len(x) + len(y)))
            elif len(x) or len(y):
                disorders.append(2.0)  # every span is alone
    return float(observed), n / 2 * float(np.mean(disorders))


def _moves(
    length: int, apart: float, draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw two whole numbers below `length` that are at least `apart`, if the length allows it."""
    first = np.floor(rng.uniform(0, length, draws))
    below = np.maximum(first - apart, 0)
    above = np.maximum(length - first - apart, 0)
    room = below + above
    at = rng.uniform(0, 1, draws) * np.where(room > 0, room, length)
    jumps = (room > 0) & (at >= below)
    return first, np.floor(np.where(jumps, at - below + first + apart, at))


def _moved(spans: Floats, moves: Floats, length: int) -> Floats:
    """Move spans of shape (n, 2) around the text, shape (draws, n, 2); none is cut at its end."""
    starts = (spans[:, 0] + moves[:, None]) % length
    return np.stack([starts, starts + np.diff(spans)[:, 0]], axis=2)


def _costs(first: Floats, second: Floats) -> Floats:
    """Cost of the best alignment of spans of shape (texts, n, 2) and (texts, m, 2), for each text.

    To pair two spans rather than leave both alone saves 2 - d, so the best alignment is the
    matching that saves most.
    """
    alone = first.shape[1] + second.shape[1]
    if not first.shape[1] or not second.shape[1]:
        return np.full(len(first), float(alone))
    off = np.abs(first[:, :, None] - second[:, None]).sum(axis=3)
    lengths = np.diff(first)[:, :, None, 0] + np.diff(second)[:, None, :, 0]
    saved = np.maximum(2 - (off / lengths) ** 2, 0)
    total: Floats = saved.sum(axis=(1, 2))
    # Where no span could be paired with two others, all that can be saved is saved.
    pairs = saved > 0
    tied = (pairs.sum(axis=1) > 1).any(axis=1) | (pairs.sum(axis=2) > 1).any(axis=1)
    for text in np.flatnonzero(tied):
        total[text] = _best(saved[text])
    costs: Floats = alone - total
    return costs


def _best(saved: Floats) -> float:
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(saved, maximize=True)
    return float(saved[rows, columns].sum())
