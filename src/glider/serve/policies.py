"""Policies: from judgments to a verdict, allow, block or ask, with a guarantee based on labels.

Nothing has a default: the answer to a block, an abstention, a missed deadline
and an error must be configured, or the server does not start.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from glider.core.base import Frozen
from glider.core.criteria import Criterion
from glider.core.errors import MissingExtra, SetupError
from glider.core.judgments import Judgment, Outcome
from glider.serve.drift import Drift
from glider.serve.promises import Labels, Promise, load_calibration
from glider.serve.wires.ours import Verdict

if TYPE_CHECKING:
    from glider.calibration.blocking import BlockingScores
    from glider.calibration.model import Calibration

Answer = Literal["allow", "block", "ask"]
Found = Literal["passed", "blocked", "abstained", "failed"]
Because = Literal["passed", "blocked", "abstained", "deadline", "error"]


class Check(Frozen):
    """One criterion of a policy and its blocking threshold."""

    criterion: str
    block_below: float | None = None
    """On the rubric's scale; an expected score below it blocks."""
    blocks_at_most: float | None = Field(default=None, gt=0, lt=1)
    """Share of good texts, instead of `block_below`: the highest threshold that keeps it by the
    labels behind `calibration`, or by `labels`."""
    pass_from: float | None = None
    """An expected score from here on passes, and one between the two abstains; the threshold, if
    not given."""
    calibration: Path | None = None
    """File of `glider calibrate --pass-at`. Without `blocks_at_most` it decides by itself: it
    blocks what people would probably fail, and abstains where it rejects the judgment."""
    labels: Path | None = None
    """A labelled run of the same judge: the threshold of `blocks_at_most` comes from it; else it
    must not have been used to choose the thresholds, and the check's results on it give the
    promise."""
    good_from: float | None = None
    """Texts with labels from here on are good; required with `labels`."""
    weight: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.blocks_at_most is not None:
            if self.block_below is not None:
                raise ValueError("blocks_at_most chooses block_below: give one of them")
            if (self.calibration is None) == (self.labels is None):
                raise ValueError("blocks_at_most needs one of calibration and labels")
        elif self.block_below is not None and self.calibration is not None:
            raise ValueError("give one of block_below and calibration")
        if self.pass_from is not None:
            if self.calibration is not None and self.blocks_at_most is None:
                raise ValueError("a calibration that decides has its own pass_from")
            if self.pass_from < (self.block_below or -math.inf):
                raise ValueError("pass_from is not below block_below")
        if (self.labels is None) != (self.good_from is None):
            raise ValueError("labels and good_from go together")
        return self


