"""One judge's answers on one benchmark as charts: scatter, confusion, reliability, risk.

Parts may be rated on different scales; then every label and score is shown as a share of its own
scale. Levels are those people used where there are at most eleven, else five equal bands.
"""

from itertools import pairwise

import numpy as np

from glider.bench.answers import Answers
from glider.bench.metrics import levels_of, nearest
from glider.bench.scored import Floats, Scored
from glider.pages import svg
from glider.pages.charts import Chart, reliability_chart, risk_chart
from glider.pages.words import short
from glider.stats.calibration import reliability
from glider.stats.estimates import Degenerate, Estimate
from glider.stats.selective import risk_coverage
from glider.stats.statistic import Bools, Ints

_BANDS = 5
_FEWEST = 20
"""Minimum number of items for a chart."""


def drawings(answers: Answers, *, pairs: bool) -> list[Chart]:
    """Return every chart for which there is data."""
    scored = answers.scored.only(answers.scored.judged & np.isfinite(answers.scored.gold))
    if len(scored) < _FEWEST:
        return []
    gold, score, scale = _on_one_scale(scored)
    gold_level, score_level, names = _levels(gold, score, scale, pairs=pairs)
    drawn: list[Chart | None] = [_confusion(gold_level, score_level, names, pairs=pairs)]
    if not pairs:
        drawn.append(_scatter(gold, score, scale))
    drawn.append(_reliability(gold, score, scored.cluster, scale, pairs=pairs))
    off = gold_level != score_level
    near = len(names) > 3
    if near:
        off = np.abs(gold_level - score_level) > 1
    drawn.append(_risk(answers, scored, off, near=near))
    return [chart for chart in drawn if chart is not None]


def _on_one_scale(scored: Scored) -> tuple[Floats, Floats, svg.Scale]:
    if len(set(scored.scales)) == 1:
        return scored.gold, scored.score, scored.scales[0]
    low, high = np.array(scored.scales).T[:, scored.part]
    return (scored.gold - low) / (high - low), (scored.score - low) / (high - low), (0.0, 1.0)


def _levels(
    gold: Floats, score: Floats, scale: svg.Scale, *, pairs: bool
) -> tuple[Ints, Ints, list[str]]:
    """Return level indices of labels and scores, from 0, and the levels' names."""
    if pairs:
        ties = bool((gold == 0.5).any())
        side = np.sign(score - 0.5) + 1
        names = ["first", "tie", "second"] if ties or (side == 1).any() else ["first", "second"]
        step = len(names) - 1
        return (
            np.round(gold * step).astype(np.int64),
            np.round(side / 2 * step).astype(np.int64),
            names,
        )
    try:
        levels = levels_of(gold, scale)
        names = [short(level) for level in levels]
    except Degenerate:
        edges = np.linspace(*scale, _BANDS + 1)
        levels = (edges[1:] + edges[:-1]) / 2
        names = [f"{short(a)}–{short(b)}" for a, b in pairwise(edges)]
    return (
        nearest(gold, levels).astype(np.int64),
        nearest(score, levels).astype(np.int64),
        names,
    )


def _confusion(gold: Ints, score: Ints, names: list[str], *, pairs: bool) -> Chart:
    size = len(names)
    counts = np.bincount(gold * size + score, minlength=size * size).reshape(size, size)
    same = int(np.trace(counts))
    total = int(counts.sum())
    drawing = svg.confusion(counts.tolist(), names, title="Levels: people against the judge")
    what = "winner" if pairs else "level"
    return Chart(
        drawing,
        f"Which {what} for which?",
        "Rows are people's labels; the darker a cell, the larger its share of the row. The "
        f"same {what}: {same:,} of {total:,}.",
    )


def _scatter(gold: Floats, score: Floats, scale: svg.Scale) -> Chart:
    drawing = svg.scatter(
        gold.tolist(), score.tolist(), title="People's labels against the judge's", scale=scale
    )
    return Chart(
        drawing,
        "Item by item.",
        "The dots of a judge that agrees lie along the dashed line. " + svg.scatter_note(len(gold)),
    )


def _reliability(
    gold: Floats, score: Floats, cluster: Ints, scale: svg.Scale, *, pairs: bool
) -> Chart | None:
    bins = [
        svg.Bin(
            predicted=point.predicted,
            observed=point.actual.value,
            low=point.actual.low,
            high=point.actual.high,
            n=point.actual.n,
        )
        for point in reliability(score, gold, cluster)
        if isinstance(point.actual, Estimate)
    ]
    if not bins:
        return None
    if pairs:
        across, up = "judge: second is better", "people: second is better"
    else:
        across, up = "judge's score", "people's mean"
    return reliability_chart(bins, scale=scale, across=across, up=up)


def _risk(answers: Answers, scored: Scored, off: Bools, *, near: bool) -> Chart | None:
    sure = np.array([1 - answers.doubt.get(name, np.nan) for name in scored.ids])
    known = np.isfinite(sure)
    if known.sum() < _FEWEST or np.ptp(sure[known]) == 0:
        return None
    sure = sure[known]
    curve = [
        svg.Kept(coverage=p.kept, risk=p.risk.value, low=p.risk.low, high=p.risk.high)
        for p in risk_coverage(sure, off[known], scored.cluster[known], sure)
        if isinstance(p.risk, Estimate)
    ]
    up = "more than one level off" if near else "disagreement"
    return risk_chart(curve, up=up) if curve else None
