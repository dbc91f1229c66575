"""The figure of `glider bench` on the development part, during training.

Each set's own first metric over its items, mapped so that random answers get 0 and perfect ones 1,
then the mean over sets: the figure at the top of the bench's page, without its interval. Items come
from the examples and from what they ask (`tasks.jsonl.gz`); of a pair both orders are one item.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from glider.bench.metrics import METRICS, MetricOfScores
from glider.bench.scored import Scored
from glider.core.errors import UnknownName
from glider.corpus.examples import Example, ExampleTask
from glider.gold.items import Item
from glider.gold.sets import load_set
from glider.stats.estimates import Degenerate

LEAST = 20
"""Items below which a set's own figure is not worth a place in the mean."""


class Prediction(NamedTuple):
    """What a judge says of one example."""

    expected: float
    """Mean over its levels: 0 the lowest, 1 the highest."""
    likeliest: float
    """The likeliest level, on the same scale."""


@dataclass(frozen=True, slots=True)
class _Set:
    name: str
    metric: str
    items: tuple[Item, ...]
    asked: tuple[tuple[str, ...], ...]
    """Ids of each item's examples: one, or of a pair its two orders."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The sets of a development part that are large enough."""

    sets: tuple[_Set, ...]

    @classmethod
    def of(cls, examples: Sequence[Example], tasks: Mapping[str, ExampleTask]) -> "Bench":
        """Make items of examples; those without levels, or of which no task is known, are none."""
        found: dict[str, list[tuple[Example, ...]]] = defaultdict(list)
        for group in together(examples, tasks):
            if group[0].labels is not None and group[0].id in tasks:
                found[group[0].set].append(group)
        sets = []
        for name, groups in found.items():
            metric = _main_metric(name, pairs=any(len(group) == 2 for group in groups))
            if METRICS.get(metric).on == "orders":
                groups = [group for group in groups if len(group) == 2]
            else:
                groups = [(one,) for group in groups for one in group]
            if len(groups) >= LEAST:
                items = tuple(_item(group, tasks) for group in groups)
                asked = tuple(tuple(one.id for one in group) for group in groups)
                sets.append(_Set(name, metric, items, asked))
        return cls(tuple(sets))

    def mean(self, predictions: Mapping[str, Prediction]) -> float | None:
        """The mean over sets, 0 for random answers and 1 for perfect ones; None where none counts.

        A set on which the judge says the same of everything counts as 0.
        """
        shares = [share for one in self.sets if (share := _share(one, predictions)) is not None]
        return sum(shares) / len(shares) if shares else None


def together(
    examples: Sequence[Example], tasks: Mapping[str, ExampleTask]
) -> list[tuple[Example, ...]]:
    """The examples, the two orders of a pair together where the first of them stands."""
    groups: dict[object, list[Example]] = {}
    for one in examples:
        task = tasks.get(one.id)
        pair = task and len(task.sample.judged) == 2
        key = (one.set, task.sample.id, one.criterion) if task and pair else one.id
        groups.setdefault(key, []).append(one)
    found: list[tuple[Example, ...]] = []
    for group in groups.values():
        # More than two of one name are no pair in two orders.
        found += [tuple(group)] if len(group) <= 2 else [(one,) for one in group]
    return found


def _main_metric(name: str, *, pairs: bool) -> str:
    try:
        return load_set(name).metrics[0]
    except UnknownName:
        return "accuracy_averaged" if pairs else "pearson"


def _item(group: Sequence[Example], tasks: Mapping[str, ExampleTask]) -> Item:
    first, task = group[0], tasks[group[0].id]
    levels = task.criterion.rubric.scores
    probs = first.soft or [float(level == first.score) for level in levels]
    return Item(
        sample=task.sample, criterion=task.criterion, part=first.part, cluster=first.cluster,
        gold=float(np.dot(levels, probs)), scale=(float(min(levels)), float(max(levels))),
        lang=first.lang, as_written=len(group) == 1,
    )  # fmt: skip


def _share(one: _Set, predictions: Mapping[str, Prediction]) -> float | None:
    scores, levels, orders = [], [], []
    for item, (first, *others) in zip(one.items, one.asked, strict=True):
        low, high = item.scale
        said = predictions[first]
        if others:
            second = 1 - predictions[others[0]].expected
            orders.append((said.expected, second))
            scores.append((said.expected + second) / 2)
        else:
            scores.append(low + (high - low) * said.expected)
            levels.append(low + (high - low) * said.likeliest)
    scored = Scored.of(
        one.name, "trained", one.items, scores,
        orders=np.array(orders) if orders else None, levels=levels or None,
    )  # fmt: skip
    metric = METRICS.get(one.metric)
    measured = MetricOfScores(metric, scored)
    if not measured.parts or metric.better == "middle":
        return None
    if measured.all_silent:
        return 0.0
    try:
        (share,) = measured.shares(measured.statistic())
    except Degenerate:
        return None
    return share
