"""Compute figures from scores: every metric of every system, with interval, coverage and tests.

Odd data is named in the notes, and what cannot be measured is left out there and nowhere silently.
All chance comes from one seed and the benchmark's name, so that two systems are measured under the
same resamples, and a benchmark gives the same figures alone or among others.

The first metric of a set is its main one: differences are tested in it, figures by part and subset
are made of it, and it is what goes into the aggregate.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from glider._version import __version__
from glider.bench.benchmark import Benchmark, FigureSettings, PairedTest, Share, SystemKind, cleaned
from glider.bench.held_out import EXPOSURES, Exposure
from glider.bench.results import Difference, Figure, Results
from glider.bench.scored import Scored
from glider.gold.sets import LabelledSet
from glider.stats.clustered import clustered_share
from glider.stats.estimates import Degenerate
from glider.stats.multiplicity import holm

ALL = "all"
"""Benchmark name of figures about all benchmarks together."""
BY_LANGUAGE = "aggregate by language"
"""The aggregate over the items of one language; the figure's part is the language code."""
_PER_TEST = 25
"""Permutations for each test of the table, so that the smallest p survives Holm's correction."""
_MOST_PERMUTATIONS = 99_999
_RARE = 4
"""At most this many permutations as large as the observed value lead to more permutations."""


def measure(
    scored: Iterable[Scored],
    sets: Mapping[str, LabelledSet],
    *,
    kinds: Mapping[str, SystemKind] | None = None,
    readings: Mapping[str, str] | None = None,
    exposures: Mapping[str, Exposure] | None = None,
    settings: FigureSettings | None = None,
    recorded: Mapping[str, Any] | None = None,
    notes: Iterable[str] = (),
    figures: Iterable[Figure] = (),
    differences: Iterable[Difference] = (),
) -> Results:
    """Compute all figures of these systems on these benchmarks.

    Args:
        scored: one for each system and benchmark; systems are compared on the items they share.
        sets: by name, one for each benchmark.
        kinds: what the systems are, where they are no judges. Baselines are not compared among
            each other, people (whose rows are ratings, not items) with nobody.
        readings: judge to the main one among several readings of the same answers, which alone is
            compared with other judges and with baselines.
        exposures: benchmark to what the judges saw of it in training, where that is known.
        recorded: what else determined the outcomes (judges, limits, ...), kept in the results.
        notes: data problems found earlier.
        figures: additional ones, computed elsewhere.
        differences: additional ones; their tests count in Holm's correction.

    Raises:
        UnknownName: a set names an unknown metric.
    """
    settings = settings or FigureSettings()
    kinds, exposures = kinds or {}, exposures or {}
    by_benchmark: dict[str, list[Scored]] = defaultdict(list)
    told = dict.fromkeys(notes)
    place: dict[str, int] = {}
    for each in scored:
        place.setdefault(each.system, len(place))
        kept, odd = cleaned(each)
        told.update(dict.fromkeys(odd))
        by_benchmark[each.benchmark].append(kept)
    found, tests = list(figures), list[PairedTest]()
    shares: dict[str, dict[str, Share]] = defaultdict(dict)
    gaps: dict[tuple[str, str], dict[str, Share]] = defaultdict(dict)
    spoken: dict[str, dict[str, dict[str, Share]]] = defaultdict(lambda: defaultdict(dict))
    # The products are of a thousand rows and six columns: threads cost more than they win, and on a
    # busy machine they wait for each other (half the processor time: benchmarks/report_cost.py).
    with threadpool_limits(1, user_api="blas"):
        for name, systems in by_benchmark.items():
            # One fixed order: who is compared with whom decides the sign of a difference.
            systems.sort(key=lambda each: place[each.system])
            bench = Benchmark(name, sets[name], systems, kinds, readings or {}, settings)
            found += bench.figures()
            compared = bench.differences()
            tests += compared
            told.update(dict.fromkeys(bench.notes()))
            for system, share in bench.shares().items():
                shares[system][name] = share
            for code, own in bench.shares_by_language().items():
                for system, share in own.items():
                    spoken[code][system][name] = share
            for pair, gap in bench.gaps(compared).items():
                gaps[pair][name] = gap
        tested = _tested(tests, list(differences), settings.n_permutations)
    groups = _groups(by_benchmark, exposures)
    families: dict[str, list[str]] = defaultdict(list)
    for name in by_benchmark:
        families[sets[name].family].append(name)
    found += [f for s, own in shares.items() for f in _aggregates(s, own, {**groups, **families})]
    if len(spoken) > 1:
        found += [
            figure.model_copy(update={"by": "language", "metric": BY_LANGUAGE})
            for code, systems_of in sorted(spoken.items())
            for system, own in systems_of.items()
            for figure in _aggregates(system, own, {code: list(own)})
        ]
    found += _coverages(by_benchmark, groups, kinds)
    overall = [d for pair, own in gaps.items() for d in _overall(pair, own, groups)]
    return Results(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        glider=__version__,
        settings={
            **(recorded or {}),
            "seed": settings.seed,
            "n_resamples": settings.n_resamples,
            "n_permutations": settings.n_permutations,
            "benchmarks": {
                name: _described(sets[name], exposures.get(name)) for name in by_benchmark
            },
            "systems": {
                name: {"kind": kinds.get(name, "judge")}
                for name in dict.fromkeys(s.system for each in by_benchmark.values() for s in each)
            },
        },
        samples={
            name: list(max(systems, key=lambda s: _is_of_items(s, kinds) * len(s)).ids)
            for name, systems in by_benchmark.items()
        },
        figures=tuple(found),
        differences=tuple(tested),
        overall=tuple(overall),
        notes=tuple(told),
    )


