"""Figures of checks over outcomes in memory, and the assertion for tests.

`mean_score` is over what was judged; look at `coverage` or `failed` beside it.
`normalized_mean` is the same with each score in 0..1 of its own rubric. `pass_rate` is over
what was asked: a failed judgment did not pass. `failed` is a plain count of this run and has no
interval. The others are those of `report/summary.py`, as the terminal and the report show them.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from glider.core.criteria import Criterion
from glider.core.errors import SetupError, UnknownName
from glider.core.judgments import Comparison, Failure, Judgment
from glider.data.clusters import Clusters
from glider.gate.checks import Answer, Check, CheckFigure, Shown, parse_checks
from glider.pages.words import brief
from glider.report.summary import Tallies, Tally, failure_of
from glider.stats.estimates import Estimate, Undefined

Outcome = Judgment | Failure | Comparison
METRICS = ("mean_score", "normalized_mean", "pass_rate", "coverage", "failed", "flip_rate")
N_SHOWN = 3
"""Samples shown with a check that does not hold."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One outcome, as much of it as figures need."""

    row: int
    sample_id: str
    score: int | None
    """None where there is none: it failed, or it is a comparison."""
    normalized: float | None
    """The score in 0..1 of its rubric."""
    judged: bool
    said: str

    def shown(self, score: str = "") -> Shown:
        """For a person to look at."""
        lost = "failed" if self.score is None else str(self.score)
        return Shown(self.sample_id, score or lost, self.said)


@dataclass
class CriterionOutcomes:
    """The outcomes under one criterion's name."""

    tally: Tally = field(default_factory=Tally)
    entries: list[Entry] = field(default_factory=list)

    def add(self, row: int, outcome: Outcome, criterion: Criterion | None) -> None:
        """Take one in."""
        self.tally.add(outcome, row, criterion)
        failure = failure_of(outcome)
        said = failure.message if failure is not None else ""
        if isinstance(outcome, Judgment):
            said = outcome.reasoning or ""
        score, normalized = None, None
        if isinstance(outcome, Judgment):
            score, normalized = outcome.score, outcome.normalized
        self.entries.append(
            Entry(row, outcome.sample_id, score, normalized, failure is None, brief(said))
        )


class OutcomeFigures:
    """Figures over outcomes, by criterion."""

    def __init__(
        self,
        outcomes: Iterable[tuple[int, Outcome]],
        criterion_of: Callable[[int, Outcome], Criterion | None] = lambda row, outcome: None,
        clusters: Clusters | None = None,
    ) -> None:
        """Count every outcome, once through.

        Args:
            outcomes: each with its row.
            criterion_of: what was asked of a row, where known.
            clusters: which rows are not independent; all are if not given.
        """
        self.clusters = clusters or Clusters()
        self.tallies = Tallies()
        self.by_criterion: dict[str, CriterionOutcomes] = {}
        for row, outcome in outcomes:
            found = self.by_criterion.setdefault(outcome.criterion, CriterionOutcomes())
            found.add(row, outcome, criterion_of(row, outcome))
        for name, found in self.by_criterion.items():
            self.tallies.include(name, found.tally)

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
        names: dict[Hashable, int] = {}
        keys = {row: names.setdefault(cluster, len(names)) for row, cluster in enumerate(clusters)}
        return cls(enumerate(outcomes), clusters=Clusters(keys, "cluster as given"))

    def measure(self, check: Check) -> CheckFigure:
        """The figure a check asks for.

        Raises:
            SetupError: no such metric or criterion, or which criterion is meant is not said.
        """
        if check.op == "no worse than":
            raise SetupError(f"{check.text!r} needs a baseline run", hint="--baseline RUN")
        if check.metric not in METRICS:
            raise UnknownName("metric of a run", check.metric, METRICS)
        if check.metric in ("coverage", "failed") and not check.of:
            every = [row for found in self.by_criterion.values() for row in found.tally.rows]
            failed, asked = self.tallies.reasons.counts.total(), len(every)
            if check.metric == "failed":
                return CheckFigure(figure=count(failed, asked))
            return self.with_notes(self.tallies.coverage(self.clusters), every)
        found = self.by_criterion.get(self.named(check.of), CriterionOutcomes())
        tally, worst = found.tally, _lowest(found, check)
        notes: tuple[str, ...] = ()
        if tally.failed and check.metric not in ("coverage", "failed", "pass_rate"):
            notes = (
                f"{tally.failed} of {tally.asked} were not judged and are left out of this figure.",
            )
        rows: Sequence[int] = tally.rows
        figure: Estimate | Undefined
        match check.metric:
            case "failed":
                return CheckFigure(figure=count(tally.failed, tally.asked), worst=worst)
            case "coverage":
                figure = tally.coverage(self.clusters)
            case "flip_rate":
                figure, rows = tally.flip_rate(self.clusters), tally.flip_rows
            case "pass_rate":
                figure = tally.pass_rate(check.level or 0, self.clusters)
            case "normalized_mean":
                figure, rows = tally.normalized_mean(self.clusters), tally.score_rows
            case _:
                figure, rows = tally.mean_score(self.clusters), tally.score_rows
        if tally.wins and not tally.scores and check.metric in ("pass_rate", "normalized_mean"):
            figure = tally.mean_score(self.clusters)  # says that pairs have no score
        measured = self.with_notes(figure, rows)
        return replace(measured, worst=worst, notes=(*notes, *measured.notes))

    def with_notes(self, figure: Estimate | Undefined, rows: Sequence[int]) -> CheckFigure:
        """A figure over outcomes of these rows, with what to know of their clusters."""
        notes = [self.clusters.note] if self.clusters.note else []
        n_clusters = len(set(self.clusters.codes(rows)))
        if n_clusters < len(rows):
            by = self.clusters.asked or "input and context"
            notes.append(
                f"{len(rows):,} outcomes in {n_clusters:,} clusters (the same row, or the same "
                f"{by}): the interval counts those."
            )
        return CheckFigure(figure=figure, notes=tuple(notes))

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


def _lowest(found: CriterionOutcomes, check: Check) -> tuple[Shown, ...]:
    """The samples that pull a figure down, failures first where they count."""
    if check.metric in ("mean_score", "normalized_mean"):
        entries = [e for e in found.entries if e.score is not None]
    elif check.metric == "pass_rate":
        entries = [e for e in found.entries if e.score is None or e.score < (check.level or 0)]
    elif check.metric in ("coverage", "failed"):
        entries = [e for e in found.entries if e.score is None and e.said]
    else:
        return ()
    by = "normalized" if check.metric == "normalized_mean" else "score"
    entries.sort(key=lambda e: (e.score is not None, getattr(e, by)))
    return tuple(entry.shown() for entry in entries[:N_SHOWN])


def count(failed: int, asked: int) -> Estimate | Undefined:
    """How many failed: a count of what happened, so its interval is the point."""
    if not asked:
        return Undefined("nothing was asked", 0, 0)
    return Estimate(failed, failed, failed, asked, failed, "count")


def assert_gate(
    outcomes: Iterable[Outcome], *checks: str, clusters: Sequence[Hashable] | None = None
) -> list[Answer]:
    """Assert that checks hold over outcomes, by their whole interval.

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
