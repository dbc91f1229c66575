"""The figures of a run, from its journal alone: one pass, memory for the counts only."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from glider.core.judgments import Comparison, Failure, Judgment, Usage
from glider.stats.estimates import Estimate, Undefined, mean, proportion
from glider.store.run import outcomes


@dataclass
class _Tally:
    asked: int = 0
    counts: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """The first message of each kind of failure."""
    matches: Counter[str] = field(default_factory=Counter)
    wins: Counter[str] = field(default_factory=Counter)
    both_orders: int = 0
    flipped: int = 0


class Tallies:
    """Counts outcomes as they come."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.n_failed = 0
        self.n = 0
        self._by_criterion: dict[str, _Tally] = {}

    def add(self, outcome: Judgment | Failure | Comparison) -> None:
        """Count one outcome."""
        tally = self._by_criterion.setdefault(outcome.criterion, _Tally())
        tally.asked += 1
        self.n += 1
        if isinstance(outcome, Failure):
            self._add_failure(tally, outcome)
        elif isinstance(outcome, Judgment):
            tally.counts[outcome.score] += 1
            tally.matches.update(h.match for h in outcome.highlights)
            self.usage = self.usage + outcome.usage
        else:
            self._add_comparison(tally, outcome)

    def _add_failure(self, tally: _Tally, failure: Failure) -> None:
        code = f"{failure.stage}/{failure.code}"
        tally.failures[code] += 1
        tally.examples.setdefault(code, failure.message)
        self.n_failed += 1

    def _add_comparison(self, tally: _Tally, outcome: Comparison) -> None:
        for order in outcome.orders:
            if isinstance(order, Judgment):
                self.usage = self.usage + order.usage
                tally.matches.update(h.match for h in order.highlights)
        if outcome.p_first is None:
            first = outcome.orders[0]
            assert isinstance(first, Failure)
            self._add_failure(tally, first)
            return
        tally.wins[outcome.preferred or "tie"] += 1
        if outcome.flipped is not None:
            tally.both_orders += 1
            tally.flipped += outcome.flipped

    def summary(self) -> dict[str, Any]:
        """Plain data: per criterion, and the totals."""
        return {
            "asked": self.n,
            "judged": self.n - self.n_failed,
            "failed": self.n_failed,
            "coverage": _plain(proportion(self.n - self.n_failed, self.n)),
            "usage": self.usage.model_dump(),
            "criteria": {name: _row(t) for name, t in sorted(self._by_criterion.items())},
        }


def summarise(run: Path) -> dict[str, Any]:
    """The figures of the run in `run`, made anew from its journal."""
    tallies = Tallies()
    for _, outcome in outcomes(run):
        tallies.add(outcome)
    return tallies.summary()


def _row(tally: _Tally) -> dict[str, Any]:
    failed = sum(tally.failures.values())
    row: dict[str, Any] = {
        "asked": tally.asked,
        "judged": tally.asked - failed,
        "failed": failed,
        "failures": dict(tally.failures.most_common()),
        "examples": tally.examples,
        "highlights": dict(tally.matches.most_common()),
    }
    if tally.wins:
        row["wins"] = dict(tally.wins.most_common())
        row["flip_rate"] = _plain(proportion(tally.flipped, tally.both_orders))
    else:
        figure = mean({float(score): n for score, n in tally.counts.items()}, skipped=failed)
        row["counts"] = {str(score): n for score, n in sorted(tally.counts.items())}
        row["mean_score"] = _plain(figure)
        if isinstance(figure, Estimate):
            row |= {"mean": figure.value, "low": figure.low, "high": figure.high}
    return row


def _plain(figure: Estimate | Undefined) -> dict[str, Any]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(figure).items()}
