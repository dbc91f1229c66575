"""StrategyJudge: a Judge that goes about its works by a strategy.

It is a Judge in every way: lazy, bounded, one outcome per key, a failed judgment a value. Judges
nest, so strategies compose: the outermost sees the task as it was given, each one beneath what the
one above made of it.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from glider.core.errors import BackendError, GliderError, SetupError
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

Key = TypeVar("Key")

_MOST_HELD = 256
"""Outcomes not given yet: above, nothing new is begun until what was begun has ended."""
_ROUND = 64
"""Works handed down at a time where texts are written first and the judge looks at many works
together: outcomes come before everything is written, and a killed run loses little."""


@dataclass(eq=False, slots=True)
class _Open(Generic[Key]):
    """One piece of work on its way."""

    number: int
    key: Key
    work: Work
    course: Course | None = None
    plan: Plan | None = None
    outcomes: dict[int, Result] = field(default_factory=dict)
    """Of the plan's works, by place."""
    asked: Ask | None = None
    written: list[Step] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    """Of what was written."""


class StrategyJudge(Judge):
    """A judge over another judge."""

    def __init__(self, judge: Judge, strategy: Strategy) -> None:
        """Put a strategy over a judge.

        Raises:
            SetupError: the strategy needs text of the model's own, and this one writes none.
        """
        inner = strategy.beneath(judge)
        if strategy.writes and not inner.backend.capabilities.explanations:
            raise SetupError(
                f"{inner.backend.id} only reads scores and cannot write what the strategy "
                f"{strategy.name!r} needs",
                hint="use an embedded, hf or openai model",
            )
        super().__init__(
            inner.backend,
            format=inner.format,
            samples=inner.samples,
            temperature=inner.temperature,
            max_tokens=inner.max_tokens,
            truncate=inner.truncate,
            seed=inner.seed,
        )
        self.inner, self.strategy = inner, strategy

    @property
    def id(self) -> str:
        """Who speaks, and by which strategies, outermost first."""
        names: list[str] = []
        judge: Judge = self
        while isinstance(judge, StrategyJudge):
            names.append(judge.strategy.id)
            judge = judge.inner
        return "+".join([judge.id, *names])

    def stream(
        self, items: Iterable[tuple[Key, Work]], *, ordered: bool = False
    ) -> Iterator[tuple[Key, Result]]:
        """Judge (key, work) pairs; gives (key, outcome) as ready, or in order."""
        desk = _Desk(self, items)
        while not desk.done:
            for (opened, place), outcome in self.inner.stream(desk.works()):
                desk.take(opened, place, outcome)
                yield from desk.given(ordered)
            yield from desk.given(ordered)

    def close(self) -> None:
        """Let the judge beneath go."""
        self.inner.close()


