"""Jury: several judges on every task, and the mean of their scores (PoLL, Verga et al. 2024).

A juror that fails is left out and named in the steps with its reason; if all fail, so does the
outcome. How far the jurors lie apart is told beside the mean.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from glider.backends.composed import ComposedFuture
from glider.core.errors import SetupError
from glider.core.judgments import Comparison, Failure, Step, Usage
from glider.judging.judge import Judge, Work
from glider.judging.strategies.base import Result, attributed, costing, spent_on
from glider.judging.strategies.parts import ScoredPart, part_step, together


class Jury(Judge):
    """A judge that asks others."""

    def __init__(self, jurors: Sequence[Judge]) -> None:
        """Put judges together.

        Raises:
            SetupError: fewer than two, or one twice.
        """
        names = [juror.id for juror in jurors]
        if len(names) < 2 or len(set(names)) < len(names):
            raise SetupError(f"a jury needs two or more different judges, got {', '.join(names)}")
        super().__init__(**jurors[0].options)
        self.jurors = tuple(jurors)

    @property
    def id(self) -> str:
        """The models, and the formats they are asked in."""
        models, formats = zip(*(juror.id.rsplit(" ", 1) for juror in self.jurors), strict=True)
        return f"jury({'|'.join(models)}) {'|'.join(dict.fromkeys(formats))}"

    @property
    def in_flight(self) -> int:
        """As many as the juror takes that takes the most: each has a backend of its own."""
        return max(juror.in_flight for juror in self.jurors)

    def n_requests(self, work: Work) -> int:
        """Requests that the juror makes that makes the fewest."""
        return min(juror.n_requests(work) for juror in self.jurors)

    def submit(self, work: Work) -> "Future[Result]":
        """Begin one piece of work with every juror."""
        verdict: ComposedFuture[Result] = ComposedFuture()
        outcomes: dict[int, Result] = {}

        def take(number: int, answered: "Future[Result]") -> None:
            with verdict.lock:
                outcomes[number] = answered.result()
                if len(outcomes) < len(self.jurors):
                    return
            verdict.end(self._verdict(work, [outcomes[n] for n in range(len(self.jurors))]))

        for number, juror in enumerate(self.jurors):
            verdict.wait_for(juror.submit(work), partial(take, number))
        return verdict.future

    def _verdict(self, work: Work, outcomes: Sequence[Result]) -> Result:
        answered = [
            (juror, outcome)
            for juror, outcome in zip(self.jurors, outcomes, strict=True)
            if not _failed(outcome)
        ]
        told = {
            juror.id: _left_out(juror, outcome)
            for juror, outcome in zip(self.jurors, outcomes, strict=True)
            if _failed(outcome)
        }
        if not answered:
            return attributed(
                costing(outcomes[0], spent_on(outcomes)),
                work,
                judge=self.id,
                steps=tuple(told.values()),
                usage=Usage(),
            )
        parts = [ScoredPart(juror.id, 1 / len(answered)) for juror, _ in answered]
        steps: list[Step] = list(told.values())
        scores: list[float] = []
        for part, (_, outcome) in zip(parts, answered, strict=True):
            assert not isinstance(outcome, Failure)
            step = part_step(part, outcome)
            steps += [step, *outcome.steps]
            scores.append(step.score or 0.0)
        steps.append(
            Step(name="spread", text="highest less lowest", score=max(scores) - min(scores))
        )
        verdict = together(work, parts, [outcome for _, outcome in answered], mixed=True)
        whole = costing(verdict, spent_on(outcomes))
        return attributed(whole, work, judge=self.id, steps=tuple(steps), usage=Usage())

    def close(self) -> None:
        """Close every juror."""
        for juror in self.jurors:
            juror.close()


def _failed(outcome: Result) -> bool:
    return isinstance(outcome, Failure) or (
        isinstance(outcome, Comparison) and outcome.p_first is None
    )


def _left_out(juror: Judge, outcome: Result) -> Step:
    """Says why; of a comparison, why its first order failed."""
    failure = outcome.orders[0] if isinstance(outcome, Comparison) else outcome
    assert isinstance(failure, Failure)
    reason = f"{failure.stage}/{failure.code}: {failure.message}"
    return Step(name=juror.id, text=f"left out: {reason}", weight=0.0)
