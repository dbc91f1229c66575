"""Figures of checks over outcomes that are at hand, and the assertion for tests.

`mean_score` is over what was judged; look at `coverage` or `failed` beside it. `pass_rate` is over
what was asked: a failed judgment did not pass. `failed` is a plain count of this run and has no
interval. Where outcomes share clusters the others have the clustered intervals of
`stats/clustered.py`; else Student's t for a mean, and Wilson's for shares.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Self

from glider.core.criteria import Rubric
from glider.core.errors import MissingExtra, SetupError, UnknownName
from glider.core.judgments import Comparison, Failure, Judgment
from glider.data.clusters import Clusters
from glider.gate.checks import Answer, Check, Measured, Shown, parse_checks
from glider.pages.words import brief
from glider.report.summary import Tally, failure_of
from glider.stats.estimates import Estimate, Undefined, mean, proportion

Outcome = Judgment | Failure | Comparison
METRICS = ("mean_score", "pass_rate", "coverage", "failed", "flip_rate")
N_SHOWN = 3
"""Samples shown with a check that does not hold."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One outcome, as much of it as figures need."""

    row: int
    sample_id: str
    score: int | None
    """None where there is none: it failed, or it is a comparison."""
    judged: bool
    flipped: bool | None
    """None unless it is a pair that was judged in both orders."""
    said: str

    def shown(self, score: str = "") -> Shown:
        """For a person to look at."""
        lost = "failed" if self.score is None else str(self.score)
        return Shown(self.sample_id, score or lost, self.said)


@dataclass
class Gathered:
    """The outcomes of one criterion."""

    tally: Tally = field(default_factory=Tally)
    entries: list[Entry] = field(default_factory=list)
    scale: tuple[int, int] | None = None
    """Lowest and highest level, where known."""

    def add(self, row: int, outcome: Outcome) -> None:
        """Take one in."""
        self.tally.add(outcome)
        failure = failure_of(outcome)
        said = failure.message if failure is not None else ""
        if isinstance(outcome, Judgment):
            said = outcome.reasoning or ""
            if outcome.score_probs:
                self.scale = min(outcome.score_probs), max(outcome.score_probs)
        score = outcome.score if isinstance(outcome, Judgment) else None
        flipped = outcome.flipped if isinstance(outcome, Comparison) else None
        self.entries.append(
            Entry(row, outcome.sample_id, score, failure is None, flipped, brief(said))
        )


