"""Policies: from judgments to a verdict, allow, block or ask, with a guarantee based on labels.

Nothing has a default: the answer to a block, an abstention, a missed deadline
and an error must be configured, or the server does not start.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from glider.core.base import Frozen
from glider.core.criteria import Criterion
from glider.core.errors import MissingExtra, SetupError
from glider.core.judgments import Judgment, Outcome
from glider.serve.wires.ours import Verdict

if TYPE_CHECKING:
    from glider.calibration.labelled import LabelledRun
    from glider.calibration.model import Calibration

Answer = Literal["allow", "block", "ask"]
Found = Literal["passed", "blocked", "abstained", "failed"]
Because = Literal["passed", "blocked", "abstained", "deadline", "error"]
_ERROR = 0.05
"""Error level of the upper bound: it holds in 95 of 100 cases."""


class Check(Frozen):
    """One criterion of a policy and its blocking threshold."""

    criterion: str
    block_below: float | None = None
    """On the rubric's scale; an expected score below it blocks."""
    pass_from: float | None = None
    """An expected score from here on passes, and one between the two abstains; `block_below`, if
    not given."""
    calibration: Path | None = None
    """File of `glider calibrate --pass-at`, instead of the thresholds: it blocks what people would
    probably fail, and abstains where the calibration rejects the judgment."""
    labels: Path | None = None
    """A labelled run of the same judge that was not used to choose the thresholds: the check's
    results on it give the guarantee."""
    good_from: float | None = None
    """Texts with labels from here on are good; required with `labels`."""
    weight: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.block_below is None) == (self.calibration is None):
            raise ValueError("give one of block_below and calibration")
        if self.pass_from is not None and self.pass_from < (self.block_below or -math.inf):
            raise ValueError("pass_from is not below block_below")
        if self.pass_from is not None and self.calibration is not None:
            raise ValueError("pass_from goes with block_below")
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

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.checks) > 1 and self.combine is None:
            raise ValueError("several checks combine by any, all or weighted: say which")
        if (self.combine == "weighted") != (self.block_below is not None):
            raise ValueError("block_below of a policy goes with combine: weighted")
        names = [check.criterion for check in self.checks]
        if len(set(names)) < len(names):
            raise ValueError("a criterion is checked twice")
        return self

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
    """A check with its criterion and its calibration."""

    check: Check
    criterion: Criterion
    calibration: "Calibration | None" = None

    def found(self, outcome: Outcome) -> Found:
        """Return the check's finding for an outcome."""
        if not isinstance(outcome, Judgment):
            return "failed"
        if self.calibration is not None:
            applied = self.calibration.apply(outcome)
            if not applied.keep or applied.p_pass is None:
                return "abstained"
            return "passed" if applied.p_pass >= 0.5 else "blocked"
        return _placed(_expected(outcome), self.check.block_below, self.check.pass_from)

    def p_block(self, outcome: Outcome) -> float | None:
        """Return the probability that the text should be blocked; None if unknown."""
        if not isinstance(outcome, Judgment):
            return None
        if self.calibration is not None:
            passes = self.calibration.apply(outcome).p_pass
            return None if passes is None else 1 - passes
        mark, probs = self.check.block_below, outcome.score_probs
        if probs is None or mark is None:
            return None
        return min(1.0, sum(p for level, p in probs.items() if level < mark))

    def promise(self, policy: Policy) -> str | None:
        """State how many good texts it blocks at most, by labels; None without labels.

        This counts prompts, not texts: one counts as blocked if any good text of it is. Failures
        and abstentions count as blocked if the policy blocks on them.

        Raises:
            SetupError: the labels are for another criterion, or none of them is good.
            DataError, RunError: they cannot be read.
        """
        if self.check.labels is None or self.check.good_from is None:
            return None
        from glider.stats.clustered import share_upper
        from glider.store.run import outcomes

        run = self._labelled
        ours = {
            row: one for row, one in outcomes(self.check.labels) if one.criterion == run.criterion
        }
        good: dict[int, bool] = {}
        for (_, outcome), label, cluster in zip(sorted(ours.items(), key=lambda item: item[0]),
                                                run.label, run.cluster, strict=True):  # fmt: skip
            if label >= self.check.good_from:
                found = self.found(outcome)
                blocked = policy.answer("error" if found == "failed" else found) == "block"
                good[int(cluster)] = good.get(int(cluster), False) or blocked
        if not good:
            raise SetupError(f"{self.check.labels}: no label is {self.check.good_from:g} or above")
        hits = sum(good.values())
        upper = share_upper(hits, len(good), _ERROR)
        return (
            f"{self.criterion.name} blocks at most {math.ceil(1000 * upper) / 10:g} % of good "
            f"texts (95 % upper bound, n = {len(good)}, {hits} blocked)"
        )

    def judges(self) -> set[str]:
        """The judges behind its calibration and its labels."""
        found = {self.calibration.judge} if self.calibration is not None else set()
        return found | ({self._labelled.judge} if self.check.labels is not None else set())

    @cached_property
    def _labelled(self) -> "LabelledRun":
        from glider.calibration.labelled import LabelledRun

        assert self.check.labels is not None
        run = LabelledRun.load(self.check.labels, criterion=self.criterion.name)
        _same(self, run.criterion_id, str(self.check.labels))
        return run


