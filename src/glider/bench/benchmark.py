"""The systems on one benchmark: metrics with intervals, and the paired comparisons.

Items that cannot be measured are named in the notes, never dropped silently. All randomness comes
from one seed and the benchmark's name, so that systems are measured under the same resamples.
"""

import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from glider.bench.metrics import METRICS, Metric, MetricOfScores
from glider.bench.results import Difference, Figure, Protocol, Split
from glider.bench.scored import Scored
from glider.gold.sets import LabelledSet
from glider.stats.clustered import clustered_share
from glider.stats.estimates import Degenerate, Estimate, Undefined
from glider.stats.resampling import bootstrap, paired_difference, paired_permutation
from glider.stats.statistic import Ints

SystemKind = Literal["judge", "baseline", "people"]
_MANY_FAILED = 0.2
_MOST_PARTS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureSettings:
    """How figures are computed."""

    seed: int = 0
    n_resamples: int = 999
    n_permutations: int = 999


def cleaned(scored: Scored) -> tuple[Scored, list[str]]:
    """Return the measurable items, each once, and the problems with the others."""
    notes = []
    low, high = np.array(scored.scales).T[:, scored.part] if len(scored) else np.empty((2, 0))
    missing = ~np.isfinite(scored.gold)
    with np.errstate(invalid="ignore"):
        outside = ~missing & ((scored.gold < low) | (scored.gold > high))
    _, first = np.unique(np.array(scored.ids, dtype=object).astype(str), return_index=True)
    again = np.ones(len(scored), np.bool_)
    again[first] = False
    for found, what in (
        (missing, "without a label"),
        (outside, "with a label outside its scale"),
        (again & ~missing & ~outside, "with a repeated id"),
    ):
        if count := int(found.sum()):
            notes.append(f"{scored.benchmark}: {count} of {len(scored)} items {what}, left out")
    bad = missing | outside | again
    return (scored.only(~bad) if bad.any() else scored), notes


@dataclass(frozen=True, slots=True)
class Share:
    """Position of a system between random (0) and perfect (1) on one benchmark."""

    value: float
    low: float
    high: float
    n: int
    judged: int


@dataclass(frozen=True, slots=True)
class PairedTest:
    """A difference, and its p from a number of permutations, if it can be tested."""

    difference: Difference
    p: Callable[[int], float] | None = None
    width: float = 1.0
    """Distance from random to perfect, in the metric's own units."""


