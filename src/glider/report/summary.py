"""The figures of a run: everything counted over its outcomes is counted here, and only here.

`summary.json`, the terminal, the report and `glider gate` show these figures, so one figure has one
interval everywhere. Rows that share an input and context count as one cluster (`data/clusters.py`).

Several criteria may share a name, if rows have their own. Their scores have a mean only if their
rubrics have the same lowest and highest score; otherwise there is a normalised mean (0 lowest, 1
highest) under its own name.

One pass; a few numbers are held for each outcome, no texts.
"""

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from glider.core.criteria import Criterion
from glider.core.errors import RunError
from glider.core.judgments import ANSWERED, PASSED_ON, Comparison, Failure, Judgment, Usage
from glider.data.clusters import Clusters
from glider.stats.estimates import Estimate, Undefined
from glider.store.run import AskedCriteria, outcomes, samples

Scale = tuple[float, float]


@dataclass
class Reasons:
    """Why judgments failed."""

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
    """Counts of the outcomes under one criterion's name."""

    asked: int = 0
    scores: Counter[int] = field(default_factory=Counter)
    reasons: Reasons = field(default_factory=Reasons)
    repaired: Counter[str] = field(default_factory=Counter)
    """Harmless deviations from the format, to the judgments that have them."""
    adjusted: Counter[str] = field(default_factory=Counter)
    """Settings that the endpoint refused, to the judgments made without them."""
    warnings: Counter[str] = field(default_factory=Counter)
    """Why judgments deserve less trust, to how many do."""
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
    criteria: dict[str, Criterion] = field(default_factory=dict)
    """Content id to criterion: every one that these outcomes were asked under."""
    by_scale: dict[Scale | None, Counter[int]] = field(default_factory=dict)
    """Scores by the lowest and highest there could be; None: the run does not tell."""
    rows: "array[int]" = field(default_factory=lambda: array("q"))
    """Row of each outcome."""
    judged: bytearray = field(default_factory=bytearray)
    """1 for each outcome that is no failure."""
    score_rows: "array[int]" = field(default_factory=lambda: array("q"))
    """Row of each score, and the score itself, as given and in 0..1."""
    score_values: "array[float]" = field(default_factory=lambda: array("d"))
    score_normalized: "array[float]" = field(default_factory=lambda: array("d"))
    flip_rows: "array[int]" = field(default_factory=lambda: array("q"))
    """Row of each pair judged in both orders, and whether its winner changed."""
    flips: bytearray = field(default_factory=bytearray)
    cascade_rows: "array[int]" = field(default_factory=lambda: array("q"))
    """Row of each outcome of a cascade, and whether its first judge passed it on."""
    passed_on: bytearray = field(default_factory=bytearray)

    def add(
        self,
        outcome: Judgment | Failure | Comparison,
        row: int | None = None,
        criterion: Criterion | None = None,
    ) -> None:
        """Count one outcome.

        Args:
            row: of the input; the outcome is one of its own if not given.
            criterion: what was asked, where known.
        """
        row = -1 - self.asked if row is None else row
        self.asked += 1
        if criterion is not None:
            self.criteria.setdefault(criterion.content_id, criterion)
        for judgment in judgments_of(outcome):
            self.matches.update(h.match for h in judgment.highlights)
            self.repaired.update(judgment.repaired)
            self.adjusted.update(judgment.adjusted)
            self.warnings.update(judgment.warnings)
        passed = passed_on(outcome)
        if passed is not None:
            self.cascade_rows.append(row)
            self.passed_on.append(passed)
        failure = failure_of(outcome)
        self.rows.append(row)
        self.judged.append(failure is None)
        if failure is not None:
            self.reasons.add(failure)
        elif isinstance(outcome, Judgment):
            scale = _scale_of(outcome, criterion)
            self.scores[outcome.score] += 1
            self.by_scale.setdefault(scale, Counter())[outcome.score] += 1
            self.score_rows.append(row)
            self.score_values.append(outcome.score)
            self.score_normalized.append(outcome.normalized)
        elif isinstance(outcome, Comparison):
            self.wins[outcome.preferred or "tie"] += 1
            self.places[winner(outcome)] += 1
            self.pairs[outcome.first, outcome.second] += 1
            if outcome.flipped is not None:
                self.both_orders += 1
                self.flipped += outcome.flipped
                self.flip_rows.append(row)
                self.flips.append(outcome.flipped)

    @property
    def failed(self) -> int:
        """Outcomes that are failures."""
        return self.reasons.counts.total()

    @property
    def scales(self) -> list[Scale]:
        """The lowest and highest score there could be: one pair for each kind of rubric."""
        return sorted(scale for scale in self.by_scale if scale is not None)

    @property
    def unlike(self) -> bool:
        """Whether the scores are on different scales, so that they have no mean."""
        return len(self.scales) > 1

    @property
    def scale(self) -> Scale | None:
        """Lowest and highest score there can be; None where that is not known, or not one."""
        if len(self.scales) != 1:
            return None
        # A score that the rubric does not have widens its scale.
        known = [*self.scales[0], *self.scores]
        return min(known), max(known)

    def mean_score(self, clusters: Clusters) -> Estimate | Undefined:
        """Mean of what was judged, on the rubric's scale."""
        if self.wins and not self.scores:
            return Undefined("pairs have no score; ask for flip_rate", self.asked, self.failed)
        if self.unlike:
            scales = ", ".join(f"{low:g} to {high:g}" for low, high in self.scales)
            return Undefined(
                f"{len(self.criteria) or len(self.scales)} criteria of this name have different "
                f"scales ({scales}); ask for normalized_mean",
                len(self.score_values),
                self.failed,
            )
        return _mean(self.score_values, self.score_rows, clusters, self.scale, self.failed)

    def normalized_mean(self, clusters: Clusters) -> Estimate | Undefined:
        """Mean of what was judged, each score in 0..1 of its own rubric."""
        return _mean(self.score_normalized, self.score_rows, clusters, (0.0, 1.0), self.failed)

    def pass_rate(self, level: int, clusters: Clusters) -> Estimate | Undefined:
        """Share of what was asked with at least this score; a failure did not pass."""
        if self.unlike:
            return Undefined(
                f"criteria of this name have different scales, so no score "
                f"passes at {level} of all",
                self.asked,
                self.failed,
            )
        passed = [score >= level for score in self.score_values]
        rows = [row for row, judged in zip(self.rows, self.judged, strict=True) if not judged]
        return _share([*passed, *(False for _ in rows)], [*self.score_rows, *rows], clusters)

    def coverage(self, clusters: Clusters) -> Estimate | Undefined:
        """Share of what was asked that was judged."""
        return _share(self.judged, self.rows, clusters, self.failed)

    def flip_rate(self, clusters: Clusters) -> Estimate | Undefined:
        """Share of the pairs judged in both orders whose winner changed with the order."""
        if not self.both_orders:
            return Undefined("no pair was judged in both orders", 0, self.failed)
        return _share(self.flips, self.flip_rows, clusters, self.failed)

    def figures(self, clusters: Clusters | None = None) -> dict[str, Any]:
        """Plain data: the criterion's part of `summary.json`.

        Args:
            clusters: which rows are not independent; all are if not given.
        """
        clusters = clusters or Clusters()
        row: dict[str, Any] = {
            "asked": self.asked,
            "judged": self.asked - self.failed,
            "failed": self.failed,
            "failures": dict(self.reasons.counts.most_common()),
            "examples": self.reasons.examples,
            "highlights": dict(self.matches.most_common()),
            "coverage": _plain(self.coverage(clusters)),
        }
        if len(self.criteria) > 1:
            row["criteria"] = len(self.criteria)
        if self.wins:
            row["wins"] = dict(self.wins.most_common())
            row["flip_rate"] = _plain(self.flip_rate(clusters))
        # Rows that bring their own criterion may have a pairwise and a pointwise one of one name.
        if self.scores or not self.wins:
            figure = self.mean_score(clusters)
            row["mean_score"] = _plain(figure)
            if self.unlike:
                row["counts_by_scale"] = {
                    f"{scale[0]:g} to {scale[1]:g}" if scale else "unknown": _counts(scores)
                    for scale, scores in sorted(
                        self.by_scale.items(), key=lambda item: item[0] or (float("inf"),) * 2
                    )
                }
                row["normalized_mean"] = _plain(self.normalized_mean(clusters))
            else:
                row["counts"] = _counts(self.scores)
            if isinstance(figure, Estimate):
                row |= {"mean": figure.value, "low": figure.low, "high": figure.high}
        return row


