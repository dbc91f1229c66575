"""Which judge leads, and how it compares with baselines and people, from the results.

A system is *above* or *below* another only if a paired test, corrected for all tests of the table
(Holm), is significant; people rate other rows than judges do, so with them two intervals must not
overlap. Everything else is *not told apart*: too little data, not a draw.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

from glider.bench.baselines import BASELINES
from glider.bench.benchmark import SystemKind
from glider.bench.metrics import METRICS, Metric
from glider.bench.results import Difference, Figure, Results
from glider.bench.table import ALL
from glider.core.errors import UnknownName

Side = Literal["above", "below", "not told apart"]
_SURE = 0.05


@dataclass(frozen=True)
class Standings:
    """Results by benchmark and system."""

    results: Results

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, str, str], Figure]:
        return {
            (f.benchmark, f.system, f.metric, f.part): f
            for f in self.results.figures
            if f.protocol == "strict" and f.by == "part"
        }

    @cached_property
    def benchmarks(self) -> list[str]:
        """Every benchmark with figures, in the order of the results."""
        return list(dict.fromkeys(f.benchmark for f in self.results.figures if f.benchmark != ALL))

    @cached_property
    def systems(self) -> list[str]:
        """Every system, in the order of the results."""
        return list(dict.fromkeys(f.system for f in self.results.figures))

    def kind(self, system: str) -> SystemKind:
        """Return the kind: judge, baseline or people."""
        known = self.results.settings.get("systems", {}).get(system, {})
        kind: SystemKind = known.get("kind", "judge")
        return kind

    def judge(self, system: str) -> str:
        """Return the judge behind a system: several may be readings of one judge's answers."""
        known = self.results.settings.get("systems", {}).get(system, {})
        return str(known.get("judge", system))

    def label(self, system: str) -> str:
        """Return a system's display name."""
        if self.kind(system) == "baseline":
            return _rule_title(system)
        return "one person" if self.kind(system) == "people" else system

    def everywhere(self, figure: Figure) -> bool:
        """Whether an aggregate covers every benchmark, not just some."""
        if self.kind(figure.system) == "people":
            return all(self.main(benchmark, figure.system) for benchmark in self.benchmarks)
        own = self.aggregate(self.lead) if self.lead else None
        return own is None or figure.n == own.n

    def of_kind(self, kind: SystemKind) -> list[str]:
        """The systems of one kind."""
        return [system for system in self.systems if self.kind(system) == kind]

    def about(self, benchmark: str) -> dict[str, Any]:
        """Return the results' record of a benchmark: title, family, licence, ..."""
        known: dict[str, Any] = self.results.settings.get("benchmarks", {}).get(benchmark, {})
        return known

    def metrics(self, benchmark: str) -> list[str]:
        """Return the metrics of a benchmark, its main one first; without coverage."""
        own = self.about(benchmark).get("metrics")
        found = dict.fromkeys(
            f.metric
            for f in self.results.figures
            if f.benchmark == benchmark and f.metric != "coverage"
        )
        return [m for m in own if m in found] if own else list(found)

    def figure(self, benchmark: str, system: str, metric: str, part: str = "") -> Figure | None:
        """Return one figure, under the protocol `strict`."""
        return self._by_place.get((benchmark, system, metric, part))

    def main(self, benchmark: str, system: str) -> Figure | None:
        """The figure of the main metric."""
        metrics = self.metrics(benchmark)
        return self.figure(benchmark, system, metrics[0]) if metrics else None

    def aggregate(self, system: str, family: str = "") -> Figure | None:
        """Return the aggregate over all benchmarks, or a family's; random is 0, perfect is 1."""
        return self.figure(ALL, system, "aggregate", family)

    def best(self, kind: SystemKind, benchmark: str) -> Figure | None:
        """The best figure of a kind on a benchmark."""
        found = [self.main(benchmark, system) for system in self.of_kind(kind)]
        known = [f for f in found if f is not None and f.value is not None]
        return max(known, key=lambda f: _goodness(f), default=None)

    @cached_property
    def lead(self) -> str | None:
        """Return the judge that ranks highest over all benchmarks; None without a judge."""
        judges = self.of_kind("judge")

        def height(system: str) -> float:
            whole = self.aggregate(system)
            if whole is not None and whole.value is not None:
                return whole.value
            mains = [self.main(benchmark, system) for benchmark in self.benchmarks]
            known = [_goodness(f) for f in mains if f is not None and f.value is not None]
            return sum(known) / len(known) if known else float("-inf")

        return max(judges, key=height, default=None)

    def difference(self, benchmark: str, a: str, b: str) -> Difference | None:
        """Return the difference a minus b, if tested."""
        for d in self.results.differences:
            if (d.benchmark, d.a, d.b) == (benchmark, a, b):
                return d
        return None

    def against_rules(self, benchmark: str, system: str) -> tuple[Figure, Side] | None:
        """Return the best baseline there, and how the system compares with it."""
        best = self.best("baseline", benchmark)
        own = self.main(benchmark, system)
        if best is None or own is None or own.value is None:
            return None
        tested = self.difference(benchmark, system, best.system)
        return best, side_of(tested) if tested else apart(own, best)

    def against_people(self, benchmark: str, system: str) -> tuple[Figure, Side] | None:
        """Return the figure of one person there, and how the system compares with it."""
        best = self.best("people", benchmark)
        own = self.main(benchmark, system)
        if best is None or own is None or own.value is None:
            return None
        return best, apart(own, best)


def side_of(difference: Difference) -> Side:
    """Return how a compares with b by their paired test; better is above in either direction."""
    if difference.value is None or difference.low is None or difference.high is None:
        return "not told apart"
    if not (difference.low > 0 or difference.high < 0):
        return "not told apart"
    p = difference.p_adjusted if difference.p_adjusted is not None else difference.p
    if p is not None and p > _SURE:
        return "not told apart"
    higher = difference.low > 0
    return "above" if higher == (better(difference.metric) != "lower") else "below"


def apart(own: Figure, other: Figure) -> Side:
    """Compare two figures by whether their intervals overlap."""
    if own.low is None or own.high is None or other.low is None or other.high is None:
        return "not told apart"
    if own.low <= other.high and other.low <= own.high:
        return "not told apart"
    higher = own.low > other.high
    return "above" if higher == (better(own.metric) != "lower") else "below"


@cache
def _rule_title(name: str) -> str:
    try:
        return BASELINES.get(name).title
    except UnknownName:
        return name


@cache
def metric_of(name: str) -> Metric | None:
    """Return the metric; None if it is not installed here."""
    try:
        return METRICS.get(name)
    except UnknownName:
        return None


def title_of(name: str) -> str:
    """Return a metric's title, including `aggregate` and `coverage`."""
    metric = metric_of(name)
    return metric.title if metric else name.replace("_", " ").capitalize()


def better(name: str) -> Literal["higher", "lower", "middle"]:
    """Return which direction of a metric is better."""
    metric = metric_of(name)
    return metric.better if metric else "higher"


def _goodness(figure: Figure) -> float:
    assert figure.value is not None
    if better(figure.metric) == "middle":
        return -abs(figure.value - 0.5)
    return -figure.value if better(figure.metric) == "lower" else figure.value
