"""Queues: which request is judged next, and which is refused because it would miss its deadline.

There are two lanes: scores alone, and judgments with reasons. A lane sends the judge as much as it
can handle. Waiting requests run shortest first, with aging, so that a long text neither blocks many
short ones nor waits for ever; but none goes before one that would then miss its deadline. Service
times are measured, not configured, and so is how far estimates fall short: a request is admitted if
99 of 100 with such an estimate were done within its deadline. Any other is refused at once, with
the time needed and the time left, before the model is asked anything.
"""

import asyncio
import heapq
import itertools
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from glider.core.errors import Unavailable
from glider.core.judgments import Failure, Outcome
from glider.core.tasks import JudgeTask
from glider.judging.judge import Judge, Work

_BEFORE = 0.7
"""Weight of the previous estimate against the newest measurement."""
_HALF_S = 10.0
"""Half-life of past throughput, in busy seconds."""
_CHARS_A_TOKEN = 3.6
"""Approximate; the same factor applies on both sides of the estimate."""
_AGING = 300.0
"""Tokens of priority that a request gains per second of waiting."""
_OLD_S = 10.0
"""Age in seconds at which an idle lane that refuses a request repeats its measurement."""
_KEPT = 0.99
"""Share of admitted requests that should be done within their deadline."""
_REMEMBERED, _REMEMBERED_S = 300, 300.0
"""The newest requests that margins are made of, and their greatest age in seconds."""
_FIRST_MARGIN = 1.5
"""Lower bound of the margin until enough requests have been seen for the quantile."""


class TooLate(Exception):
    """The deadline cannot be met, or was missed."""

    def __init__(self, estimate_s: float, left_s: float, *, admitted: bool) -> None:
        super().__init__(
            "not judged in time" if admitted else "could not be judged in time, so it was not begun"
        )
        self.estimate_s, self.left_s, self.admitted = estimate_s, left_s, admitted

    @property
    def retry_after_s(self) -> int:
        """Whole seconds after which a request of the same length might be accepted."""
        return max(1, round(self.estimate_s - self.left_s + 0.5))


class QueueFull(Exception):
    """The lane's queue is full."""


