"""Compute the headline figure of `glider bench` on the development split during training.

Each set's first metric is computed over its items and rescaled so that random answers get 0 and
perfect answers 1. The figure is the mean over sets, as at the top of the bench report but without
an interval. Items are built from the examples and their tasks (`tasks.jsonl.gz`); both orders of a
pair form one item.
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
"""Minimum number of items for a set to count in the mean."""


class Prediction(NamedTuple):
    """A judge's prediction for one example."""

    expected: float
    """Expected level: 0 is the lowest, 1 the highest."""
    likeliest: float
    """The most likely level, on the same scale."""


@dataclass(frozen=True, slots=True)
class _Set:
    name: str
    metric: str
    items: tuple[Item, ...]
    asked: tuple[tuple[str, ...], ...]
    """Ids of each item's examples: one, or two for the two orders of a pair."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The sets of a development split that are large enough to measure."""

    sets: tuple[_Set, ...]

    @classmethod
    def of(cls, examples: Sequence[Example], tasks: Mapping[str, ExampleTask]) -> "Bench":
        """Build items from examples; skip examples without levels or without a known task."""
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
        """Return the mean over sets, 0 for random and 1 for perfect answers; None if no set counts.

        A set with constant predictions counts as 0.
        """
        shares = [share for one in self.sets if (share := _share(one, predictions)) is not None]
        return sum(shares) / len(shares) if shares else None


def together(
    examples: Sequence[Example], tasks: Mapping[str, ExampleTask]
) -> list[tuple[Example, ...]]:
    """Group the examples: both orders of a pair together, at the place of the first."""
    groups: dict[object, list[Example]] = {}
    for one in examples:
        task = tasks.get(one.id)
        pair = task and len(task.sample.judged) == 2
        key = (one.set, task.sample.id, one.criterion) if task and pair else one.id
        groups.setdefault(key, []).append(one)
    found: list[tuple[Example, ...]] = []
    for group in groups.values():
        # More than two examples with one name are not the two orders of a pair.
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