@dataclass
class Benchmark:
    """The systems on one benchmark."""

    name: str
    labelled: LabelledSet
    systems: Sequence[Scored]
    kinds: Mapping[str, SystemKind]
    readings: Mapping[str, str]
    settings: FigureSettings
    _measured: dict[tuple[str, str], MetricOfScores] = field(default_factory=dict)
    _main: dict[str, Estimate | Undefined] = field(default_factory=dict)

    @property
    def metrics(self) -> list[Metric]:
        return [METRICS.get(name) for name in self.labelled.metrics]

    def figures(self) -> list[Figure]:
        figures = []
        for scored in self.systems:
            figures.append(self._coverage(scored))
            for metric in self.metrics:
                figures += self._of(metric, scored)
            figures += self._split(self.metrics[0], scored)
        return figures

    def _of(self, metric: Metric, scored: Scored) -> list[Figure]:
        measured = self._ready(metric, scored)
        estimate = self._estimate(measured, scored)
        if metric is self.metrics[0]:
            self._main[scored.system] = estimate
        figures = [self._figure(estimate, metric, scored, "strict", measured)]
        lost = scored.n_judged < len(scored) and metric.failure != "left out"
        if lost and self._kind(scored) != "baseline":
            judged = scored.only(scored.judged)
            measured = MetricOfScores(metric, judged, "judged only")
            estimate = self._estimate(measured, judged)
            figures.append(self._figure(estimate, metric, scored, "judged only", measured))
        return figures

    def _split(self, metric: Metric, scored: Scored) -> list[Figure]:
        """Return one figure for each part and each named subset."""
        if self._kind(scored) == "baseline":
            return []
        figures = []
        for by, codes, names in _splits(scored):
            if len(names) > _MOST_PARTS:
                continue
            for code, name in names.items():
                inside = scored.only(codes == code)
                measured = MetricOfScores(metric, inside)
                estimate = self._estimate(measured, inside)
                figure = self._figure(estimate, metric, inside, "strict", measured)
                figures.append(figure.model_copy(update={"part": name, "by": by}))
        return figures

    def _coverage(self, scored: Scored) -> Figure:
        where: dict[str, Any] = {"metric": "coverage", **self._where(scored)}
        try:
            return Figure.of(clustered_share(scored.judged, scored.cluster), **where)
        except Degenerate as reason:
            return Figure.of(Undefined(str(reason), 0, 0), **where)

    def _figure(
        self, estimate: Estimate | Undefined, metric: Metric, scored: Scored,
        protocol: Protocol, measured: MetricOfScores,
    ) -> Figure:  # fmt: skip
        figure = Figure.of(estimate, metric=metric.name, protocol=protocol, **self._where(scored))
        return figure.model_copy(update={"n": measured.rows.size})

    def _where(self, scored: Scored) -> dict[str, Any]:
        return {
            "benchmark": self.name,
            "system": scored.system,
            "asked": len(scored),
            "judged": scored.n_judged,
        }

    def _ready(self, metric: Metric, scored: Scored) -> MetricOfScores:
        key = metric.name, scored.system
        if key not in self._measured:
            self._measured[key] = MetricOfScores(metric, scored)
        return self._measured[key]

    def _estimate(self, measured: MetricOfScores, scored: Scored) -> Estimate | Undefined:
        found = bootstrap(
            measured.statistic,
            scored.cluster,
            rng=self._rng(),
            n_resamples=self.settings.n_resamples,
            skipped=len(scored) - scored.n_judged,
        )
        if isinstance(found, Estimate) or not measured.metric.share or measured.undefined:
            return found
        try:
            value = measured.statistic()
        except Degenerate:
            return found
        clusters = scored.cluster[measured.rows]
        if value not in (0.0, 1.0) or np.ptp(clusters) == 0:
            return found
        # Resampling equal values shows no variation; the exact interval covers unseen values.
        exact = clustered_share(np.full(len(clusters), value == 1), clusters)
        return replace(exact, skipped=found.skipped)

    def _rng(self) -> np.random.Generator:
        # The same stream for every system: they are measured under the same resamples.
        return np.random.default_rng([self.settings.seed, zlib.crc32(self.name.encode())])

    def _kind(self, scored: Scored) -> SystemKind:
        return self.kinds.get(scored.system, "judge")

    def differences(self) -> list["PairedTest"]:
        """Compare judges by their main reading with each other, every baseline and own readings."""
        judges = [s for s in self.systems if self._kind(s) == "judge"]
        baselines = [s for s in self.systems if self._kind(s) == "baseline"]
        tests = []
        for place, a in enumerate(judges):
            for b in judges[place + 1 :]:
                mains = self._main_of(a) == a.system and self._main_of(b) == b.system
                if mains or self._main_of(a) == self._main_of(b):
                    tests.append(self._test(a, b))
            if self._main_of(a) == a.system:
                tests += [self._test(a, b) for b in baselines]
        return tests

    def _main_of(self, scored: Scored) -> str:
        return self.readings.get(scored.system, scored.system)

    def _test(self, a: Scored, b: Scored) -> "PairedTest":
        metric = self.metrics[0]
        where: dict[str, Any] = {
            "benchmark": self.name, "metric": metric.name, "a": a.system, "b": b.system,
        }  # fmt: skip
        if a.ids == b.ids:
            first, second = self._ready(metric, a), self._ready(metric, b)
        else:
            a, b = _shared(a, b)
            first, second = MetricOfScores(metric, a), MetricOfScores(metric, b)
        for system, measured in ((where["a"], first), (where["b"], second)):
            if measured.undefined:
                reason = f"{system}: {measured.undefined}"
                return PairedTest(Difference(value=None, n=len(a), undefined=reason, **where))
        found = paired_difference(
            first.statistic, second.statistic, a.cluster, rng=self._rng(),
            n_resamples=self.settings.n_resamples,
        )  # fmt: skip
        if isinstance(found, Undefined):
            return PairedTest(Difference(value=None, n=len(a), undefined=found.reason, **where))
        difference = Difference(
            value=found.value, low=found.low, high=found.high, n=len(a), method=found.method,
            **where,
        )  # fmt: skip
        exchange = MetricOfScores.exchange(metric, a, b)

        def p(n_permutations: int) -> float:
            return paired_permutation(
                exchange, a.cluster, rng=self._rng(), n_permutations=n_permutations
            )

        return PairedTest(difference, p, metric.best - first.chance())

    def shares(self) -> dict[str, Share]:
        """Each system's main metric, mapped linearly so that random is 0 and perfect is 1.

        A system that gives every item the same score, or judged none, is as uninformative as a
        random one: 0. A value without an interval counts as it is.
        """
        metric = self.metrics[0]
        found = {}
        for scored in self.systems:
            estimate, measured = self._main[scored.system], self._ready(metric, scored)
            if not measured.parts or metric.better == "middle":
                continue
            if isinstance(estimate, Undefined):
                try:
                    (value,) = (
                        (0.0,) if measured.all_silent else measured.shares(measured.statistic())
                    )
                except Degenerate:
                    continue
                found[scored.system] = Share(value, value, value, len(scored), scored.n_judged)
                continue
            value, *ends = measured.shares(estimate.value, estimate.low, estimate.high)
            found[scored.system] = Share(value, min(ends), max(ends), len(scored), scored.n_judged)
        return found

    def shares_by_language(self) -> dict[str, dict[str, Share]]:
        """Return the same for the items of each language: language, then judge."""
        judges = [s for s in self.systems if self._kind(s) == "judge" and s.language is not None]
        codes = {code for scored in judges for code in scored.languages}
        if len(codes) < 2:
            shares = self.shares()
            own = {s.system: shares[s.system] for s in judges if s.system in shares}
            return {code: own for code in codes}
        found = {}
        for code in sorted(codes):
            inside = [
                scored.only(scored.language == np.int64(scored.languages.index(code)))
                for scored in judges
                if scored.language is not None and code in scored.languages
            ]
            part = Benchmark(
                self.name, self.labelled, [s for s in inside if len(s)], self.kinds, self.readings,
                self.settings,
            )  # fmt: skip
            for scored in part.systems:
                measured = part._ready(part.metrics[0], scored)
                part._main[scored.system] = part._estimate(measured, scored)
            found[code] = part.shares()
        return found

    def gaps(self, tests: Sequence["PairedTest"]) -> dict[tuple[str, str], Share]:
        """How far a judge is above another system, on the scale from random (0) to perfect (1).

        Paired on the items both saw; where there is no paired interval (one of them says nothing,
        or people, whose rows are ratings) by the intervals of the two.
        """
        shares = self.shares()
        people = [s.system for s in self.systems if self._kind(s) == "people"]
        judges = [s for s in self.systems if self._kind(s) == "judge"]
        mains = [s.system for s in judges if self._main_of(s) == s.system]
        found = {
            (a, b): less(shares[a], shares[b])
            for a, b in (
                *((t.difference.a, t.difference.b) for t in tests),
                *((judge, other) for judge in mains for other in people),
            )
            if a in shares and b in shares
        }
        for test in tests:
            d, pair = test.difference, (test.difference.a, test.difference.b)
            if pair in found and d.value is not None and d.low is not None and d.high is not None:
                low, high = sorted((d.low / test.width, d.high / test.width))
                found[pair] = replace(
                    found[pair], value=d.value / test.width, low=low, high=high, n=d.n
                )
        return found

    def notes(self) -> list[str]:
        """Return notes on unusual labels and answers."""
        notes = []
        first = self.systems[0]
        if len(set(first.cluster.tolist())) == 1:
            notes.append(
                f"{self.name}: all items belong to one cluster, so there are "
                f"no intervals and no tests"
            )
        if self.labelled.kind == "pairs" and (ties := int((first.gold == 0.5).sum())):
            notes.append(
                f"{self.name}: {ties} of {len(first)} pairs are ties in the labels; no accuracy "
                "rests on them"
            )
        for by, _, names in _splits(first):
            if len(names) > _MOST_PARTS:
                notes.append(
                    f"{self.name}: {len(names)} {by}s, too many for figures of each (at most "
                    f"{_MOST_PARTS})"
                )
        left_out: dict[tuple[str, str], list[str]] = defaultdict(list)
        for metric in self.metrics:
            for why in self._ready(metric, first).left_out.items():
                left_out[why].append(metric.title)
        for (part, reason), titles in left_out.items():
            where = f" of {part}" if len(first.parts) > 1 else ""
            notes.append(f"{self.name}: no {', '.join(titles)}{where}: {reason}")
        for scored in self.systems:
            lost = len(scored) - scored.n_judged
            if lost > _MANY_FAILED * len(scored) and self._kind(scored) == "judge":
                notes.append(
                    f"{self.name}: {scored.system} did not judge {lost} of {len(scored)} items "
                    f"({lost / len(scored):.0%})"
                )
            measured = self._ready(self.metrics[0], scored)
            silent = [part for part in measured.silent if part not in measured.unjudged]
            if silent and self._kind(scored) == "judge":
                every = len(silent) == len(scored.parts)
                where = "" if every else f" of {', '.join(silent)}"
                notes.append(f"{self.name}: {scored.system} gives every item{where} the same score")
        return notes


