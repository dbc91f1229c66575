"""The true mean or pass rate of the whole set, including items on which the judge failed.

Prediction-powered (stats/prediction_powered.py): it needs labels on a random draw of all items. A
failed item has no judgment; the judge's mean score stands in, which is as valid as any other
number, since its label corrects it. If many items failed and no failed item was labelled, nothing
is known about them, and the interval covers all possibilities.
"""

from dataclasses import dataclass

import numpy as np

from glider.calibration.labelled import LabelledRun
from glider.stats.clustered import codes, sums
from glider.stats.estimates import Estimate, Undefined
from glider.stats.prediction_powered import (
    Powered,
    prediction_powered_mean,
    prediction_powered_rate,
    weighted_prediction_powered,
)
from glider.stats.statistic import Bools, Floats

_RARE = 0.01
"""Probabilities below this indicate that the labels are not a random draw."""
_FAR = 3.0
"""Gap between labelled and other items' scores, in standard errors, that causes a warning."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The true value of the whole set."""

    powered: Powered
    judge_says: float
    """The judge's own mean or pass rate, over the items it judged."""
    notes: tuple[str, ...]


def truth(run: LabelledRun, pass_at: float | None, *, score: Floats | None = None) -> Truth:
    """True pass rate if there is a pass mark, else true mean, of the population of the set.

    Args:
        score: predictions that help the labels, shape (N,): by default the judge's own numbers,
            with their mean where it failed.
    """
    said = run.readings.expected if pass_at is None else run.readings.p_pass(pass_at)
    if score is None:
        score = np.full(len(run.label), said.mean())
        score[run.judged] = said
    value = run.label if pass_at is None else (run.label >= pass_at).astype(np.float64)
    low, high = run.scale if pass_at is None else (0.0, 1.0)
    notes = []
    labelled = run.labelled
    failed = float((~run.judged).mean())
    unseen = failed > 0 and not (labelled & ~run.judged).any()
    blind = unseen and (1 - failed) ** int(labelled.sum()) < _RARE
    asked = run.judged if blind else np.ones_like(labelled)
    powered = _powered(run, value, score, labelled & asked, asked & ~labelled, pass_at is not None)
    if blind:
        notes.append(
            f"None of the {failed:.0%} of items on which the judge failed "
            f"is labelled, so their true "
            "values are unknown and the interval allows for every possibility. "
            "Label a random sample of all items."
        )
        powered = Powered(
            _with_unknown(powered.estimate, failed, low, high),
            _with_unknown(powered.classical, failed, low, high),
            powered.power,
            powered.labels_worth,
        )
    gap = None if run.weight is not None else _gap(run, score)
    if gap is not None:
        notes.append(gap)
    decided = said if pass_at is None else said >= 0.5
    return Truth(powered, float(decided.mean()), tuple(notes))


def _powered(
    run: LabelledRun,
    value: Floats,
    score: Floats,
    ours: Bools,
    others: Bools,
    rate: bool,
) -> Powered:
    if run.weight is not None:
        everyone = ours | others
        return weighted_prediction_powered(
            value[ours],
            score[ours],
            score[everyone],
            weights=run.weight[ours],
            clusters=run.cluster[ours],
            all_clusters=run.cluster[everyone],
            scale=(0.0, 1.0) if rate else run.scale,
        )
    if rate:
        return prediction_powered_rate(
            value[ours],
            score[ours],
            score[others],
            clusters=run.cluster[ours],
            other_clusters=run.cluster[others],
        )
    return prediction_powered_mean(
        value[ours],
        score[ours],
        score[others],
        clusters=run.cluster[ours],
        other_clusters=run.cluster[others],
        scale=run.scale,
    )


def _with_unknown(
    known: Estimate | Undefined, unknown: float, low: float, high: float
) -> Estimate | Undefined:
    """Bounds of the whole if a share of it is unknown (Manski 2003)."""
    if isinstance(known, Undefined):
        return known
    return Estimate(
        (1 - unknown) * known.value + unknown * (low + high) / 2,
        (1 - unknown) * known.low + unknown * low,
        (1 - unknown) * known.high + unknown * high,
        known.n,
        known.skipped,
        f"{known.method}; {unknown:.0%} of the items could be anything",
    )


def _gap(run: LabelledRun, score: Floats) -> str | None:
    """Return a warning if the labelled items' scores differ from the others'."""
    ours, others = run.labelled & run.judged, ~run.labelled & run.judged
    if ours.sum() < 2 or others.sum() < 2:
        return None
    group, n_groups = codes(run.cluster)
    pull = np.zeros(n_groups)
    for part, sign in ((ours, 1.0), (others, -1.0)):
        away = (score[part] - score[part].mean()) / part.sum()
        pull += sign * sums(away, group[part], n_groups)
    gap = float(score[ours].mean() - score[others].mean())
    if abs(gap) <= _FAR * float(np.sqrt(pull @ pull)):
        return None
    return (
        f"The judge scores the labelled items {'higher' if gap > 0 else 'lower'} than the others "
        f"({score[ours].mean():.2f} against "
        f"{score[others].mean():.2f}), which is unlikely in a random "
        "sample. The figures hold only if the labelled items were drawn at random."
    )