class Policy(Frozen):
    """Checks, how they combine, and the answers."""

    checks: tuple[Check, ...] = Field(min_length=1, max_length=50)
    combine: Literal["any", "all", "weighted"] | None = None
    """Block if any check does, if all do, or by the weighted mean of the scores scaled to 0..1."""
    block_below: float | None = None
    """With `weighted`: block if the mean is below this."""
    pass_from: float | None = None
    on_block: Answer
    on_abstain: Answer
    on_deadline: Answer
    on_error: Answer
    model: str | None = None
    drift_window: int = Field(default=500, ge=50)
    """Texts after which the rates of blocked and abstained are compared with the labelled ones'."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.checks) > 1 and self.combine is None:
            raise ValueError("several checks combine by any, all or weighted: say which")
        if (self.combine == "weighted") != (self.block_below is not None):
            raise ValueError("block_below of a policy goes with combine: weighted")
        for check in self.checks:
            own = (check.block_below, check.blocks_at_most, check.calibration)
            if self.combine != "weighted" and all(one is None for one in own):
                raise ValueError(
                    f"{check.criterion}: give block_below, blocks_at_most or calibration"
                )
            if self.combine == "weighted" and (check.calibration or check.labels):
                raise ValueError("by weighted, no check blocks by itself, so none has labels")
            if check.blocks_at_most and check.pass_from and self.on_abstain == "block":
                raise ValueError(
                    "on_abstain: block would block more than blocks_at_most; leave out pass_from"
                )
        names = [check.criterion for check in self.checks]
        if len(set(names)) < len(names):
            raise ValueError("a criterion is checked twice")
        return self

    def blocks(self, found: Found) -> bool:
        """Whether a check that finds this may block the text."""
        return self.answer("error" if found == "failed" else found) == "block"

    def answer(self, because: Because) -> Answer:
        """Return the configured answer to an event."""
        by_cause: dict[Because, Answer] = {
            "passed": "allow",
            "blocked": self.on_block,
            "abstained": self.on_abstain,
            "deadline": self.on_deadline,
            "error": self.on_error,
        }
        return by_cause[because]


@dataclass(frozen=True)
class BoundCheck:
    """A check ready to use: its threshold is known, its files are read."""

    check: Check
    criterion: Criterion
    block_below: float | None = None
    """The threshold in force, given or chosen by labels."""
    calibration: "Calibration | None" = None
    promise: Promise | None = None
    drift: Drift | None = None
    judges: frozenset[str] = frozenset()
    """The judges behind its calibration and its labels."""

    def found(self, outcome: Outcome) -> Found:
        """Return the check's finding for an outcome."""
        if not isinstance(outcome, Judgment):
            return "failed"
        if self.calibration is not None and self.block_below is None:
            if self.calibration.uses_probs and outcome.score_probs is None:
                return "failed"
            applied = self.calibration.apply(outcome)
            if not applied.keep or applied.p_pass is None:
                return "abstained"
            return "passed" if applied.p_pass >= 0.5 else "blocked"
        return _placed(outcome.expected_or_score, self.block_below, self.check.pass_from)

    def p_block(self, outcome: Outcome) -> float | None:
        """Return the probability that the text should be blocked; None if unknown."""
        if not isinstance(outcome, Judgment):
            return None
        if self.calibration is not None:
            if self.calibration.uses_probs and outcome.score_probs is None:
                return None
            passes = self.calibration.apply(outcome).p_pass
            return None if passes is None else 1 - passes
        mark, probs = self.block_below, outcome.score_probs
        if probs is None or mark is None:
            return None
        return min(1.0, sum(p for level, p in probs.items() if level < mark))

    @classmethod
    def of(cls, policy: Policy, check: Check, criterion: Criterion) -> Self:
        """Read a check's files and choose its threshold.

        Raises:
            SetupError: they are of other words, or have too few labels for the promise.
            DataError, RunError: they cannot be read.
        """
        calibration, labels = None, None
        judges: set[str] = set()
        if check.calibration is not None:
            calibration = load_calibration(check.calibration, criterion)
            judges.add(calibration.judge)
        if check.labels is not None and check.good_from is not None:
            labels = Labels(check.labels, criterion, check.good_from)
            judges.add(labels.run.judge)
        bound = cls(check, criterion, check.block_below, calibration, judges=frozenset(judges))
        expected: Mapping[str, int] = {}
        if check.blocks_at_most is not None:
            scores = labels.scores() if labels is not None else _scores(check, calibration)
            chosen, promise = _chosen(policy, check, criterion, scores)
            bound = replace(bound, block_below=chosen, promise=promise)
            expected = Counter(
                "failed" if score is None else _placed(score, chosen, check.pass_from)
                for score in scores.typical
            )
        elif calibration is not None:
            if calibration.threshold is None:
                raise SetupError(
                    f"{check.calibration} has no threshold, since there were too few labels",
                    hint="more labels, or blocks_at_most",
                )
            expected = calibration.blocking.decided if calibration.blocking is not None else {}
        if labels is not None:
            found = bound.found
            expected = labels.counts(found)
            if bound.promise is None:
                promise = labels.promise(lambda outcome: policy.blocks(found(outcome)))
                bound = replace(bound, promise=promise)
        return replace(bound, drift=Drift(expected, policy.drift_window)) if expected else bound


def _scores(check: Check, calibration: "Calibration | None") -> "BlockingScores":
    if calibration is None or calibration.blocking is None:
        raise SetupError(
            f"{check.calibration} was made by an older Glider and has no scores of good texts",
            hint="`glider calibrate --pass-at LEVEL` makes it anew",
        )
    return calibration.blocking


def _chosen(
    policy: Policy, check: Check, criterion: Criterion, scores: "BlockingScores"
) -> tuple[float, Promise]:
    """Return the highest threshold that keeps `blocks_at_most`, and the promise."""
    from glider.calibration.blocking import fewest_prompts

    assert check.blocks_at_most is not None
    found = scores.threshold(
        check.blocks_at_most,
        failures_block=policy.blocks("failed"),
        highest=float(criterion.rubric.high),
    )
    if found is None:
        raise SetupError(
            f"{criterion.name}: {scores.n} prompts with a good text, "
            f"{len(scores.good_beside_failures)} of them with a failure, are too few to block at "
            f"most {check.blocks_at_most:.1%}",
            hint=f"at least {fewest_prompts(check.blocks_at_most)} are needed; or promise less",
        )
    promise = Promise(criterion.name, check.blocks_at_most, found.n, found.hits)
    return found.block_below, promise


def _placed(value: float, block_below: float | None, pass_from: float | None) -> Found:
    if block_below is not None and value < block_below:
        return "blocked"
    return "abstained" if pass_from is not None and value < pass_from else "passed"