def _splits(scored: Scored) -> Iterator[tuple[Split, Ints, dict[int, str]]]:
    """Yield ways to divide the items: kind of the groups, codes and names; at least two groups."""
    ways: list[tuple[Split, Ints | None, tuple[str, ...]]] = [
        ("part", scored.part, scored.parts),
        ("subset", scored.group, scored.groups),
        ("language", scored.language, scored.languages),
    ]
    for by, codes, names in ways:
        if codes is None:
            continue
        found = {code: names[code] for code in np.unique(codes).tolist() if names[code]}
        if len(found) > 1:
            yield by, codes, found


def _shared(a: Scored, b: Scored) -> tuple[Scored, Scored]:
    """Restrict both to the items they share, in the order of the first."""
    place = {name: number for number, name in enumerate(b.ids)}
    in_b = np.array([place.get(name, -1) for name in a.ids], np.int64)
    a = a.only(in_b >= 0)
    rows = in_b[in_b >= 0]
    orders = None if b.orders is None else b.orders[rows]
    levels = None if b.levels is None else b.levels[rows]
    return a, replace(
        a, system=b.system, score=b.score[rows], judged=b.judged[rows], orders=orders, levels=levels
    )


def less(a: Share, b: Share) -> Share:
    """One minus the other, with an interval derived from their two intervals (MOVER)."""
    value = a.value - b.value
    below = math.hypot(a.value - a.low, b.high - b.value)
    above = math.hypot(a.high - a.value, b.value - b.low)
    n, judged = min(a.n, b.n), min(a.judged, b.judged)
    return Share(value, value - below, value + above, n, judged)