class OutcomeFigures:
    """Figures over outcomes, by criterion."""

    def __init__(
        self,
        outcomes: Iterable[tuple[int, Outcome]],
        rubrics: Mapping[str, Rubric] | None = None,
        clusters: Clusters | None = None,
    ) -> None:
        """Count every outcome, once through.

        Args:
            outcomes: each with its row.
            rubrics: by criterion name, where known.
            clusters: which rows are not independent; all are if not given.
        """
        self.clusters = clusters or Clusters()
        self.by_criterion: dict[str, Gathered] = {}
        for row, outcome in outcomes:
            self.by_criterion.setdefault(outcome.criterion, Gathered()).add(row, outcome)
        for name, rubric in (rubrics or {}).items():
            if name in self.by_criterion:
                self.by_criterion[name].scale = rubric.low, rubric.high

    @classmethod
    def at_hand(
        cls, outcomes: Iterable[Outcome], clusters: Sequence[Hashable] | None = None
    ) -> Self:
        """Of outcomes without a run, independent unless they come with clusters.

        Raises:
            SetupError: not as many clusters as outcomes.
        """
        if clusters is None:
            return cls(enumerate(outcomes))
        outcomes = list(outcomes)
        if len(outcomes) != len(clusters):
            raise SetupError(f"{len(clusters)} clusters for {len(outcomes)} outcomes")
        keys = {row: repr(cluster) for row, cluster in enumerate(clusters)}
        return cls(enumerate(outcomes), clusters=Clusters(keys, "cluster as given"))

    def measure(self, check: Check) -> Measured:
        """The figure a check asks for.

        Raises:
            SetupError: no such metric or criterion, or which criterion is meant is not said.
            MissingExtra: clusters, and the statistics for them are not installed.
        """
        if check.op == "no worse than":
            raise SetupError(f"{check.text!r} needs a run to compare with", hint="--baseline RUN")
        if check.metric not in METRICS:
            raise UnknownName("metric of a run", check.metric, METRICS)
        if check.metric in ("coverage", "failed") and not check.of:
            every = [e for gathered in self.by_criterion.values() for e in gathered.entries]
            return self._judged(every, check.metric)
        gathered = self.by_criterion.get(self.named(check.of), Gathered())
        worst = _lowest(gathered, check)
        if check.metric in ("coverage", "failed"):
            return replace(self._judged(gathered.entries, check.metric), worst=worst)
        failed, asked = gathered.tally.reasons.counts.total(), gathered.tally.asked
        notes: tuple[str, ...] = ()
        if failed and check.metric in ("mean_score", "flip_rate"):
            notes = (f"{failed} of {asked} were not judged and are not in this figure.",)
        found = self._figure(gathered, check, failed)
        return replace(found, worst=worst, notes=(*notes, *found.notes))

    def _judged(self, entries: Sequence[Entry], metric: str) -> Measured:
        judged = [entry.judged for entry in entries]
        failed = judged.count(False)
        if metric == "failed":
            return Measured(figure=count(failed, len(judged)))
        return self.over(entries, lambda clusters: share(judged, clusters, skipped=failed))

    def _figure(self, gathered: Gathered, check: Check, failed: int) -> Measured:
        entries = gathered.entries
        if check.metric == "flip_rate":
            both = [entry for entry in entries if entry.flipped is not None]
            if not both:
                nothing = Undefined("no pair was judged in both orders", 0, failed)
                return Measured(figure=nothing)
            flips = [bool(entry.flipped) for entry in both]
            return self.over(both, lambda clusters: share(flips, clusters, skipped=failed))
        tally = gathered.tally
        if tally.wins and not tally.scores:
            pairs = Undefined("pairs have no score; ask for flip_rate", tally.asked, failed)
            return Measured(figure=pairs)
        if check.level is not None:
            level = check.level
            passed = [entry.score is not None and entry.score >= level for entry in entries]
            return self.over(entries, lambda clusters: share(passed, clusters))
        scored = [entry for entry in entries if entry.score is not None]
        scores = [float(entry.score) for entry in scored if entry.score is not None]
        return self.over(
            scored,
            lambda clusters: mean_on_scale(scores, gathered.scale, clusters, skipped=failed),
        )

    def over(
        self, entries: Sequence[Entry], figure: Callable[[Sequence[int]], Estimate | Undefined]
    ) -> Measured:
        """A figure over entries, which is told their clusters; how many there are is noted.

        Raises:
            SetupError: no sample has the field or column that makes the clusters.
            MissingExtra: clusters, and the statistics for them are not installed.
        """
        clusters, told = self.clusters.codes([entry.row for entry in entries])
        notes = [told] if told else []
        n_clusters = len(set(clusters))
        if n_clusters < len(entries):
            by = self.clusters.asked or "input and context"
            notes.append(
                f"{len(entries):,} outcomes in {n_clusters:,} clusters (the same row, or the same "
                f"{by}): the interval counts those."
            )
        return Measured(figure=figure(clusters), notes=tuple(notes))

    def named(self, name: str) -> str:
        """The criterion that is meant; empty where nothing was asked at all.

        Raises:
            SetupError: no such criterion, or several and no name.
        """
        # Rows that could not be loaded may have no criterion.
        names = [n for n in self.by_criterion if n]
        if name and name not in names:
            raise UnknownName("criterion", name, names)
        if not name and len(names) > 1:
            raise SetupError(
                "which criterion is meant?", hint=f"METRIC:NAME with one of {', '.join(names)}"
            )
        return name or (names[0] if names else "")