@dataclass(frozen=True)
class BoundPolicy:
    """A policy ready to use, with its criteria resolved and its labels counted."""

    name: str
    policy: Policy
    checks: tuple[BoundCheck, ...]
    by_reasons: bool
    """Whether labels or calibrations come from the judge with reasons; else scores alone decide."""

    @property
    def promises(self) -> tuple[str, ...]:
        """The checks' promises, in words."""
        return tuple(str(one.promise) for one in self.checks if one.promise is not None)

    def watch(self, verdict: Verdict) -> list[str]:
        """Count what the checks found; return the alarms that this raises, in words."""
        alarms = []
        for one, told in zip(self.checks, verdict.checks, strict=False):
            if one.drift is not None:
                said = one.drift.saw(told["found"])
                alarms += [f"{self.name}: {one.criterion.name}: {alarm}" for alarm in said]
        return alarms

    @classmethod
    def of(
        cls,
        name: str,
        policy: Policy,
        criteria: dict[str, Criterion],
        *,
        scores: str,
        reasons: str,
    ) -> Self:
        """Load the calibrations and labels the policy depends on.

        Args:
            scores: id of the judge that gives scores alone.
            reasons: id of the judge with reasons.

        Raises:
            SetupError: a criterion is not served; or labels or a calibration belong to another
                judge, or to a different wording of the criterion.
        """
        try:
            checks = tuple(_bound(name, policy, check, criteria) for check in policy.checks)
        except ImportError as exc:
            raise MissingExtra(f"policy {name}: labels", "bench") from exc
        judges = frozenset[str]().union(*(check.judges for check in checks))
        if wrong := sorted(judges - {scores, reasons}):
            raise SetupError(
                f"policy {name}: labels or calibration are of {wrong[0]!r}; served are "
                f"{scores!r} and {reasons!r}"
            )
        if len(judges) > 1:
            raise SetupError(f"policy {name}: its labels are of two judges: {sorted(judges)}")
        by_reasons = bool(judges) and judges == {reasons} and scores != reasons
        return cls(name, policy, checks, by_reasons)

    def verdict(self, outcomes: Sequence[Outcome]) -> Verdict:
        """Return the verdict on the outcomes, one per check in order."""
        found = [check.found(one) for check, one in zip(self.checks, outcomes, strict=True)]
        told = [
            {"criterion": check.criterion.name, "found": each, "p_block": check.p_block(outcome)}
            for check, each, outcome in zip(self.checks, found, outcomes, strict=True)
        ]
        return self._verdict(self._because(found, outcomes), tuple(told))

    def without(self, because: Literal["deadline", "error"]) -> Verdict:
        """Return the verdict when there is no outcome."""
        return self._verdict(because, ())

    def _verdict(self, because: Because, checks: tuple[dict[str, Any], ...]) -> Verdict:
        return Verdict(
            policy=self.name,
            verdict=self.policy.answer(because),
            because=because,
            checks=checks,
            promise=self.promises,
            drift=tuple(
                f"{one.criterion.name}: {alarm}"
                for one in self.checks
                if one.drift is not None
                for alarm in one.drift.alarms.values()
            ),
        )

    def _because(self, found: Sequence[Found], outcomes: Sequence[Outcome]) -> Because:
        if self.policy.combine == "weighted":
            graded = [one for one in outcomes if isinstance(one, Judgment)]
            if len(graded) < len(outcomes):
                return "error"
            weights = [check.check.weight for check in self.checks]
            scores = [
                check.criterion.rubric.normalize(one.expected_or_score)
                for check, one in zip(self.checks, graded, strict=True)
            ]
            mean = sum(map(lambda w, s: w * s, weights, scores)) / sum(weights)
            placed = _placed(mean, self.policy.block_below, self.policy.pass_from)
            return "error" if placed == "failed" else placed
        # The first one present decides: a failed check cannot undo another check's finding.
        decides: list[Found] = ["blocked", "failed", "abstained", "passed"]
        if self.policy.combine == "all":
            decides = ["passed", "failed", "abstained", "blocked"]
        first = next(one for one in decides if one in found)
        return "error" if first == "failed" else first


def _bound(name: str, policy: Policy, check: Check, criteria: dict[str, Criterion]) -> BoundCheck:
    if check.criterion not in criteria:
        raise SetupError(f"policy {name}: criterion {check.criterion!r} is not served")
    criterion = criteria[check.criterion]
    for mark in (check.block_below, check.pass_from):
        low, high = criterion.rubric.low, criterion.rubric.high
        if mark is not None and not low <= mark <= high:
            scale = f"the scale of {criterion.name}, {low} to {high}"
            raise SetupError(f"policy {name}: {mark:g} is not on {scale}")
    return BoundCheck.of(policy, check, criterion)
