"""Is a tuned judge better than before, and better than baselines fitted to the same labels?

The tuned judge's answers are cross-validated: of each item they come from a fold that has not seen
its prompt. All systems are measured on the same items, and a difference is taken under the same
resamples of whole prompts. The interval is about other prompts, not other draws of a training.

Two rules stand beside: one answer for all, and the length of the text, whichever way it points in
the other folds. A judge that does not beat them has learnt the base rate, or to count.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from glider._version import __version__
from glider.bench.metrics import METRICS, MetricOfScores
from glider.bench.results import Difference, Figure, Results
from glider.bench.scored import Floats, Scored
from glider.bench.standing import side_of
from glider.gold.items import Item
from glider.gold.sets import Kind, LabelledSet
from glider.stats.estimates import Degenerate, Undefined
from glider.stats.resampling import bootstrap, paired_difference

TUNED, UNTUNED, LENGTH, CONSTANT = "tuned", "untuned", "length of the text", "one answer for all"
METRICS_OF: Mapping[Kind, tuple[str, ...]] = {
    "graded": ("pearson", "mae"),
    "classes": ("balanced_accuracy", "accuracy", "mae"),
    "pairs": ("accuracy_both", "accuracy_averaged"),
}
"""The first one decides."""

Answers = Sequence[Sequence[Sequence[float]]]
"""Probability of each level for each item; for a pair one such row for each of its two orders."""


def gains(
    labelled: LabelledSet,
    items: Sequence[Item],
    folds: Sequence[int],
    *,
    tuned: Answers,
    untuned: Answers,
    settings: Mapping[str, Any],
    notes: Sequence[str] = (),
    seed: int = 0,
    n_resamples: int = 999,
) -> Results:
    """Compute figures of all systems, and the tuned judge's lead over each other one.

    Args:
        items: each in the cluster of what it shares a prompt with.
        folds: of each item the fold whose training did not see it, shape (n,).
        settings: what decided the answers, kept in the results.
    """
    name = labelled.name
    systems = [
        as_scored(name, TUNED, items, tuned, labelled.kind),
        as_scored(name, UNTUNED, items, untuned, labelled.kind),
        Scored.of(name, LENGTH, items, by_length(items, folds)),
    ]
    if labelled.kind != "pairs":  # which place is better more often is no answer in both orders
        systems.append(Scored.of(name, CONSTANT, items, one_answer(items, labelled.kind)))
    figures, differences = [], []
    for metric in map(METRICS.get, METRICS_OF[labelled.kind]):
        measured = [MetricOfScores(metric, system) for system in systems]
        for system, own in zip(systems, measured, strict=True):
            figures.append(
                Figure.of(
                    bootstrap(
                        own.statistic, system.cluster, rng=_rng(seed), n_resamples=n_resamples
                    ),
                    benchmark=name,
                    system=system.system,
                    metric=metric.name,
                    asked=len(system),
                    judged=system.n_judged,
                )
            )
        for system, own in zip(systems[1:], measured[1:], strict=True):
            where: dict[str, Any] = {
                "benchmark": name, "metric": metric.name, "a": TUNED, "b": system.system,
                "n": len(system),
            }  # fmt: skip
            found = paired_difference(
                measured[0].statistic,
                own.statistic,
                system.cluster,
                rng=_rng(seed),
                n_resamples=n_resamples,
            )
            if isinstance(found, Undefined):
                value = _plain_difference(measured[0], own)
                differences.append(Difference(value=value, undefined=found.reason, **where))
                continue
            differences.append(
                Difference(
                    value=found.value, low=found.low, high=found.high, method=found.method, **where
                )
            )
    rules = [system.system for system in systems[2:]]
    return Results(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        glider=__version__,
        settings={
            **settings,
            "seed": seed,
            "n_resamples": n_resamples,
            "benchmarks": {name: {"title": labelled.title, "kind": labelled.kind,
                                  "metrics": list(METRICS_OF[labelled.kind])}},
            "systems": {s.system: {"kind": "baseline" if s.system in rules else "judge"}
                        for s in systems},
        },
        samples={name: list(systems[0].ids)},
        figures=tuple(figures),
        differences=tuple(differences),
        notes=tuple(notes),
    )  # fmt: skip


def _plain_difference(a: MetricOfScores, b: MetricOfScores) -> float | None:
    """Return the difference on these items, if it has a value but no interval."""
    try:
        return a.statistic() - b.statistic()
    except Degenerate:
        return None


def gain(results: Results) -> Difference:
    """Return the deciding difference: tuned minus untuned, in the main metric.

    A judge that is always right and one that always says the same are as far apart in every
    resample of balanced accuracy, which gives no interval; then the next metric decides. Where they
    are equal in every resample there is nothing to decide, whatever the others say: a judge that
    learnt which label is the common one is ahead in plain accuracy.
    """
    main, *others = [one for one in results.differences if one.b == UNTUNED]
    if main.low is None and main.value:
        return next((one for one in others if one.low is not None), main)
    return main


def is_shown(difference: Difference) -> bool:
    """Whether the whole interval is on the better side of zero."""
    return side_of(difference) == "above"


def _rng(seed: int) -> np.random.Generator:
    # The same stream for all: they are measured under the same resamples.
    return np.random.default_rng([seed, 0])


# Who answers


def as_scored(
    benchmark: str, system: str, items: Sequence[Item], answers: Answers, kind: Kind
) -> Scored:
    """Convert a judge's probabilities to scores on the labels' scale.

    A graded item gets the mean over its levels, a class the most probable one, a pair P(second).
    """
    scores: list[float | None] = []
    orders: Floats | None = None
    if kind == "pairs":
        orders = np.array([[shown[1], swapped[0]] for shown, swapped in answers], np.float64)
        scores = orders.mean(axis=1).tolist()
    else:
        for item, (probs,) in zip(items, answers, strict=True):
            levels = item.criterion.rubric.scores
            if kind == "classes":
                score = float(levels[int(np.argmax(probs))])
            else:
                score = float(np.dot(levels, probs))
            scores.append(item.on_gold_scale(score))
    return Scored.of(benchmark, system, items, scores, orders=orders)


def one_answer(items: Sequence[Item], kind: Kind) -> list[float | None]:
    """Return the best constant label for all items of a part: the median, or for classes the mode.

    It is taken from the very items it is measured on, so the bar is a little too high: learnt from
    the other folds it would be lower where the fold is higher, and look worse than ignorance.
    """
    best: dict[str, float] = {}
    for part in {item.part for item in items}:
        labels = [item.gold for item in items if item.part == part]
        counts = Counter(labels)
        common = min(counts, key=lambda label: (-counts[label], label))
        best[part] = common if kind == "classes" else float(np.median(labels))
    return [best[item.part] for item in items]


def by_length(items: Sequence[Item], folds: Sequence[int]) -> list[float | None]:
    """Predict the label from the length of the judged text, fitted on the other folds.

    A straight line from the logarithm of its characters; the line's slope comes from the other
    folds, its height from all items of the part (see `one_answer`). Of a pair, the longer or the
    shorter, whichever won more often in the other folds.
    """
    if items and items[0].is_pair:
        ahead = np.sign([_log_length(item, 1) - _log_length(item, 0) for item in items])
        won = np.array([np.sign(item.gold - 0.5) for item in items])
        of = np.asarray(folds)
        votes = [float(np.sign((ahead * won)[of != fold].sum())) for fold in folds]
        return [0.5 + 0.5 * float(a) * vote for a, vote in zip(ahead, votes, strict=True)]
    scores: list[float | None] = [None] * len(items)
    for part in {item.part for item in items}:
        rows = [number for number, item in enumerate(items) if item.part == part]
        x = np.array([_log_length(items[row], 0) for row in rows])
        y = np.array([items[row].gold for row in rows])
        of = np.array([folds[row] for row in rows])
        low, high = items[rows[0]].scale
        for place, row in enumerate(rows):
            others = of != of[place]
            score = y.mean() + _slope(x[others], y[others]) * (x[place] - x.mean())
            scores[row] = float(np.clip(score, low, high))
    return scores


def _log_length(item: Item, place: int) -> float:
    return math.log1p(len(item.sample.judged[place].text))


def _slope(x: Floats, y: Floats) -> float:
    spread = float(((x - x.mean()) ** 2).sum()) if len(x) else 0.0
    return float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread else 0.0