class Tallies:
    """Counts outcomes as they come, by the criterion's name."""

    def __init__(self, criteria: Iterable[str] = ()) -> None:
        """Start empty; `criteria` have their tally even if nothing is asked of them."""
        self.by_criterion = {name: Tally() for name in criteria}
        self.reasons = Reasons()
        """Over all criteria."""
        self.usage = Usage()

    def add(
        self,
        outcome: Judgment | Failure | Comparison,
        row: int | None = None,
        criterion: Criterion | None = None,
    ) -> None:
        """Count one outcome; see `Tally.add`."""
        self.by_criterion.setdefault(outcome.criterion, Tally()).add(outcome, row, criterion)
        for part in parts_of(outcome):
            self.usage = self.usage + part.usage
        failure = failure_of(outcome)
        if failure is not None:
            self.reasons.add(failure)

    def include(self, name: str, tally: Tally) -> None:
        """Take in what was counted elsewhere under a name that is not there yet."""
        self.by_criterion[name] = tally
        self.reasons.counts.update(tally.reasons.counts)
        for code, message in tally.reasons.examples.items():
            self.reasons.examples.setdefault(code, message)

    def coverage(self, clusters: Clusters) -> Estimate | Undefined:
        """Share of everything asked that was judged."""
        judged = [one for tally in self.by_criterion.values() for one in tally.judged]
        rows = [one for tally in self.by_criterion.values() for one in tally.rows]
        return _share(judged, rows, clusters, self.reasons.counts.total())

    def cascade(self, clusters: Clusters) -> dict[str, Any]:
        """What a cascade's first judge passed on; nothing of other judges."""
        tallies = self.by_criterion.values()
        passed = [one for tally in tallies for one in tally.passed_on]
        if not passed:
            return {}
        rows = [one for tally in tallies for one in tally.cascade_rows]
        share = _plain(_share(passed, rows, clusters))
        return {"cascade": {"asked": len(passed), "passed_on": sum(passed), "share": share}}

    @property
    def remarks(self) -> dict[str, dict[str, int]]:
        """`repaired`, `adjusted` and `warnings` over all criteria; only those that there are."""
        tallies = self.by_criterion.values()
        counted = {
            "repaired": sum((tally.repaired for tally in tallies), Counter[str]()),
            "adjusted": sum((tally.adjusted for tally in tallies), Counter[str]()),
            "warnings": sum((tally.warnings for tally in tallies), Counter[str]()),
        }
        return {name: dict(counts.most_common()) for name, counts in counted.items() if counts}

    def summary(self, clusters: Clusters | None = None) -> dict[str, Any]:
        """Plain data: per criterion, and the totals.

        Args:
            clusters: which rows are not independent; all are if not given.
        """
        clusters = clusters or Clusters()
        asked = sum(tally.asked for tally in self.by_criterion.values())
        failed = self.reasons.counts.total()
        return {
            "asked": asked,
            "judged": asked - failed,
            "failed": failed,
            "coverage": _plain(self.coverage(clusters)),
            "usage": self.usage.model_dump(),
            **self.cascade(clusters),
            **self.remarks,
            "criteria": {
                name: t.figures(clusters) for name, t in sorted(self.by_criterion.items())
            },
        }


