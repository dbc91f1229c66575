"""Metrics by name: how close a system's scores are to the gold labels, given item weights.

A metric is computed in each part of a benchmark and averaged over its parts; only EvalYaks'
acceptable accuracy looks at all criteria of one text together. Each metric states how it treats
a failed judgment under the protocol `strict`, what it needs of the labels, and what random and
perfect answers get; the formulas are those of `glider.stats`. Other packages add
`Metric` objects by the entry-point group `glider.metrics`.

A part whose labels are all equal cannot be measured: it is left out, for every system.
A system that gives every item of a part the same score is uninformative and counts as a random
answer; where it does so in every part, the figure is undefined.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from glider.bench.results import Protocol
from glider.bench.scored import Floats, Scored
from glider.core.plugins import Registry
from glider.gold.sets import Kind
from glider.stats import agreement, classification, correlation, pairwise
from glider.stats.estimates import Degenerate
from glider.stats.resampling import Swapped
from glider.stats.statistic import ANY, Bools, Ints, Prepared

OnPart = Callable[[Floats, Floats], Prepared]
"""Builds a statistic from scores and gold of one part; may raise Degenerate."""

_MOST_LEVELS = 11
_NO_LEVEL = -2.0
"""Level number of a failed judgment: more than one step from every level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One way to compare scores with gold."""

    name: str
    title: str
    kinds: tuple[Kind, ...]
    on_part: OnPart
    better: Literal["higher", "lower", "middle"] = "higher"
    on: Literal["scores", "levels", "classes", "texts", "orders"] = "scores"
    """What `on_part` is given: scores and gold as they are; both as numbers of the nearest level,
    from 0; the same of the likeliest level, for figures to which all wrong levels are alike and
    a mean between two is no answer; the numbers of the nearest levels under all criteria of a
    text, shape (texts, criteria), NaN where one was not asked; or of pairs P(second is better) in
    both orders, shape (n, 2), and gold."""
    failure: Literal["wrong", "farthest", "uninformed", "left out"] = "uninformed"
    """What a failed judgment becomes under `strict`: no level at all; the level farthest from the
    gold; the mean of the system's own scores in that part; or nothing, where no answer could be
    called wrong. In orders it stays NaN, and the statistic counts it as wrong."""
    blind_to: Literal["nothing", "shift and stretch", "order-keeping changes"] = "nothing"
    """Transformations of all scores of a system that leave the value unchanged."""
    needs_spread: bool = False
    """Whether it is uninformative about a constant score; so is every metric that is
    blind to something."""
    chance: float | None = 0.0
    """Value of random answers; None: the mean over answering each level throughout."""
    best: float = 1.0
    """Value of perfect answers."""
    share: bool = False
    """Whether it is a share of items, so that an exact interval applies if all or none count."""


class MetricOfScores:
    """A metric of one system's scores under one protocol, ready for any weights of the items."""

    def __init__(self, metric: Metric, scored: Scored, protocol: Protocol = "strict") -> None:
        """Prepare each part; problems are found here and reported on use."""
        self._of(metric, [scored], protocol)

    def _of(self, metric: Metric, systems: Sequence[Scored], protocol: Protocol) -> None:
        self.metric, first = metric, systems[0]
        counted = np.logical_and.reduce([_counted(metric, each, protocol) for each in systems])
        self.parts: list[_Part] = []
        self.left_out: dict[str, str] = {}
        """Parts on which nobody can be measured, with the reason."""
        if metric.on == "texts":
            self._of_texts(metric, systems, counted)
        for code, name in enumerate(first.parts if metric.on != "texts" else ()):
            inside = first.part == code
            rows = np.flatnonzero(inside & counted)
            if not rows.size:
                if inside.any():
                    ties = metric.on == "orders" and (first.gold[inside] == 0.5).all()
                    self.left_out[name] = "every label is a tie" if ties else "nothing was judged"
                continue
            try:
                self.parts.append(_Part(metric, name, rows, systems))
            except Degenerate as reason:
                self.left_out[name] = str(reason)
        self.rows = np.sort(np.concatenate([[], *(p.rows for p in self.parts)]).astype(np.int64))
        """Numbers of the items behind the value."""
        self.silent = [part.name for part in self.parts if part.silent]
        """Parts in which the system gives every item the same score, or judged none."""
        self.unjudged = [
            part.name
            for part in self.parts
            if not any(each.judged[part.rows].any() for each in systems)
        ]
        """Parts in which nothing was judged."""
        self.undefined = ""
        if not self.parts:
            self.undefined = _one_reason(self.left_out) or "there are no items"
        elif len(self.silent) == len(self.unjudged) == len(self.parts):
            self.undefined = "nothing was judged"
        elif self.all_silent:
            self.undefined = "the system gives every item the same score"
        limits = [part.limits for part in self.parts] or [ANY]
        self.statistic = Prepared(
            len(first) * len(systems),
            self._values,
            self._why,
            (min(low for low, _ in limits), max(high for _, high in limits)),
        )

    def _of_texts(self, metric: Metric, systems: Sequence[Scored], counted: Bools) -> None:
        rows = np.flatnonzero(counted)
        if not rows.size:
            return
        try:
            self.parts.append(_Texts(metric, rows, systems, self.left_out))
        except Degenerate as reason:
            self.left_out[", ".join(systems[0].parts)] = str(reason)

    @classmethod
    def exchange(cls, metric: Metric, a: Scored, b: Scored) -> Swapped:
        """Build the argument of `paired_permutation`: the difference after a and b exchange scores.

        Their scores are first made comparable, as far as the metric does not see it: z-scores
        for Pearson's correlation, ranks for those of ranks (Deutsch et al. 2021, PERM-BOTH).
        """
        both = cls.__new__(cls)
        both._of(metric, [a, b], "strict")
        return Swapped(both.statistic)

    @property
    def all_silent(self) -> bool:
        """Whether the system gives every item of a part the same score, in every part."""
        return len(self.silent) == len(self.parts)

    def shares(self, *values: float) -> list[float]:
        """Values of this metric mapped linearly, so that random answers get 0 and perfect ones 1.

        Raises:
            Degenerate: nobody can be measured.
        """
        chance = self.chance()
        return [(value - chance) / (self.metric.best - chance) for value in values]

    def chance(self) -> float:
        """The value of random answers on these items.

        Raises:
            Degenerate: nobody can be measured.
        """
        if not self.parts:
            raise Degenerate(self.undefined)
        return float(np.mean([part.chance for part in self.parts]))

    def _values(self, weights: Floats) -> Floats:
        if self.undefined:
            return np.full(len(weights), np.nan)
        values = np.array([part.values(weights) for part in self.parts])
        known = np.isfinite(values)
        total = np.where(known, values, 0.0).sum(axis=0)
        return np.asarray(total / known.sum(axis=0), np.float64)

    def _why(self, weights: Floats) -> str:
        return self.undefined or _one_reason({p.name: p.why(weights) for p in self.parts})


