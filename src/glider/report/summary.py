"""The figures of a run: whatever is counted over its outcomes is counted here, and only here.

One pass, memory for the counts only. `summary.json` and the terminal show `Tallies.summary()`; the
page adds what it draws of the tallies themselves.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from glider.core.errors import RunError
from glider.core.judgments import Comparison, Failure, Judgment, Usage
from glider.stats.estimates import Estimate, Undefined, mean, proportion
from glider.store.run import outcomes


@dataclass
class Reasons:
    """Why judgments could not be made."""

    counts: Counter[str] = field(default_factory=Counter)
    """`stage/code` to how many."""
    examples: dict[str, str] = field(default_factory=dict)
    """`stage/code` to the first message."""

    def add(self, failure: Failure) -> None:
        """Count one failure."""
        code = f"{failure.stage}/{failure.code}"
        self.counts[code] += 1
        self.examples.setdefault(code, failure.message)


@dataclass
class Tally:
    """Counts of one criterion's outcomes."""

    asked: int = 0
    scores: Counter[int] = field(default_factory=Counter)
    levels: set[int] = field(default_factory=set)
    """Scores that could have been given, as far as the judgments tell."""
    reasons: Reasons = field(default_factory=Reasons)
    matches: Counter[str] = field(default_factory=Counter)
    """Highlights by how they were found: `exact`, `folded`, `unplaced`."""
    wins: Counter[str] = field(default_factory=Counter)
    """Comparisons by the name of the better output, or `tie`."""
    places: Counter[str] = field(default_factory=Counter)
    """The same by its place: `first`, `second` or `tie`."""
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Names of the compared outputs to how often."""
    both_orders: int = 0
    flipped: int = 0

    def add(self, outcome: Judgment | Failure | Comparison) -> None:
        """Count one outcome."""
        self.asked += 1
        for judgment in judgments_of(outcome):
            self.matches.update(h.match for h in judgment.highlights)
        failure = failure_of(outcome)
        if failure is not None:
            self.reasons.add(failure)
        elif isinstance(outcome, Judgment):
            self.scores[outcome.score] += 1
            self.levels.update(outcome.score_probs or ())
        elif isinstance(outcome, Comparison):
            self.wins[outcome.preferred or "tie"] += 1
            self.places[winner(outcome)] += 1
            self.pairs[outcome.first, outcome.second] += 1
            self.both_orders += outcome.flipped is not None
            self.flipped += bool(outcome.flipped)

    def figures(self) -> dict[str, Any]:
        """Plain data: the criterion's part of `summary.json`."""
        failed = self.reasons.counts.total()
        row: dict[str, Any] = {
            "asked": self.asked,
            "judged": self.asked - failed,
            "failed": failed,
            "failures": dict(self.reasons.counts.most_common()),
            "examples": self.reasons.examples,
            "highlights": dict(self.matches.most_common()),
        }
        if self.wins:
            row["wins"] = dict(self.wins.most_common())
            row["flip_rate"] = _plain(proportion(self.flipped, self.both_orders))
        # Rows that bring their own criterion may have a pairwise and a pointwise one of one name.
        if self.scores or not self.wins:
            scores = {float(score): n for score, n in self.scores.items()}
            figure = mean(scores, skipped=failed, scale=sorted(self.levels))
            row["counts"] = {str(score): n for score, n in sorted(self.scores.items())}
            row["mean_score"] = _plain(figure)
            if isinstance(figure, Estimate):
                row |= {"mean": figure.value, "low": figure.low, "high": figure.high}
        return row


class Tallies:
    """Counts outcomes as they come, by criterion."""

    def __init__(self, criteria: Iterable[str] = ()) -> None:
        """Start empty; `criteria` have their tally even if nothing is asked of them."""
        self.by_criterion = {name: Tally() for name in criteria}
        self.reasons = Reasons()
        """Over all criteria."""
        self.usage = Usage()

    def add(self, outcome: Judgment | Failure | Comparison) -> None:
        """Count one outcome."""
        self.by_criterion.setdefault(outcome.criterion, Tally()).add(outcome)
        for part in parts_of(outcome):
            self.usage = self.usage + part.usage
        failure = failure_of(outcome)
        if failure is not None:
            self.reasons.add(failure)

    def summary(self) -> dict[str, Any]:
        """Plain data: per criterion, and the totals."""
        asked = sum(tally.asked for tally in self.by_criterion.values())
        failed = self.reasons.counts.total()
        return {
            "asked": asked,
            "judged": asked - failed,
            "failed": failed,
            "coverage": _plain(proportion(asked - failed, asked)),
            "usage": self.usage.model_dump(),
            "criteria": {name: t.figures() for name, t in sorted(self.by_criterion.items())},
        }


def summarise(run: Path) -> dict[str, Any]:
    """The figures of the run in `run`, made anew from its journal."""
    tallies = Tallies()
    for _, outcome in outcomes(run):
        tallies.add(outcome)
    return tallies.summary()


def stored_summary(run: Path) -> dict[str, Any]:
    """What `summary.json` of the run in `run` holds; nothing where there is none.

    Raises:
        RunError: it cannot be read.
    """
    file = run / "summary.json"
    try:
        return dict(json.loads(file.read_bytes()))
    except FileNotFoundError:
        return {}
    except ValueError as exc:
        raise RunError(
            f"{file} is damaged: {exc}", hint="delete it; `glider report` makes it anew"
        ) from exc


def judgments_of(outcome: Judgment | Failure | Comparison) -> list[Judgment]:
    """The judgments that an outcome is, or is made of."""
    return [part for part in parts_of(outcome) if isinstance(part, Judgment)]


def parts_of(outcome: Judgment | Failure | Comparison) -> tuple[Judgment | Failure, ...]:
    """What was asked for an outcome: itself, or a comparison's orders."""
    return outcome.orders if isinstance(outcome, Comparison) else (outcome,)


def failure_of(outcome: Judgment | Failure | Comparison) -> Failure | None:
    """Why nothing was judged; None where something was."""
    if isinstance(outcome, Failure):
        return outcome
    if isinstance(outcome, Comparison) and outcome.p_first is None:
        return next(part for part in outcome.orders if isinstance(part, Failure))
    return None


def winner(outcome: Comparison) -> str:
    """The better output by its place: `first`, `second` or `tie`."""
    if outcome.preferred is None:
        return "tie"
    return "first" if outcome.preferred == outcome.first else "second"


def _plain(figure: Estimate | Undefined) -> dict[str, Any]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(figure).items()}