class Margin:
    """How many times its estimate a request takes, at most: a quantile of the newest ones."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)

    def ended(self, estimate_s: float, took_s: float, now: float) -> None:
        """Record how long a request took; for one that was given up, how long until then."""
        if estimate_s > 0:
            self._seen.append((now, took_s / estimate_s))

    def factor(self, now: float) -> float:
        """Return the factor that the next request exceeds with probability 0.01 at most.

        The quantile is that of conformal prediction: of n exchangeable requests, the next one
        exceeds the k-th smallest with probability 1 - k / (n + 1). Fewer than 99 allow no such
        promise; then it is the largest, and not less than 1.5.
        """
        ratios = sorted(ratio for at, ratio in self._seen if now - at <= _REMEMBERED_S)
        place = math.ceil(_KEPT * (len(ratios) + 1))
        if place > len(ratios):
            return max([_FIRST_MARGIN, *ratios])
        return ratios[place - 1]


@dataclass
class Pace:
    """How fast a lane works, in the unit of `Lane.cost`; None before the first measurement."""

    per_s: float | None = None
    """Throughput: cost per second while the lane is busy, over all requests."""
    alone_s: float | None = None
    """Seconds per unit of cost for a request that runs alone."""
    beside_s: float | None = None
    """Seconds per unit of cost for a request that runs beside others."""
    measured_at: float = float("-inf")
    _last: float | None = None
    """When a request last ended, or the busy period began; None while the lane is idle."""
    _done: float = 0.0
    _busy_s: float = 0.0
    """Cost done and the seconds it took, exponentially discounted."""

    def begun(self, now: float) -> None:
        """Record that the lane has work."""
        if self._last is None:
            self._last = now

    def ended(self, cost: float, took_s: float, now: float, *, alone: bool, idle: bool) -> None:
        """Record that a request ended.

        Args:
            cost: 0 for a cancelled or failed request, which measures nothing.
            idle: whether the lane has no work left.
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
        """Estimate the seconds until a new request is answered.

        Args:
            before: cost of the work ahead of it.
            alone: whether nothing else is in progress.
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
    asked: float = field(compare=False)
    estimate_s: float | None = field(compare=False)
    due: float | None = field(compare=False)


@dataclass
class _Running:
    cost: float
    began: float
    alone: bool


class Lane:
    """A queue for one judge, filled to its capacity. Use from one event loop only."""

    def __init__(
        self,
        judge: Judge,
        *,
        width: int | None = None,
        serial: bool = False,
        written_tokens: float = 0.0,
        max_waiting: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a lane.

        Args:
            width: concurrent requests to the judge; by default what its backend declares.
            serial: the engine answers them one after another.
            written_tokens: cost of writing an answer, in input tokens.
            max_waiting: requests that may wait; further ones are refused.
        """
        self.judge, self.written_tokens, self.max_waiting = judge, written_tokens, max_waiting
        self.width, self.serial = max(1, width or judge.in_flight), serial
        self.pace = Pace()
        self.margin = Margin()
        self._clock = clock
        self._numbers = itertools.count()
        self._queue: list[_Waiting] = []
        self._running: dict[int, _Running] = {}
        self._last_end = float("-inf")
        self._sample: Callable[[], Work] | None = None
        self._measuring: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """The number of waiting requests."""
        return sum(not one.ready.done() for one in self._queue)

    @property
    def running(self) -> int:
        """The number of requests the judge is working on."""
        return len(self._running)

    @property
    def idle(self) -> bool:
        """Whether nothing is in progress or waiting."""
        return not self._running and not self.waiting

    def cost(self, work: Work) -> float:
        """Return the approximate tokens of a piece of work: input plus output."""
        return tokens_of(work) + self.written_tokens * (1 if isinstance(work, JudgeTask) else 2)

    def estimate(self, work: Work) -> float | None:
        """Estimate the seconds until this work would be done; None before the first measurement.

        It is an average; `margin` is how many times longer it may take.
        """
        cost = self.cost(work)
        return self._estimate(cost, self._place(cost))

    def _estimate(self, own: float, place: float) -> float | None:
        before = sum(one.cost for one in self._queue if one.place <= place and not one.ready.done())
        return self._seconds(own, before)

    def _seconds(self, own: float, before: float) -> float | None:
        """Estimate the seconds until work is done that has so much waiting before it."""
        if self.serial:
            total = own + before + self._left_to_do()
            return None if self.pace.per_s is None else total / self.pace.per_s
        if len(self._running) >= self.width:
            # Work in progress is half done on average.
            before += sum(one.cost for one in self._running.values()) / 2
        return self.pace.estimate(own, before, alone=not self._running)

    def _left_to_do(self) -> float:
        """The cost of the work in progress that is not done yet, in a serial lane."""
        running = list(self._running.values())
        total = sum(one.cost for one in running)
        if running and self.pace.per_s is not None:
            spent = self._clock() - max(running[0].began, self._last_end)
            total -= min(running[0].cost, spent * self.pace.per_s)
        return total

    async def judged(self, work: Work, *, left_s: float | None = None) -> Outcome:
        """Return the outcome of a piece of work.

        Cancelling a waiting caller also cancels the work in the engine.

        Args:
            left_s: seconds left; None for no deadline.

        Raises:
            TooLate: refused at once, or not done in time; work in progress is cancelled.
            QueueFull: too many requests wait.
            BackendError: the engine no longer accepts requests.
        """
        cost, now = self.cost(work), self._clock()
        factor = self.margin.factor(now)
        place = self._behind_the_pressed(cost, self._place(cost), factor)
        estimate = self._estimate(cost, place)
        needed = 0.0 if estimate is None else estimate * factor
        if left_s is not None and (left_s <= 0 or needed > left_s):
            self._measure_anew()
            raise TooLate(needed, left_s, admitted=False)
        if self.waiting >= self.max_waiting:
            raise QueueFull
        ready: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._put_off(cost, place)
        due = None if left_s is None else now + left_s
        entry = _Waiting(place, next(self._numbers), cost, work, ready, now, estimate, due)
        heapq.heappush(self._queue, entry)
        self._start()
        try:
            return await asyncio.wait_for(ready, left_s)
        except TimeoutError as exc:
            if entry.estimate_s is not None:
                self.margin.ended(entry.estimate_s, self._clock() - now, self._clock())
            raise TooLate(needed or left_s or 0.0, left_s or 0.0, admitted=True) from exc
        finally:
            if len(self._queue) > 2 * self.waiting + 16:
                self._queue = [one for one in self._queue if not one.ready.done()]
                heapq.heapify(self._queue)

    async def measure(self, sample: Callable[[], Work], *, at_once: int) -> Outcome:
        """Judge something alone, then several things concurrently, to measure the lane's pace.

        The first answer includes lazy loading and is not counted. A failure ends the
        measurement.

        Args:
            sample: makes the work; each time another text, which no cache knows.
        """
        self._sample = sample
        outcome = await self.judged(sample())
        self.pace, self.margin = Pace(), Margin()
        if not isinstance(outcome, Failure):
            await self.judged(sample())
            if at_once > 1:
                await asyncio.gather(*(self.judged(sample()) for _ in range(at_once)))
        return outcome

    def _measure_anew(self) -> None:
        """Repeat the measurement if it is old and the lane is idle."""
        old = self._clock() - self.pace.measured_at > _OLD_S
        busy = self._measuring is not None and not self._measuring.done()
        if self._sample is not None and old and self.idle and not busy:
            self._measuring = asyncio.create_task(self._again(self._sample()))

    async def _again(self, work: Work) -> None:
        try:
            await self.judged(work)
        except Exception:  # noqa: BLE001 - nobody waits for it; the next request reports the error
            return

    def _place(self, cost: float) -> float:
        return cost + _AGING * self._clock()

    def _behind_the_pressed(self, cost: float, place: float, factor: float) -> float:
        """Return a place behind every waiting request that would be late if this went before it."""
        waiting = [one for one in self._queue if not one.ready.done()]
        if self.pace.per_s is None or all(one.due is None or one.place <= place for one in waiting):
            return place
        before, now = 0.0, self._clock()
        for one in sorted(waiting, key=lambda one: one.place):
            if one.due is not None and one.place > place:
                until = self._seconds(one.cost, before + cost)
                if until is not None and now + factor * until > one.due:
                    place = one.place
            before += one.cost
        return place

    def _put_off(self, cost: float, place: float) -> None:
        """Correct the estimates of those before which work of such a cost goes."""
        if self.pace.per_s is None:
            return
        for one in self._queue:
            if one.place > place and one.estimate_s is not None:
                one.estimate_s += cost / self.pace.per_s

    def _start(self) -> None:
        """Send the judge as much as it can handle."""
        while self._queue and len(self._running) < self.width:
            entry = heapq.heappop(self._queue)
            if not entry.ready.done():  # else the caller has gone
                self._begin(entry)

    def _begin(self, entry: _Waiting) -> None:
        now, alone = self._clock(), not self._running
        for other in self._running.values():
            other.alone = False
        self.pace.begun(now)
        try:
            future = self.judge.submit(entry.work)
        except Exception as error:  # noqa: BLE001 - the waiting caller receives any error
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
        self._last_end = now
        error = None if future.cancelled() else future.exception()
        counts = not future.cancelled() and error is None
        counts = counts and not isinstance(future.result(), Failure)
        self.pace.ended(
            entry.cost if counts else 0.0,
            now - ran.began,
            now,
            alone=ran.alone,
            idle=self.idle,
        )
        if counts and entry.estimate_s is not None:
            self.margin.ended(entry.estimate_s, now - entry.asked, now)
        if not entry.ready.done():
            if future.cancelled():
                entry.ready.set_exception(Unavailable("the engine dropped the request"))
            elif error is not None:
                entry.ready.set_exception(error)
            else:
                entry.ready.set_result(future.result())
        self._start()


def tokens_of(work: Work) -> float:
    """Return the approximate number of input tokens of a piece of work."""
    tasks = (work,) if isinstance(work, JudgeTask) else work.tasks
    chars = 0
    for task in tasks:
        chars += sum(len(field.text) for field in task.sample.fields) + 200
        chars += len(task.criterion.question)
        chars += sum(len(text) for text in task.criterion.rubric.levels.values())
    return chars / _CHARS_A_TOKEN