def _is_of_items(scored: Scored, kinds: Mapping[str, SystemKind]) -> bool:
    return kinds.get(scored.system, "judge") != "people"


def _described(labelled: LabelledSet, exposure: Exposure | None) -> dict[str, Any]:
    return {
        "title": labelled.title,
        "kind": labelled.kind,
        "family": labelled.family,
        "metrics": list(labelled.metrics),
        "labels_by": labelled.labels_by,
        "licence": labelled.licence,
        "use": labelled.use,
        "exposure": exposure,
        "languages": list(labelled.languages),
        "note": labelled.note,
    }


def _tested(
    tests: Sequence[PairedTest], others: Sequence[Difference], n_permutations: int
) -> list[Difference]:
    """With p, and Holm's p over all tests of the table.

    With n permutations no p is below 1 / (n + 1), and Holm multiplies the smallest by the number
    of tests: where hardly a swap was as large, more are tried, as many as it may take.
    """
    enough = min(_PER_TEST * len(tests), _MOST_PERMUTATIONS)
    done = []
    for test in tests:
        if test.p is None:
            done.append(test.difference)
            continue
        try:
            p = test.p(n_permutations)
            if p <= _RARE / n_permutations and enough > n_permutations:
                p = test.p(enough)
        except Degenerate:
            done.append(test.difference)
            continue
        done.append(test.difference.model_copy(update={"p": p}))
    done += others
    tested = [n for n, d in enumerate(done) if d.p is not None]
    adjusted = dict(zip(tested, holm([done[n].p or 0.0 for n in tested]), strict=True))
    return [
        d.model_copy(update={"p_adjusted": float(adjusted[n])}) if n in adjusted else d
        for n, d in enumerate(done)
    ]


def _groups(
    benchmarks: Iterable[str], exposures: Mapping[str, Exposure]
) -> dict[str, Sequence[str]]:
    """Return all benchmarks, and groups with the same training exposure of a judge."""
    names = list(benchmarks)
    alike = {e: [name for name in names if exposures.get(name) == e] for e in EXPOSURES}
    return {"": names, **{exposure: own for exposure, own in alike.items() if own}}


def _aggregates(
    system: str, shares: Mapping[str, Share], groups: Mapping[str, Sequence[str]]
) -> Iterable[Figure]:
    """Themis' metric aggregation (arXiv 2502.02988): the mean of shares over each group."""
    for part, names in groups.items():
        own = [shares[name] for name in names if name in shares]
        if own:
            n, judged = sum(share.n for share in own), sum(share.judged for share in own)
            yield Figure(
                benchmark=ALL, part=part, system=system, metric="aggregate",
                n=n, asked=n, judged=judged, **_mean(own),
            )  # fmt: skip


def _overall(
    pair: tuple[str, str], gaps: Mapping[str, Share], groups: Mapping[str, Sequence[str]]
) -> Iterable[Difference]:
    """One system less another over each group, on the benchmarks that both saw."""
    a, b = pair
    for part, names in groups.items():
        own = [gaps[name] for name in names if name in gaps]
        if own:
            n = sum(gap.n for gap in own)
            yield Difference(
                benchmark=ALL, part=part, a=a, b=b, metric="aggregate", n=n, **_mean(own)
            )


def _coverages(
    by_benchmark: Mapping[str, Sequence[Scored]],
    groups: Mapping[str, Sequence[str]],
    kinds: Mapping[str, SystemKind],
) -> Iterable[Figure]:
    """The share of all items that each judge could judge."""
    for part, names in groups.items():
        by_system: dict[str, list[Scored]] = defaultdict(list)
        for scored in (s for name in names for s in by_benchmark[name] if len(s)):
            if kinds.get(scored.system, "judge") == "judge":
                by_system[scored.system].append(scored)
        for system, every in by_system.items():
            judged = np.concatenate([scored.judged for scored in every])
            first = np.cumsum([0, *(scored.cluster.max() + 1 for scored in every)])
            cluster = np.concatenate([s.cluster + at for s, at in zip(every, first, strict=False)])
            yield Figure.of(
                clustered_share(judged, cluster), benchmark=ALL, part=part, system=system,
                metric="coverage", asked=len(judged), judged=int(judged.sum()),
            )  # fmt: skip


def _mean(shares: Sequence[Share]) -> dict[str, Any]:
    """Value, interval and method of a mean over benchmarks."""
    mean = sum(share.value for share in shares) / len(shares)
    # Benchmarks are independent samples; the interval of their mean follows from their own
    # intervals (Zou & Donner 2008, MOVER).
    below = math.sqrt(sum((s.value - s.low) ** 2 for s in shares)) / len(shares)
    above = math.sqrt(sum((s.high - s.value) ** 2 for s in shares)) / len(shares)
    spread = below + above > 0
    method = f"mean over {len(shares)} benchmarks, random = 0 and perfect = 1; interval by MOVER"
    if points := sum(share.low == share.high for share in shares):
        method += f", {points} of them without interval"
    return {
        "value": mean,
        "low": mean - below if spread else None,
        "high": mean + above if spread else None,
        "method": method,
    }