class _Part:
    """The items of one part as one or two systems scored them, one below the other."""

    def __init__(self, metric: Metric, name: str, rows: Ints, systems: Sequence[Scored]) -> None:
        gold, scale = systems[0].gold[rows], systems[0].scales[int(systems[0].part[rows[0]])]
        if metric.on != "orders" and np.ptp(gold) == 0:
            raise Degenerate("the labels are all alike")
        answers: Floats = np.linspace(*scale, 101)
        by_level = metric.on in ("levels", "classes")
        if by_level:
            levels = levels_of(gold, scale)
            gold, answers = nearest(gold, levels), np.arange(len(levels), dtype=np.float64)
        columns = []
        for each in systems:
            if metric.on == "orders":
                columns.append(orders_of(each)[rows])
                continue
            likeliest = each.levels if metric.on == "classes" else None
            score = (each.score if likeliest is None else likeliest)[rows]
            score = nearest(score, levels) if by_level else score
            score = _filled(metric, score, gold, each.judged[rows], answers)
            columns.append(score if len(systems) == 1 else _comparable(metric, score))
        self.name, self.rows = name, rows
        self._metric, self._gold = metric, np.tile(gold, len(systems))
        self._score = np.concatenate(columns)
        self._rows = np.concatenate([rows + i * len(s) for i, s in enumerate(systems)])
        self._statistic = metric.on_part(self._score, self._gold)
        self.limits = self._statistic.limits
        self._needs_spread = metric.needs_spread or metric.blind_to != "nothing"
        self.silent = self._needs_spread and np.ptp(self._score) == 0
        self._answers = answers

    @cached_property
    def chance(self) -> float:
        """The value of random answers in this part."""
        if self._metric.chance is not None:
            return self._metric.chance
        constant = (np.full(len(self._gold), answer) for answer in self._answers)
        return float(np.mean([self._metric.on_part(c, self._gold)() for c in constant]))

    def why(self, weights: Floats) -> str:
        """Return why there is no value for these weights of all items."""
        return self._statistic.why(weights[self._rows])

    def values(self, weights: Floats) -> Floats:
        """One value per row of weights; NaN where the labels with weight are all equal."""
        mine = np.take(weights, self._rows, axis=1)
        values = self._statistic.many(mine)
        if self._needs_spread:
            for row in np.flatnonzero(np.isnan(values)):
                kept = mine[row] > 0
                alike = kept.any() and np.ptp(self._score[kept]) == 0
                if alike and np.ptp(self._gold[kept]) > 0:
                    values[row] = self.chance
        return values


