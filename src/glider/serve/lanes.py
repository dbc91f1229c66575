"""Who is judged next, and who is refused because it could not be done in time.

Two lanes: bare scores, and judgments with reasons. A lane gives the judge what it can carry; what
waits, waits shortest first, and the longer it has waited the shorter it counts, so that a long text
neither holds up many short ones nor waits for ever. What a request takes is measured, not
configured. A request whose deadline cannot be kept is refused at once, with both numbers, before
anything is asked of the model.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from glider.core.errors import Unavailable
from glider.core.judgments import Comparison, Failure, Judgment
from glider.core.tasks import JudgeTask
from glider.judging.judge import Judge, Work

Outcome = Judgment | Failure | Comparison
_BEFORE = 0.7
"""Weight of what was measured before, against the newest measurement."""
_HALF_S = 10.0
"""Busy seconds after which what was measured weighs half."""
_CHARS_A_TOKEN = 3.6
"""Rough and only relative: the same factor stands on both sides of the estimate."""
_AGING = 300.0
"""Tokens that a second of waiting is worth in the queue."""
_OLD_S = 10.0
"""A measurement as old as this is made anew when an idle lane refuses by it."""


class TooLate(Exception):
    """The deadline cannot be kept, or was not."""

    def __init__(self, estimate_s: float, left_s: float, *, admitted: bool) -> None:
        super().__init__(
            "not judged in time" if admitted else "could not be judged in time, so it was not begun"
        )
        self.estimate_s, self.left_s, self.admitted = estimate_s, left_s, admitted

    @property
    def retry_after_s(self) -> int:
        """Whole seconds after which a request as long might be taken."""
        return max(1, round(self.estimate_s - self.left_s + 0.5))


class QueueFull(Exception):
    """More waits than the lane's bound."""


@dataclass
class Pace:
    """How fast a lane works, in the unit of `Lane.cost`; None before anything was measured."""

    per_s: float | None = None
    """Cost that is done in a second while the lane is busy, all requests together."""
    alone_s: float | None = None
    """Seconds that a unit of cost takes a request that is alone."""
    beside_s: float | None = None
    """Seconds that a unit of cost takes a request beside others."""
    measured_at: float = float("-inf")
    _last: float | None = None
    """When a request last ended, or the lane's first began; None while it is idle."""
    _done: float = 0.0
    _busy_s: float = 0.0
    """What was done, and the seconds that it took; the older, the less it weighs."""

    def begun(self, now: float) -> None:
        """The lane has work."""
        if self._last is None:
            self._last = now

    def ended(self, cost: float, took_s: float, now: float, *, alone: bool, idle: bool) -> None:
        """A request is answered.

        Args:
            cost: 0 for one that was cancelled or that failed: it measures nothing.
            idle: the lane has no work any more.
        """
        if self._last is None:
            return
        spent = now - self._last
        weight = 0.5 ** (spent / _HALF_S)
        self._done, self._busy_s = self._done * weight + cost, self._busy_s * weight + spent
        self._last = None if idle else now
        if not cost:
            return
        self.measured_at = now
        if self._busy_s > 0:
            self.per_s = self._done / self._busy_s
        if alone:
            self.alone_s = _mixed(self.alone_s, took_s / cost)
        else:
            self.beside_s = _mixed(self.beside_s, took_s / cost)

    def estimate(self, own: float, before: float, *, alone: bool) -> float | None:
        """Seconds until a request is answered that comes now.

        Args:
            before: cost of what is done first.
            alone: nothing else is under way.
        """
        own_s = self.alone_s if alone else self.beside_s
        own_s = own_s if own_s is not None else (self.beside_s if alone else self.alone_s)
        if own_s is None or self.per_s is None:
            return None
        return own * own_s + before / self.per_s


def _mixed(before: float | None, newest: float) -> float:
    return newest if before is None else _BEFORE * before + (1 - _BEFORE) * newest


@dataclass(order=True)
class _Waiting:
    place: float
    number: int
    cost: float = field(compare=False)
    work: Work = field(compare=False)
    ready: "asyncio.Future[Outcome]" = field(compare=False)


@dataclass
class _Running:
    cost: float
    began: float
    alone: bool


