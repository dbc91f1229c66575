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
from glider.gate.checks import Check, CheckedFigure, CheckFigure, Shown, parse_checks
from glider.pages.words import brief
from glider.report.summary import Tallies, Tally, failure_of
from glider.stats.estimates import Estimate, Undefined

Outcome = Judgment | Failure | Comparison
METRICS = ("mean_score", "normalized_mean", "pass_rate", "coverage", "failed", "flip_rate")
N_SHOWN = 3
"""Samples shown with a check that does not hold."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The parts of one outcome that figures need."""

    row: int
    sample_id: str
    score: int | None
    """None for a failure or a comparison."""
    normalized: float | None
    """The score in 0..1 of its rubric."""
    judged: bool
    said: str

    def shown(self, score: str = "") -> Shown:
        """Return the outcome as a sample to show."""
        lost = "failed" if self.score is None else str(self.score)
        return Shown(self.sample_id, score or lost, self.said)


@dataclass
class CriterionOutcomes:
    """The outcomes of one criterion, by its name."""

    tally: Tally = field(default_factory=Tally)
    entries: list[Entry] = field(default_factory=list)

    def add(self, row: int, outcome: Outcome, criterion: Criterion | None) -> None:
        """Add one outcome."""
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
        """Count every outcome in a single pass.

        Args:
            outcomes: each with its row.
            criterion_of: the criterion of each row, where known.
            clusters: which rows are not independent; by default all are.
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
        """Build from outcomes without a run, independent unless they come with clusters.

        Raises:
            SetupError: the numbers of clusters and outcomes differ.
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
        """Compute the figure of a check.

        Raises:
            SetupError: no such metric or criterion, or the criterion is ambiguous.
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
            figure = tally.mean_score(self.clusters)  # undefined, since pairs have no score
        measured = self.with_notes(figure, rows)
        return replace(measured, worst=worst, notes=(*notes, *measured.notes))

    def with_notes(self, figure: Estimate | Undefined, rows: Sequence[int]) -> CheckFigure:
        """Attach notes on the clusters to a figure over outcomes of these rows."""
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
        """Return the criterion's name; empty if there are no criteria at all.

        Raises:
            SetupError: no such criterion, or several and no name.
        """
        # Rows that failed to load may have no criterion.
        names = [n for n in self.by_criterion if n]
        if name and name not in names:
            raise UnknownName("criterion", name, names)
        if not name and len(names) > 1:
            raise SetupError(
                "which criterion is meant?", hint=f"METRIC:NAME with one of {', '.join(names)}"
            )
        return name or (names[0] if names else "")


def _lowest(found: CriterionOutcomes, check: Check) -> tuple[Shown, ...]:
    """Return the samples that lower a figure, failures first where they count."""
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
    """Return the number of failures: a count of this run, so its interval is a point."""
    if not asked:
        return Undefined("nothing was asked", 0, 0)
    return Estimate(failed, failed, failed, asked, failed, "count")


def assert_gate(
    outcomes: Iterable[Outcome], *checks: str, clusters: Sequence[Hashable] | None = None
) -> list[CheckedFigure]:
    """Assert that checks hold over outcomes, by their whole interval.

    Args:
        checks: such as `mean_score >= 3.5`; a criterion's name is needed only if there are several.
        clusters: one for each outcome, equal where outcomes share a prompt or a document; by
            default all outcomes are independent.

    Raises:
        AssertionError: a check does not hold; gives estimate, interval, n and the lowest samples.
        SetupError: invalid syntax, or the numbers of clusters and outcomes differ.
    """
    figures = OutcomeFigures.at_hand(outcomes, clusters)
    answers = [CheckedFigure(check=c, measured=figures.measure(c)) for c in parse_checks(checks)]
    lost = [answer for answer in answers if not answer.passes()]
    if lost:
        from glider.gate.render import explained

        raise AssertionError("\n".join(explained(answer) for answer in lost))
    return answers