class _Texts(_Part):
    """All items as texts with their criteria side by side, for one or two systems.

    A text counts as often as its first item: the others are in the same cluster.
    """

    def __init__(
        self, metric: Metric, rows: Ints, systems: Sequence[Scored], left_out: dict[str, str]
    ) -> None:
        first = systems[0]
        levels = {}
        for code in np.unique(first.part[rows]).tolist():
            inside = rows[first.part[rows] == code]
            try:
                levels[code] = levels_of(first.gold[inside], first.scales[code])
            except Degenerate as reason:
                left_out[first.parts[code]] = str(reason)
        rows = rows[np.isin(first.part[rows], list(levels))]
        if not rows.size or all(np.ptp(first.gold[first.part == code]) == 0 for code in levels):
            raise Degenerate("the labels are all alike" if rows.size else "no criterion has levels")
        text = np.arange(len(first)) if first.text is None else first.text
        _, place, of_row = np.unique(text[rows], return_index=True, return_inverse=True)
        gold = np.full((len(place), len(levels)), np.nan)
        scores = [gold.copy() for _ in systems]
        for column, (code, known) in enumerate(levels.items()):
            asked = first.part[rows] == code
            inside, own = rows[asked], of_row[asked]
            answers = np.arange(len(known), dtype=np.float64)
            gold[own, column] = nearest(first.gold[inside], known)
            for each, score in zip(systems, scores, strict=True):
                level = nearest(each.score[inside], known)
                score[own, column] = _filled(
                    metric, level, gold[own, column], each.judged[inside], answers
                )
        self.name, self.rows, self.silent = "", rows[place], False
        self._needs_spread = False
        self._metric, self._gold = metric, np.tile(gold, (len(systems), 1))
        self._score = np.concatenate(scores)
        self._rows = np.concatenate([self.rows + i * len(s) for i, s in enumerate(systems)])
        self._statistic = metric.on_part(self._score, self._gold)
        self.limits = self._statistic.limits
        self._tops = np.array([len(known) - 1 for known in levels.values()])

    @cached_property
    def chance(self) -> float:
        """What random answers get: the mean over answering the same place of every scale."""
        places = np.linspace(0, 1, int(self._tops.max()) + 1)
        answers = (np.rint(place * self._tops) + 0 * self._gold for place in places)
        return float(np.mean([self._metric.on_part(a, self._gold)() for a in answers]))


def levels_of(gold: Floats, scale: tuple[float, float]) -> Floats:
    """The levels people could choose from, as far as the labels tell; rising, 2 to 11 of them.

    Whole numbers where the scale has at most 11 of them (a mean of several people's ratings then
    goes to the nearest); else the fewest equal steps on which every label lies.

    Raises:
        Degenerate: the labels lie on no few levels.
    """
    low, high = scale
    width = high - low
    place = (gold - low) / width
    whole = float(low).is_integer() and float(width).is_integer() and width < _MOST_LEVELS
    if whole and (width > 1 or np.isin(place, (0.0, 1.0)).all()):
        return np.linspace(low, high, int(width) + 1)
    for steps in range(1, _MOST_LEVELS):
        if np.allclose(place * steps, np.rint(place * steps), atol=1e-6):
            return np.linspace(low, high, steps + 1)
    raise Degenerate(f"the labels lie on more than {_MOST_LEVELS} levels")