def summarise(run: Path) -> dict[str, Any]:
    """The figures of the run in `run`, made anew from its journal."""
    tallies, asked, found = Tallies(), AskedCriteria(run), outcomes(run)
    for row, outcome in found:
        tallies.add(outcome, row, asked.of(row, outcome))
    summary = tallies.summary(Clusters.of(samples(run)))
    return summary | ({"answered_twice": found.n_doubled} if found.n_doubled else {})


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
    except (ValueError, TypeError) as exc:
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


def passed_on(outcome: Judgment | Failure | Comparison) -> bool | None:
    """Whether a cascade's first judge passed it on to the second; None of other judges."""
    for step in outcome.steps:
        if step.name in (ANSWERED, PASSED_ON):
            return step.name == PASSED_ON
    return None


def winner(outcome: Comparison) -> str:
    """The better output by its place: `first`, `second` or `tie`."""
    if outcome.preferred is None:
        return "tie"
    return "first" if outcome.preferred == outcome.first else "second"


def _scale_of(judgment: Judgment, criterion: Criterion | None) -> Scale | None:
    if criterion is not None:
        return float(criterion.rubric.low), float(criterion.rubric.high)
    if judgment.score_probs:
        return float(min(judgment.score_probs)), float(max(judgment.score_probs))
    return None


def _mean(
    values: Sequence[float],
    rows: Sequence[int],
    clusters: Clusters,
    scale: Scale | None,
    skipped: int,
) -> Estimate | Undefined:
    if len(values) < 2:
        return Undefined("fewer than two judgments", len(values), skipped)
    # Nothing but figures needs numpy.
    from glider.stats.clustered import clustered_mean
    from glider.stats.statistic import ANY

    return clustered_mean(values, clusters.codes(rows), scale=scale or ANY, skipped=skipped)


def _share(
    hits: Sequence[int], rows: Sequence[int], clusters: Clusters, skipped: int = 0
) -> Estimate | Undefined:
    if not hits:
        return Undefined("nothing was judged", 0, skipped)
    from glider.stats.clustered import clustered_share

    return clustered_share(list(hits), clusters.codes(rows), skipped=skipped)


def _counts(scores: Counter[int]) -> dict[str, int]:
    return {str(score): n for score, n in sorted(scores.items())}


def _plain(figure: Estimate | Undefined) -> dict[str, Any]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(figure).items()}
