"""The judge as one more annotator, beside people among one another; and adjudicated answers.

Nothing is imputed: where all people agree, or where two people share too few items, the figure is
undefined and gives the reason. Intervals are clustered by prompt.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from glider.core.judgments import Span
from glider.core.samples import Sample
from glider.review.alternative import alternative_annotator
from glider.review.panel import JUDGE, SETTLED, Panel
from glider.review.results import AgainstSettled, AlternativeAnnotator, BesidePeople, ReviewFigure
from glider.review.spans import alignment_cost, boundary_counts, word_counts
from glider.stats.agreement import (
    cohen_kappa,
    krippendorff_alpha,
    mean_absolute_error,
    percent_agreement,
)
from glider.stats.clustered import clustered_mean
from glider.stats.correlation import pearson
from glider.stats.estimates import Degenerate, Estimate, Undefined
from glider.stats.gamma import gamma
from glider.stats.overlap import f1
from glider.stats.resampling import bootstrap, paired_difference
from glider.stats.statistic import SHARE, Floats, Ints, Prepared, average, ratio_of

_Pairwise = Callable[[int, int, Ints], Prepared]
"""Given two annotators (people or the judge) and the rows they share, a statistic of these rows."""
_FEWEST_SHARED = 5
"""Minimum number of shared items for a comparison of two annotators."""


def beside(panel: Panel) -> list[BesidePeople]:
    """Return each measure: judge against people, people against people, and the difference."""

    def of_scores(metric: Callable[[Floats, Floats], Prepared]) -> _Pairwise:
        return lambda a, b, rows: metric(panel.column(a)[rows], panel.column(b)[rows])

    def alpha_of_two(x: Floats, y: Floats) -> Prepared:
        return krippendorff_alpha.on(np.column_stack([x, y]))

    values = np.concatenate([panel.judge, panel.scores.ravel()])
    levels = sorted({float(value) for value in values[np.isfinite(values)]})
    found = [
        _compared(panel, "same score", "higher", of_scores(percent_agreement.on)),
        _compared(panel,
            "kappa, quadratic", "higher",
            of_scores(lambda x, y: cohen_kappa.on(x, y, weighting="quadratic", levels=levels)),
        ),
        _compared(panel, "Krippendorff's alpha", "higher", of_scores(alpha_of_two)),
        _compared(panel, "Pearson's r", "higher", of_scores(pearson.on)),
        _compared(panel, "mean absolute error", "lower", of_scores(mean_absolute_error.on)),
    ]  # fmt: skip
    if any(answer.spans for _, _, answer in panel.answered.each("blind")):
        found += _marks(panel)
    return found


def settled(panel: Panel) -> list[AgainstSettled]:
    """Compare the judge and each person with the adjudicated answers."""
    rows = [n for n, item in enumerate(panel.items) if item.settled is not None]
    if not rows:
        return []
    right = panel.mapped([item.label for item in panel.items])
    with_marks = any(panel.spans(SETTLED, row) for row in rows)
    found = []
    everybody = [(name, n, panel.scores[:, n]) for n, name in enumerate(panel.names)]
    for who, number, values in [("judge", JUDGE, panel.judge)][: panel.has_judge] + everybody:
        off = np.abs(values - right)[rows]
        known = np.isfinite(off)
        prompts = panel.clusters[rows][known]
        where = {"of": who, "people": 1}
        found.append(
            AgainstSettled(
                who=who,
                same=ReviewFigure.made(
                    clustered_mean(off[known] < 1e-9, prompts, scale=(0, 1)),
                    name="same answer", **where,
                ),
                distance=ReviewFigure.made(
                    clustered_mean(off[known], prompts, scale=(0, panel.farthest)),
                    name="distance", **where
                ),
                marks=ReviewFigure.made(
                    _settled_marks(panel, number, np.array(rows)[known]),
                    name="marks: word F1", **where,
                ) if with_marks else None,
            )
        )  # fmt: skip
    return found


def alternative(panel: Panel, epsilon: float) -> AlternativeAnnotator:
    """Test whether the judge may replace one of these people."""
    if not panel.plan.asks_score:
        return AlternativeAnnotator(epsilon=epsilon, undefined="no scores were asked for")
    if not panel.has_judge:
        return AlternativeAnnotator(epsilon=epsilon, undefined="there is no judge")
    return alternative_annotator(
        panel.names, panel.scores, panel.judge, panel.clusters, epsilon=epsilon
    )


def _marks(panel: Panel) -> list[BesidePeople]:
    def words(a: int, b: int, rows: Ints) -> Floats:
        return _of_marks(panel, word_counts, a, b, rows)

    def iou(a: int, b: int, rows: Ints) -> Prepared:
        both, x, y = words(a, b, rows).T
        return ratio_of(both, x + y - both, "nothing was marked", SHARE)

    def boundaries(a: int, b: int, rows: Ints) -> Prepared:
        return f1.on(_of_marks(panel, boundary_counts, a, b, rows))

    def aligned(a: int, b: int, rows: Ints) -> Prepared:
        return gamma.on(_of_marks(panel, partial(alignment_cost, rng=panel.rng()), a, b, rows))

    return [
        _compared(panel, "marks: word F1", "higher", lambda a, b, r: f1.on(words(a, b, r))),
        _compared(panel, "marks: words in both of words in either (IoU)", "higher", iou),
        _compared(panel, "marks: edges within one word, F1", "higher", boundaries),
        _compared(panel, "marks: gamma", "higher", aligned),
    ]


def _compared(panel: Panel, metric: str, better: str, prepare: _Pairwise) -> BesidePeople:
    rated = np.isfinite(panel.scores)
    several = rated.sum(axis=1) > 1
    people = range(len(panel.names))
    of_judge = [(JUDGE, p, np.flatnonzero(rated[:, p] & several)) for p in people]
    if len(panel.names) == 1:
        of_judge = [(JUDGE, 0, np.flatnonzero(rated[:, 0]))]
    of_people = [
        (p, q, np.flatnonzero(rated[:, p] & rated[:, q])) for p in people for q in people if p < q
    ]
    judge: Prepared | Undefined = Undefined("there is no judge", 0, 0)
    if panel.has_judge:
        judge = _averaged(panel, of_judge, prepare)
    against = _averaged(panel, of_people, prepare)
    where = {"name": metric, "people": len(panel.names)}
    difference: Estimate | Undefined
    if isinstance(judge, Prepared) and isinstance(against, Prepared):
        difference = paired_difference(judge, against, panel.clusters, rng=panel.rng())
    else:
        difference = Undefined("one of the two has no value", 0, 0)
    return BesidePeople(
        metric=metric,
        better=better,
        judge=ReviewFigure.made(_estimate(panel, judge), of="judge and people", **where),
        people=ReviewFigure.made(_estimate(panel, against), of="people and people", **where),
        difference=ReviewFigure.made(difference, of="difference", **where),
    )


def _averaged(
    panel: Panel, pairs: Sequence[tuple[int, int, Ints]], prepare: _Pairwise
) -> Prepared | Undefined:
    """Return the mean over the pairs that share enough items."""
    pairs = [pair for pair in pairs if len(pair[2]) >= _FEWEST_SHARED]
    if not pairs:
        return Undefined(f"no two share {_FEWEST_SHARED} items", 0, 0)
    try:
        parts = [(prepare(a, b, rows), rows) for a, b, rows in pairs]
    except Degenerate as reason:
        return Undefined(str(reason), len({r for _, _, rows in pairs for r in rows.tolist()}), 0)
    return average(parts, len(panel.items))


def _estimate(panel: Panel, found: Prepared | Undefined) -> Estimate | Undefined:
    if isinstance(found, Undefined):
        return found
    return bootstrap(found, panel.clusters, rng=panel.rng())


def _settled_marks(panel: Panel, who: int, rows: Ints) -> Estimate | Undefined:
    if not len(rows):
        return Undefined("no adjudicated item is answered", 0, 0)
    counts = _of_marks(panel, word_counts, who, SETTLED, rows)
    return bootstrap(f1.on(counts), panel.clusters[rows], rng=panel.rng())


def _of_marks(
    panel: Panel,
    measure: Callable[[Sample, Sequence[Span], Sequence[Span]], tuple[float, ...]],
    a: int,
    b: int,
    rows: Ints,
) -> Floats:
    """Return what two sets of marks have in common in each of the rows, shape (rows, numbers)."""
    return np.array(
        [measure(panel.items[r].item.sample, panel.spans(a, r), panel.spans(b, r)) for r in rows],
        np.float64,
    )