def nearest(values: Floats, levels: Floats) -> Floats:
    """Return the index of the nearest level, from 0; the upper one in a tie."""
    between = (levels[1:] + levels[:-1]) / 2
    return np.searchsorted(between, values, side="right").astype(np.float64)


def orders_of(scored: Scored) -> Floats:
    """P(second is better) in both orders, shape (n, 2), NaN where not judged.

    A rule that knows no order gives the same answer in both.
    """
    if scored.orders is not None:
        return scored.orders
    answer = np.where(scored.judged, scored.score, np.nan)
    return np.column_stack([answer, answer])


def _counted(metric: Metric, scored: Scored, protocol: Protocol) -> Bools:
    """Return which items a metric uses."""
    everything = np.ones(len(scored), np.bool_)
    if metric.on != "orders":
        if protocol != "judged only" and metric.failure != "left out":
            return everything
        if metric.on != "texts" or scored.text is None:
            return scored.judged
        lost = np.unique(scored.text[~scored.judged])
        return np.asarray(~np.isin(scored.text, lost), np.bool_)
    if metric.failure == "left out":
        return everything  # the statistic detects which orders are present
    counted = scored.gold != 0.5
    if protocol == "judged only":
        counted &= np.isfinite(orders_of(scored)).all(axis=1)
    return np.asarray(counted, np.bool_)


def _filled(metric: Metric, score: Floats, gold: Floats, judged: Bools, answers: Floats) -> Floats:
    """Replace missing scores by substitutes."""
    if judged.all():
        return score
    if metric.failure == "wrong":
        return np.where(judged, score, _NO_LEVEL)
    if metric.failure == "farthest":
        low, high = answers[0], answers[-1]
        return np.where(judged, score, np.where(gold - low > high - gold, low, high))
    # The same for all of them, so that failing reveals nothing about an item.
    return np.where(judged, score, score[judged].mean() if judged.any() else 0.0)


def _comparable(metric: Metric, score: Floats) -> Floats:
    if metric.on != "scores":
        return score  # levels, classes and probabilities mean the same for every system
    if metric.blind_to == "order-keeping changes":
        _, code, count = np.unique(score, return_inverse=True, return_counts=True)
        return np.asarray((np.cumsum(count) - (count - 1) / 2)[code], np.float64)
    if metric.blind_to == "shift and stretch" and np.ptp(score) > 0:
        return np.asarray((score - score.mean()) / score.std(), np.float64)
    return score


def _one_reason(left_out: dict[str, str]) -> str:
    reasons = list(dict.fromkeys(left_out.values()))
    if len(reasons) <= 1:
        return "".join(reasons)
    return "; ".join(f"{part}: {reason}" for part, reason in list(left_out.items())[:3])


def _flip_rate(orders: Floats, gold: Floats) -> Prepared:
    return pairwise.flip_rate.on(orders)


def _first_share(orders: Floats, gold: Floats) -> Prepared:
    return pairwise.first_slot_share.on(orders)


def _quadratic(score: Floats, gold: Floats) -> Prepared:
    return agreement.cohen_kappa.on(score, gold, weighting="quadratic")


def _degree_of_variation(score: Floats, gold: Floats) -> Prepared:
    return agreement.degree_of_variation.on(score[:, None], gold[:, None])


_GRADED: tuple[Kind, ...] = ("graded", "classes")
_PAIRS: tuple[Kind, ...] = ("pairs",)