class _Desk(Generic[Key]):
    """What one stream has under way: texts being written, works handed down, outcomes not given."""

    def __init__(self, judge: StrategyJudge, items: Iterable[tuple[Key, Work]]) -> None:
        self._judge = judge
        self._items = enumerate(items)
        self._exhausted = False
        self._arrived: SimpleQueue[tuple[_Open[Key], Future[Generation]]] = SimpleQueue()
        self._writing = 0
        self._ready: deque[_Open[Key]] = deque()
        self._ended: dict[int, tuple[Key, Result]] = {}
        self._next = 0
        backend = judge.backend
        self._room = backend.limits.in_flight
        gathers = judge.strategy.writes and backend.capabilities.prefix_cache
        self._round = _ROUND if gathers else None

    @property
    def done(self) -> bool:
        """Between two calls of `works`: there is nothing more to hand down."""
        return self._exhausted and not self._writing and not self._ready

    def works(self) -> Iterator[tuple[tuple[_Open[Key], int], Work]]:
        """Works to judge, as the judge beneath asks for them.

        Ends when there is nothing more, when a round is full, or when too much waits to be given.
        What is being written then goes on and is taken up by the next call.
        """
        handed = 0
        while self._round is None or handed < self._round:
            self._look()
            if self._may_begin():
                self._begin()
            if self._ready:
                opened = self._ready.popleft()
                assert opened.plan is not None
                for place, work in enumerate(opened.plan.works):
                    handed += 1
                    yield (opened, place), work
            elif not self._may_begin():
                if not self._writing:
                    return
                self._next_written(*self._arrived.get())

    def take(self, opened: _Open[Key], place: int, outcome: Result) -> None:
        """One outcome of a plan's works."""
        plan = opened.plan
        assert plan is not None
        opened.outcomes[place] = outcome
        if len(opened.outcomes) < len(plan.works):
            return
        outcomes = [opened.outcomes[n] for n in range(len(plan.works))]
        try:
            folded = plan.fold(outcomes)
        except GliderError as error:
            folded = self._failed(opened, error)
        self._end(opened, costing(folded, spent_on(outcomes)))

    def given(self, ordered: bool) -> Iterator[tuple[Key, Result]]:
        """Outcomes that can be given now."""
        if not ordered:
            while self._ended:
                yield self._ended.pop(next(iter(self._ended)))
            return
        while self._next in self._ended:
            yield self._ended.pop(self._next)
            self._next += 1

    def _may_begin(self) -> bool:
        return (
            not self._exhausted
            and self._writing + len(self._ready) < self._room
            and len(self._ended) < _MOST_HELD
        )

    def _begin(self) -> None:
        taken = next(self._items, None)
        if taken is None:
            self._exhausted = True
            return
        number, (key, work) = taken
        opened = _Open(number, key, work)
        try:
            course = self._judge.strategy.plan(work)
        except GliderError as error:
            self._end(opened, self._failed(opened, error))
            return
        if isinstance(course, Plan):
            opened.plan = course
            self._ready.append(opened)
            return
        opened.course = course
        self._go_on(opened, None)

    def _look(self) -> None:
        """Take in what was written meanwhile, without waiting."""
        while True:
            try:
                self._next_written(*self._arrived.get_nowait())
            except Empty:
                return

    def _next_written(self, opened: _Open[Key], future: "Future[Generation]") -> None:
        self._writing -= 1
        error = future.exception()
        if error is None:
            written = future.result()
            thought, said = split_thinking(written.text)
            written = replace(written, text=said.lstrip() if thought else said)
            opened.usage = opened.usage + written.usage
            assert opened.asked is not None
            opened.written.append(
                Step(
                    name=opened.asked.name,
                    text=written.text.removeprefix(opened.asked.opening).strip(),
                    cut_off=written.finish == "length",
                )
            )
            self._go_on(opened, written)
        elif isinstance(error, BackendError) and error.stops_run:
            raise error
        elif isinstance(error, GliderError):
            if isinstance(error, BackendError) and error.usage is not None:
                opened.usage = opened.usage + error.usage
            self._end(opened, self._failed(opened, error))
        else:
            raise error  # an error of ours inside a backend: it stops the run

    def _go_on(self, opened: _Open[Key], written: Generation | None) -> None:
        """Send a course what was written (None begins it); it asks again, or has its plan."""
        assert opened.course is not None
        try:
            asked = opened.course.send(written)  # type: ignore[arg-type]
        except StopIteration as stop:
            opened.plan = stop.value
            self._ready.append(opened)
        except GliderError as error:
            self._end(opened, self._failed(opened, error))
        else:
            self._submit(opened, asked)

    def _submit(self, opened: _Open[Key], asked: Ask) -> None:
        opened.asked = asked
        request = GenerationRequest(
            id=f"{opened.work.id}-{opened.number}-{asked.name}",
            messages=asked.messages,
            opening=asked.opening,
            grammar=asked.grammar,
            labels=asked.labels,
            decoding=Decoding(max_tokens=asked.max_tokens, seed=self._judge.seed),
        )
        self._writing += 1
        future = self._judge.backend.submit(request)
        future.add_done_callback(lambda done: self._arrived.put((opened, done)))

    def _failed(self, opened: _Open[Key], error: GliderError) -> Result:
        judge, work = self._judge, opened.work
        tasks = (work,) if isinstance(work, JudgeTask) else work.tasks
        failures = []
        for task in tasks:
            failure = Failure.of(error, task, judge=judge.id)
            told = f"strategy {judge.strategy.name}: {failure.message}"
            failures.append(failure.model_copy(update={"message": told}))
        return failures[0] if isinstance(work, JudgeTask) else work.fold(failures)

    def _end(self, opened: _Open[Key], outcome: Result) -> None:
        self._ended[opened.number] = (
            opened.key,
            attributed(
                outcome,
                opened.work,
                judge=self._judge.id,
                steps=(*opened.written, *(opened.plan.steps if opened.plan else ())),
                usage=opened.usage,
            ),
        )
