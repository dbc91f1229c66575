"""StrategyJudge: a Judge that applies a strategy to each task.

It is a Judge in every way: lazy, bounded, one outcome per key, a failed judgment a value. Judges
nest, so strategies compose: the outermost sees the task as it was given, each one beneath what the
one above made of it.
"""

from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from glider.backends.base import check_writes
from glider.backends.composed import ComposedFuture
from glider.core.errors import BackendError, GliderError
from glider.core.generation import Decoding, Generation, GenerationRequest
from glider.core.judgments import Failure, Step, Usage
from glider.core.tasks import JudgeTask
from glider.judging.judge import Judge, Work
from glider.judging.strategies.base import (
    Ask,
    Course,
    Plan,
    Result,
    Strategy,
    attributed,
    costing,
    spent_on,
)
from glider.text.thinking import split_thinking

_WINDOW = 64
"""Works looked at together where texts are written first: outcomes come before everything is
written, and a killed run loses little."""


class StrategyJudge(Judge):
    """A judge over another judge."""

    def __init__(self, judge: Judge, strategy: Strategy) -> None:
        """Put a strategy over a judge.

        Raises:
            SetupError: the strategy needs text of the model's own, and this one writes none.
        """
        inner = strategy.beneath(judge)
        if strategy.writes:
            check_writes(inner.backend, f"what the strategy {strategy.name!r} needs")
        super().__init__(**inner.options)
        self.inner, self.strategy = inner, strategy
        self.window = min(inner.window, _WINDOW) if strategy.writes else inner.window

    @property
    def in_flight(self) -> int:
        """Requests worth keeping under way at once."""
        return self.inner.in_flight

    def n_requests(self, work: Work) -> int:
        """Requests that the judge beneath would make for this work."""
        return self.inner.n_requests(work)

    @property
    def id(self) -> str:
        """Who speaks, and by which strategies, outermost first."""
        names: list[str] = []
        judge: Judge = self
        while isinstance(judge, StrategyJudge):
            names.append(judge.strategy.id)
            judge = judge.inner
        return "+".join([judge.id, *names])

    def submit(self, work: Work) -> "Future[Result]":
        """Begin one piece of work: its texts are written, then its plan is judged beneath."""
        return _Running(self, work).begin()

    def close(self) -> None:
        """Close the judge beneath."""
        self.inner.close()


class _Running(ComposedFuture[Result]):
    """One piece of work that goes by a strategy: texts are written, then its plan is judged."""

    def __init__(self, judge: StrategyJudge, work: Work) -> None:
        super().__init__()
        self._judge, self._work = judge, work
        self._course: Course | None = None
        self._plan: Plan | None = None
        self._outcomes: dict[int, Result] = {}
        """Of the plan's works, by place."""
        self._written: list[Step] = []
        self._usage = Usage()
        """Of what was written."""
        self._number = next(judge.numbers)

    def begin(self) -> "Future[Result]":
        """Make the plan, or ask for the first text."""
        try:
            course = self._judge.strategy.plan(self._work)
            if isinstance(course, Plan):
                self._judge_by(course)
            else:
                self._course = course
                self._go_on(None)
        except GliderError as error:
            self.fail(error)
        return self.future

    def _go_on(self, written: Generation | None) -> None:
        """Send the course what was written (None begins it); it asks again, or has its plan."""
        assert self._course is not None
        try:
            asked = self._course.send(written)  # type: ignore[arg-type]
        except StopIteration as stop:
            self._judge_by(stop.value)
            return
        request = GenerationRequest(
            id=f"{self._work.id}-{self._number}-{asked.name}",
            messages=asked.messages,
            opening=asked.opening,
            grammar=asked.grammar,
            labels=asked.labels,
            decoding=Decoding(max_tokens=asked.max_tokens, seed=self._judge.seed),
        )
        self.wait_for(self._judge.backend.submit(request), partial(self._take_text, asked))

    def _take_text(self, asked: Ask, future: "Future[Generation]") -> None:
        written = future.result()
        thought, said = split_thinking(written.text)
        written = replace(written, text=said.lstrip() if thought else said)
        self._usage = self._usage + written.usage
        self._written.append(
            Step(
                name=asked.name,
                text=written.text.removeprefix(asked.opening).strip(),
                cut_off=written.finish == "length",
            )
        )
        self._go_on(written)

    def _judge_by(self, plan: Plan) -> None:
        self._plan = plan
        for place, work in enumerate(plan.works):
            self.wait_for(self._judge.inner.submit(work), partial(self._take_outcome, plan, place))

    def _take_outcome(self, plan: Plan, place: int, future: "Future[Result]") -> None:
        with self.lock:
            self._outcomes[place] = future.result()
            if len(self._outcomes) < len(plan.works):
                return
        outcomes = [self._outcomes[n] for n in range(len(plan.works))]
        try:
            folded = plan.fold(outcomes)
        except GliderError as error:
            folded = self._failed(error)
        self._end_in(costing(folded, spent_on(outcomes)))

    def fail(self, error: BaseException) -> None:
        """End in a Failure; where the run has to stop, and for mistakes of ours, in the error."""
        stops = isinstance(error, BackendError) and error.stops_run
        if stops or not isinstance(error, GliderError):
            self.end(error)
            return
        if isinstance(error, BackendError) and error.usage is not None:
            self._usage = self._usage + error.usage
        self._end_in(self._failed(error))

    def _failed(self, error: GliderError) -> Result:
        judge, work = self._judge, self._work
        tasks = (work,) if isinstance(work, JudgeTask) else work.tasks
        failures = []
        for task in tasks:
            failure = Failure.of(error, task, judge=judge.id)
            told = f"strategy {judge.strategy.name}: {failure.message}"
            failures.append(failure.model_copy(update={"message": told}))
        return failures[0] if isinstance(work, JudgeTask) else work.fold(failures)

    def _end_in(self, outcome: Result) -> None:
        self.end(
            attributed(
                outcome,
                self._work,
                judge=self._judge.id,
                steps=(*self._written, *(self._plan.steps if self._plan else ())),
                usage=self._usage,
            )
        )
