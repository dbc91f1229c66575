"""Figures of checks over outcomes that are at hand, and the assertion for tests.

`mean_score` is over what was judged; look at `coverage` or `failed` beside it. `pass_rate` is over
what was asked: a failed judgment did not pass. `coverage`, `pass_rate` and `flip_rate` have
Wilson's interval; `failed` is a plain count of this run and has none. Samples are taken as
independent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from glider.core.criteria import Rubric
from glider.core.errors import SetupError, UnknownName
from glider.core.judgments import Comparison, Failure, Judgment
from glider.gate.checks import Answer, Check, Measured, Shown, parse_checks
from glider.report.figures_html import brief
from glider.report.summary import Tally, failure_of
from glider.stats.estimates import Estimate, Undefined, mean, proportion

Outcome = Judgment | Failure | Comparison
METRICS = ("mean_score", "pass_rate", "coverage", "failed", "flip_rate")
N_SHOWN = 3
"""Samples shown with a check that does not hold."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One outcome, as much of it as figures need."""

    sample_id: str
    score: int | None
    """None where there is none: it failed, or it is a comparison."""
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

    def add(self, outcome: Outcome) -> None:
        """Take one in."""
        self.tally.add(outcome)
        failure = failure_of(outcome)
        said = failure.message if failure is not None else ""
        if isinstance(outcome, Judgment):
            said = outcome.reasoning or ""
            if outcome.score_probs:
                self.scale = min(outcome.score_probs), max(outcome.score_probs)
        score = outcome.score if isinstance(outcome, Judgment) else None
        self.entries.append(Entry(outcome.sample_id, score, brief(said)))


class OutcomeFigures:
    """Figures over outcomes, by criterion."""

    def __init__(
        self, outcomes: Iterable[Outcome], rubrics: Mapping[str, Rubric] | None = None
    ) -> None:
        """Count every outcome, once through; `rubrics` by criterion name, where known."""
        self.by_criterion: dict[str, Gathered] = {}
        for outcome in outcomes:
            self.by_criterion.setdefault(outcome.criterion, Gathered()).add(outcome)
        for name, rubric in (rubrics or {}).items():
            if name in self.by_criterion:
                self.by_criterion[name].scale = rubric.low, rubric.high

    def measure(self, check: Check) -> Measured:
        """The figure a check asks for.

        Raises:
            SetupError: no such metric or criterion, or which criterion is meant is not said.
        """
        if check.op == "no worse than":
            raise SetupError(f"{check.text!r} needs a run to compare with", hint="--baseline RUN")
        if check.metric not in METRICS:
            raise UnknownName("metric of a run", check.metric, METRICS)
        if check.metric in ("coverage", "failed") and not check.of:
            return _of_all([each.tally for each in self.by_criterion.values()], check.metric)
        gathered = self.by_criterion.get(self.named(check.of), Gathered())
        figure = _figure(gathered, check)
        failed, asked = gathered.tally.reasons.counts.total(), gathered.tally.asked
        notes: tuple[str, ...] = ()
        if failed and check.metric in ("mean_score", "flip_rate"):
            notes = (f"{failed} of {asked} were not judged and are not in this figure.",)
        return Measured(figure=figure, worst=_lowest(gathered, check), notes=notes)

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


def _of_all(tallies: Sequence[Tally], metric: str) -> Measured:
    asked = sum(tally.asked for tally in tallies)
    failed = sum(tally.reasons.counts.total() for tally in tallies)
    return Measured(
        figure=share_judged(asked, failed) if metric == "coverage" else count(failed, asked)
    )


def _figure(gathered: Gathered, check: Check) -> Estimate | Undefined:
    tally = gathered.tally
    failed = tally.reasons.counts.total()
    match check.metric:
        case "coverage":
            return share_judged(tally.asked, failed)
        case "failed":
            return count(failed, tally.asked)
        case "flip_rate":
            if not tally.both_orders:
                return Undefined("no pair was judged in both orders", 0, failed)
            return proportion(tally.flipped, tally.both_orders, skipped=failed)
    if tally.wins and not tally.scores:
        return Undefined("pairs have no score; ask for flip_rate", tally.asked, failed)
    if check.metric == "pass_rate":
        assert check.level is not None
        passed = sum(n for score, n in tally.scores.items() if score >= check.level)
        return proportion(passed, tally.asked)
    counts = {float(score): n for score, n in tally.scores.items()}
    return mean_on_scale(counts, gathered.scale, skipped=failed)


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


def share_judged(asked: int, failed: int) -> Estimate | Undefined:
    """Coverage."""
    return proportion(asked - failed, asked, skipped=failed)


def count(failed: int, asked: int) -> Estimate | Undefined:
    """How many failed: a count of what happened, so its interval is the point."""
    if not asked:
        return Undefined("nothing was asked", 0, 0)
    return Estimate(failed, failed, failed, asked, failed, "count")


def mean_on_scale(
    counts: Mapping[float, int], scale: tuple[float, float] | None, *, skipped: int = 0
) -> Estimate | Undefined:
    """Mean with Student's t interval; where all values are alike, with what the scale allows.

    If n values are all c, the share that is not c is below q = 1 - 0.025^(1/n) with 97.5 %
    confidence (or chance would have shown one), so the mean lies within q of the way from c to the
    ends of the scale. Without a known scale nothing can be said.
    """
    figure = mean(counts, skipped=skipped, scale=scale or ())
    values = [value for value, n in counts.items() if n]
    if isinstance(figure, Estimate) or len(values) != 1 or figure.n < 2 or scale is None:
        return figure
    (value,), n = values, figure.n
    odd = 1 - 0.025 ** (1 / n)
    # Rows may bring their own rubric: a score beyond the known scale widens it.
    low = value - odd * (value - min(scale[0], value))
    high = value + odd * (max(scale[1], value) - value)
    return Estimate(value, low, high, n, skipped, "all alike; exact on the scale, 95 %")


def assert_gate(outcomes: Iterable[Outcome], *checks: str) -> list[Answer]:
    """Assert that checks hold over outcomes, by the whole interval.

    Args:
        checks: such as `mean_score >= 3.5`; the criterion's name only where there are several.

    Raises:
        AssertionError: one does not hold: with estimate, interval, n and the lowest samples.
        SetupError: a check cannot be read.
    """
    figures = OutcomeFigures(outcomes)
    answers = [Answer(check=c, measured=figures.measure(c)) for c in parse_checks(checks)]
    lost = [answer for answer in answers if not answer.passes()]
    if lost:
        from glider.gate.render import explained

        raise AssertionError("\n".join(explained(answer) for answer in lost))
    return answers