def _lowest(gathered: Gathered, check: Check) -> tuple[Shown, ...]:
    """The samples that pull a figure down, failures first where they count."""
    if check.metric == "mean_score":
        entries = [e for e in gathered.entries if e.score is not None]
    elif check.metric == "pass_rate":
        entries = [e for e in gathered.entries if e.score is None or e.score < (check.level or 0)]
    elif check.metric in ("coverage", "failed"):
        entries = [e for e in gathered.entries if e.score is None and e.said]
    else:
        return ()
    entries.sort(key=lambda e: (e.score is not None, e.score))
    return tuple(entry.shown() for entry in entries[:N_SHOWN])


def share(
    hits: Sequence[bool], clusters: Sequence[int], *, skipped: int = 0
) -> Estimate | Undefined:
    """Share of hits: Wilson's interval, or Korn and Graubard's where items share clusters.

    Raises:
        MissingExtra: clusters, and the statistics for them are not installed.
    """
    if len(set(clusters)) == len(hits):
        return proportion(sum(hits), len(hits), skipped=skipped)
    _need_statistics()
    import numpy as np

    from glider.stats.clustered import clustered_share

    return clustered_share(np.array(hits, np.bool_), np.array(clusters), skipped=skipped)


def count(failed: int, asked: int) -> Estimate | Undefined:
    """How many failed: a count of what happened, so its interval is the point."""
    if not asked:
        return Undefined("nothing was asked", 0, 0)
    return Estimate(failed, failed, failed, asked, failed, "count")


def mean_on_scale(
    values: Sequence[float],
    scale: tuple[float, float] | None,
    clusters: Sequence[int],
    *,
    skipped: int = 0,
) -> Estimate | Undefined:
    """Mean with Student's t interval; where all values are alike, with what the scale allows.

    If n clusters are all c, the share that is not c is below q = 1 - 0.025^(1/n) with 97.5 %
    confidence (or chance would have shown one), so the mean lies within q of the way from c to the
    ends of the scale. Without a known scale nothing can be said.

    Raises:
        MissingExtra: clusters, and the statistics for them are not installed.
    """
    n, n_clusters = len(values), len(set(clusters))
    if len(set(values)) == 1 and n_clusters > 1 and scale is not None:
        value, odd = values[0], 1 - 0.025 ** (1 / n_clusters)
        # Rows may bring their own rubric: a score beyond the known scale widens it.
        low = value - odd * (value - min(scale[0], value))
        high = value + odd * (max(scale[1], value) - value)
        method = "all alike; exact on the scale, 95 %"
        if n_clusters < n:
            method = f"all alike; exact on the scale over {n_clusters} clusters, 95 %"
        return Estimate(value, low, high, n, skipped, method)
    if n_clusters == n:
        return mean(Counter(values), skipped=skipped, scale=scale or ())
    _need_statistics()
    import numpy as np

    from glider.stats.clustered import clustered_mean

    low, high = scale or (-math.inf, math.inf)
    ends = {"low": min(low, *values), "high": max(high, *values)}
    return clustered_mean(np.array(values), np.array(clusters), skipped=skipped, **ends)


def _need_statistics() -> None:
    if find_spec("scipy") is None:
        raise MissingExtra("an interval over rows that share an input", "bench")


def assert_gate(
    outcomes: Iterable[Outcome], *checks: str, clusters: Sequence[Hashable] | None = None
) -> list[Answer]:
    """Assert that checks hold over outcomes, by the whole interval.

    Args:
        checks: such as `mean_score >= 3.5`; the criterion's name only where there are several.
        clusters: one for each outcome, equal where outcomes share a prompt or a document; all
            outcomes are taken as independent if not given.

    Raises:
        AssertionError: one does not hold: with estimate, interval, n and the lowest samples.
        SetupError: a check cannot be read, or not as many clusters as outcomes.
    """
    figures = OutcomeFigures.at_hand(outcomes, clusters)
    answers = [Answer(check=c, measured=figures.measure(c)) for c in parse_checks(checks)]
    lost = [answer for answer in answers if not answer.passes()]
    if lost:
        from glider.gate.render import explained

        raise AssertionError("\n".join(explained(answer) for answer in lost))
    return answers