PEARSON = Metric(
    name="pearson", title="Pearson's r", kinds=_GRADED, on_part=correlation.pearson.on,
    blind_to="shift and stretch",
)  # fmt: skip
SPEARMAN = Metric(
    name="spearman", title="Spearman's rho", kinds=_GRADED, on_part=correlation.spearman.on,
    blind_to="order-keeping changes",
)  # fmt: skip
KENDALL = Metric(
    name="kendall", title="Kendall's tau-b", kinds=_GRADED, on_part=correlation.kendall.on,
    blind_to="order-keeping changes",
)  # fmt: skip
MAE = Metric(
    name="mae", title="Mean absolute error", kinds=_GRADED,
    on_part=agreement.mean_absolute_error.on,
    better="lower", failure="farthest", chance=None, best=0.0,
)  # fmt: skip
AGR22 = Metric(
    name="agr22", title="Agr(2,2)", kinds=_GRADED, on_part=agreement.themis_agreement.on,
    on="levels", failure="wrong", chance=None,
)  # fmt: skip
QWK = Metric(
    name="qwk", title="Quadratic kappa", kinds=_GRADED, on_part=_quadratic,
    on="levels", failure="farthest",
)  # fmt: skip
KAPPA = Metric(
    name="kappa", title="Cohen's kappa", kinds=_GRADED, on_part=agreement.cohen_kappa.on,
    on="classes", failure="farthest",
)  # fmt: skip
MACRO_F1 = Metric(
    name="macro_f1", title="Macro-F1", kinds=_GRADED, on_part=classification.macro_f1.on,
    on="classes", failure="farthest", chance=None,
)  # fmt: skip
ACCURACY = Metric(
    name="accuracy", title="Accuracy", kinds=_GRADED, on_part=classification.accuracy.on,
    on="classes", failure="wrong", share=True, chance=None,
)  # fmt: skip
BALANCED_ACCURACY = Metric(
    name="balanced_accuracy", title="Balanced accuracy", kinds=_GRADED,
    on_part=classification.balanced_accuracy.on, on="classes", failure="wrong", chance=None,
)  # fmt: skip
AUC = Metric(
    name="auc", title="AUC", kinds=_GRADED, on_part=classification.auc.on,
    blind_to="order-keeping changes", chance=0.5,
)  # fmt: skip
MCC = Metric(
    name="mcc", title="Matthews' correlation", kinds=_GRADED,
    on_part=classification.matthews.on, on="classes", failure="farthest",
    needs_spread=True,
)  # fmt: skip
ACCEPTABLE = Metric(
    name="acceptable", title="Acceptable accuracy", kinds=_GRADED,
    on_part=agreement.acceptable_accuracy.on, on="texts", failure="wrong", share=True, chance=None,
)  # fmt: skip
DOV = Metric(
    name="dov", title="Degree of variation (levels)", kinds=_GRADED,
    on_part=_degree_of_variation, on="levels", better="lower", failure="farthest", chance=None,
    best=0.0,
)  # fmt: skip
ACCURACY_SINGLE = Metric(
    name="accuracy_single", title="Accuracy, one order", kinds=_PAIRS,
    on_part=pairwise.single_order_accuracy.on, on="orders", failure="wrong", share=True, chance=0.5,
)  # fmt: skip
ACCURACY_BOTH = Metric(
    name="accuracy_both", title="Accuracy, right in both orders", kinds=_PAIRS,
    on_part=pairwise.consistent_accuracy.on, on="orders", failure="wrong", share=True, chance=0.25,
)  # fmt: skip
ACCURACY_AVERAGED = Metric(
    name="accuracy_averaged", title="Accuracy, orders averaged", kinds=_PAIRS,
    on_part=pairwise.averaged_order_accuracy.on, on="orders", failure="wrong", share=True,
    chance=0.5,
)  # fmt: skip
FLIP_RATE = Metric(
    name="flip_rate", title="Flip rate", kinds=_PAIRS, on_part=_flip_rate,
    on="orders", better="lower", failure="left out", share=True, chance=0.5,
    best=0.0,
)  # fmt: skip
FIRST_SHARE = Metric(
    name="first_share", title="First place chosen", kinds=_PAIRS, on_part=_first_share,
    on="orders", better="middle", failure="left out", chance=0.5, best=0.5,
)  # fmt: skip

METRICS: Registry[Metric] = Registry(
    kind="metric",
    group="glider.metrics",
    builtin={
        name: f"glider.bench.metrics:{name.upper()}"
        for name in (
            "pearson", "spearman", "kendall", "mae", "agr22", "qwk", "kappa", "macro_f1",
            "accuracy", "balanced_accuracy", "auc", "mcc", "acceptable", "dov",
            "accuracy_single", "accuracy_both", "accuracy_averaged", "flip_rate", "first_share",
        )
    },
)  # fmt: skip