class Lane:
    """One judge, asked for as much as it carries at once. Lives in one event loop."""

    def __init__(
        self,
        judge: Judge,
        *,
        width: int | None = None,
        written_tokens: float = 0.0,
        max_waiting: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a lane.

        Args:
            width: requests that the judge works on at once; what its backend says if not given.
            written_tokens: what writing an answer costs, in tokens read.
            max_waiting: requests that may wait; one more is refused.
        """
        self.judge, self.written_tokens, self.max_waiting = judge, written_tokens, max_waiting
        self.width = max(1, width or judge.in_flight)
        self.pace = Pace()
        self._clock = clock
        self._numbers = itertools.count()
        self._queue: list[_Waiting] = []
        self._running: dict[int, _Running] = {}
        self._sample_work: Work | None = None
        self._measuring: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(not one.ready.done() for one in self._queue)

    @property
    def running(self) -> int:
        """Requests that the judge is at."""
        return len(self._running)

    @property
    def idle(self) -> bool:
        """Nothing is under way and nothing waits."""
        return not self._running and not self.waiting

    def cost(self, work: Work) -> float:
        """About how many tokens a piece of work is: those read, and what is written."""
        return tokens_of(work) + self.written_tokens * (1 if isinstance(work, JudgeTask) else 2)

    def estimate(self, work: Work) -> float | None:
        """Seconds until this work would be done if it came now; None before a first measurement."""
        own = self.cost(work)
        place = self._place(own)
        before = sum(one.cost for one in self._queue if one.place <= place and not one.ready.done())
        if len(self._running) >= self.width:
            # What is under way is half done on average.
            before += sum(one.cost for one in self._running.values()) / 2
        return self.pace.estimate(own, before, alone=not self._running)

    async def judged(self, work: Work, *, left_s: float | None = None) -> Outcome:
        """The outcome of a piece of work.

        Whoever is cancelled while it waits ends the work, in the engine as well.

        Args:
            left_s: seconds that are left; None for as long as it takes.

        Raises:
            TooLate: refused at once, or not done in time; what was begun is cancelled.
            QueueFull: too much waits.
            BackendError: the engine takes nothing any more.
        """
        estimate = self.estimate(work)
        if left_s is not None and (left_s <= 0 or (estimate is not None and estimate > left_s)):
            self._measure_anew()
            raise TooLate(estimate or 0.0, left_s, admitted=False)
        if self.waiting >= self.max_waiting:
            raise QueueFull
        ready: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        cost = self.cost(work)
        entry = _Waiting(self._place(cost), next(self._numbers), cost, work, ready)
        heapq.heappush(self._queue, entry)
        self._start()
        try:
            return await asyncio.wait_for(ready, left_s)
        except TimeoutError as exc:
            raise TooLate(estimate or left_s or 0.0, left_s or 0.0, admitted=True) from exc
        finally:
            if len(self._queue) > 2 * self.waiting + 16:
                self._queue = [one for one in self._queue if not one.ready.done()]
                heapq.heapify(self._queue)

    async def measure(self, work: Work, *, at_once: int) -> Outcome:
        """Judge something alone, then several times at once, to know the lane's pace.

        The first answer pays for what is loaded at first use, and is not counted. One that fails is
        the last.
        """
        self._sample_work = work
        outcome = await self.judged(work)
        self.pace = Pace()
        if not isinstance(outcome, Failure):
            await self.judged(work)
            if at_once > 1:
                await asyncio.gather(*(self.judged(work) for _ in range(at_once)))
        return outcome

    def _measure_anew(self) -> None:
        """A refusal by an old measurement is the moment to make another."""
        old = self._clock() - self.pace.measured_at > _OLD_S
        busy = self._measuring is not None and not self._measuring.done()
        if self._sample_work is not None and old and self.idle and not busy:
            self._measuring = asyncio.create_task(self._again(self._sample_work))

    async def _again(self, work: Work) -> None:
        try:
            await self.judged(work)
        except Exception:  # noqa: BLE001 - nobody waits for it; who asks next is told what is wrong
            return

    def _place(self, cost: float) -> float:
        return cost + _AGING * self._clock()

    def _start(self) -> None:
        """Give the judge what it can carry."""
        while self._queue and len(self._running) < self.width:
            entry = heapq.heappop(self._queue)
            if not entry.ready.done():  # else nobody waits for it any more
                self._begin(entry)

    def _begin(self, entry: _Waiting) -> None:
        now, alone = self._clock(), not self._running
        for other in self._running.values():
            other.alone = False
        self.pace.begun(now)
        try:
            future = self.judge.submit(entry.work)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
            entry.ready.set_exception(error)
            return
        self._running[entry.number] = _Running(entry.cost, now, alone)
        loop = asyncio.get_running_loop()
        entry.ready.add_done_callback(lambda ready: future.cancel() if ready.cancelled() else None)

        def done(future: "Future[Outcome]") -> None:
            try:
                loop.call_soon_threadsafe(self._ended, entry, future)
            except RuntimeError:
                return  # the loop is closed: the server has stopped

        future.add_done_callback(done)

    def _ended(self, entry: _Waiting, future: "Future[Outcome]") -> None:
        ran, now = self._running.pop(entry.number), self._clock()
        error = None if future.cancelled() else future.exception()
        counts = not future.cancelled() and error is None
        counts = counts and not isinstance(future.result(), Failure)
        self.pace.ended(
            entry.cost if counts else 0.0,
            now - ran.began,
            now,
            alone=ran.alone,
            idle=not self._running and not self.waiting,
        )
        if not entry.ready.done():
            if future.cancelled():
                entry.ready.set_exception(Unavailable("the engine dropped the request"))
            elif error is not None:
                entry.ready.set_exception(error)
            else:
                entry.ready.set_result(future.result())
        self._start()


def tokens_of(work: Work) -> float:
    """About how many tokens are read for a piece of work."""
    tasks = (work,) if isinstance(work, JudgeTask) else work.tasks
    chars = 0
    for task in tasks:
        chars += sum(len(field.text) for field in task.sample.fields) + 200
        chars += len(task.criterion.question)
        chars += sum(len(text) for text in task.criterion.rubric.levels.values())
    return chars / _CHARS_A_TOKEN