def _same(bound: BoundCheck, criterion_id: str, what: str) -> None:
    if criterion_id != bound.criterion.content_id:
        raise SetupError(f"{what} is of {bound.criterion.name!r} in other words than are served")


def _expected(outcome: Judgment) -> float:
    return outcome.expected if outcome.expected is not None else float(outcome.score)


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
    promises: tuple[str, ...]
    by_reasons: bool
    """Whether labels or calibrations come from the judge with reasons; else scores alone decide."""

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
        checks = tuple(_bound(name, check, criteria) for check in policy.checks)
        try:
            promises = tuple(
                text for check in checks if (text := check.promise(policy)) is not None
            )
            judges = set[str]().union(*(check.judges() for check in checks))
        except ImportError as exc:
            raise MissingExtra(f"policy {name}: labels", "bench") from exc
        if wrong := sorted(judges - {scores, reasons}):
            raise SetupError(
                f"policy {name}: labels or calibration are of {wrong[0]!r}; served are "
                f"{scores!r} and {reasons!r}"
            )
        if len(judges) > 1:
            raise SetupError(f"policy {name}: its labels are of two judges: {sorted(judges)}")
        by_reasons = bool(judges) and judges == {reasons} and scores != reasons
        return cls(name, policy, checks, promises, by_reasons)

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
        )

    def _because(self, found: Sequence[Found], outcomes: Sequence[Outcome]) -> Because:
        if self.policy.combine == "weighted":
            graded = [one for one in outcomes if isinstance(one, Judgment)]
            if len(graded) < len(outcomes):
                return "error"
            weights = [check.check.weight for check in self.checks]
            scores = [
                check.criterion.rubric.normalize(_expected(one))
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


def _bound(policy: str, check: Check, criteria: dict[str, Criterion]) -> BoundCheck:
    if check.criterion not in criteria:
        raise SetupError(f"policy {policy}: criterion {check.criterion!r} is not served")
    criterion = criteria[check.criterion]
    for mark in (check.block_below, check.pass_from):
        low, high = criterion.rubric.low, criterion.rubric.high
        if mark is not None and not low <= mark <= high:
            scale = f"the scale of {criterion.name}, {low} to {high}"
            raise SetupError(f"policy {policy}: {mark:g} is not on {scale}")
    bound = BoundCheck(check, criterion)
    if check.calibration is None:
        return bound
    try:
        from glider.calibration.model import Calibration
    except ImportError as exc:
        raise MissingExtra(f"policy {policy}: a calibration", "bench") from exc
    learnt = Calibration.load(check.calibration)
    _same(bound, learnt.criterion_id, str(check.calibration))
    if learnt.threshold is None or learnt.pass_at is None:
        raise SetupError(
            f"{check.calibration} has no threshold or no pass mark",
            hint="`glider calibrate --pass-at LEVEL`, with enough labels",
        )
    return BoundCheck(check, criterion, learnt)
