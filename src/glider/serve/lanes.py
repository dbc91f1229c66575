"""Who is judged next, and who is refused because it could not be done in time.

Two lanes: bare scores, and judgments with reasons. A lane gives the judge what it can carry; what
waits, waits shortest first, so a long text does not hold up many short ones. What a request costs
is measured, not configured: tokens a second while the lane is busy. A request whose deadline
cannot be kept is refused at once, with both numbers, before anything is asked of the model.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from glider.core.judgments import Comparison, Failure, Judgment
from glider.judging.judge import Judge, Work

Outcome = Judgment | Failure | Comparison
_FORGET = 0.8
"""Weight of what was measured before, against the newest measurement."""
_CHARS_A_TOKEN = 3.6
"""Rough and only relative: the same factor stands on both sides of the estimate."""


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


class Full(Exception):
    """More waits than the lane's bound."""


@dataclass(order=True)
class _Waiting:
    tokens: float
    number: int
    work: Work = field(compare=False)
    ready: "asyncio.Future[Outcome]" = field(compare=False)


@dataclass
class Speed:
    """Tokens a second of a lane, over the times when it had work."""

    tokens_per_s: float | None = None
    _since: float | None = None
    _done: float = 0.0

    def busy(self, now: float) -> None:
        """The lane has work."""
        if self._since is None:
            self._since, self._done = now, 0.0

    def ended(self, tokens: float, now: float, *, idle: bool) -> None:
        """Some tokens are done; after a quarter of a second of work they are a measurement."""
        self._done += tokens
        assert self._since is not None
        spent = now - self._since
        if spent >= 0.25 or (idle and spent > 0):
            measured = self._done / spent
            before = self.tokens_per_s
            self.tokens_per_s = (
                measured if before is None else _FORGET * before + (1 - _FORGET) * measured
            )
            self._since, self._done = (None if idle else now), 0.0
        elif idle:
            self._since = None


class Lane:
    """One judge, asked for as much as it carries at once."""

    def __init__(
        self,
        judge: Judge,
        *,
        most_waiting: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a lane.

        Args:
            most_waiting: requests that may wait; one more is refused.
        """
        self.judge, self.most_waiting = judge, most_waiting
        self.speed = Speed()
        self._clock = clock
        self._numbers = itertools.count()
        self._queue: list[_Waiting] = []
        self._running: dict[int, float] = {}

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(not one.ready.done() for one in self._queue)

    @property
    def running(self) -> int:
        """Requests that the judge is at."""
        return len(self._running)

    def estimate(self, work: Work) -> float | None:
        """Seconds until this work would be done if it came now; None before anything was measured."""
        if self.speed.tokens_per_s is None:
            return None
        own = tokens_of(work)
        before = sum(self._running.values())
        before += sum(
            one.tokens for one in self._queue if not one.ready.done() and one.tokens <= own
        )
        return (before + own) / self.speed.tokens_per_s

    async def judged(self, work: Work, *, left_s: float | None = None) -> Outcome:
        """The outcome of a piece of work.

        Args:
            left_s: seconds that are left; None for as long as it takes.

        Raises:
            TooLate: refused at once, or not done in time; what was begun is cancelled.
            Full: too much waits.
            BackendError: the engine takes nothing any more.
        """
        estimate = self.estimate(work)
        if left_s is not None and (left_s <= 0 or (estimate is not None and estimate > left_s)):
            raise TooLate(estimate or 0.0, left_s, admitted=False)
        if self.waiting >= self.most_waiting:
            raise Full
        ready: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        entry = _Waiting(tokens_of(work), next(self._numbers), work, ready)
        heapq.heappush(self._queue, entry)
        self._start()
        try:
            return await asyncio.wait_for(ready, left_s)
        except TimeoutError as exc:
            raise TooLate(estimate or left_s or 0.0, left_s or 0.0, admitted=True) from exc

    def _start(self) -> None:
        """Give the judge what it can carry."""
        while self._queue and len(self._running) < max(1, self.judge.in_flight):
            entry = heapq.heappop(self._queue)
            if entry.ready.done():
                continue  # nobody waits for it any more
            self._running[entry.number] = entry.tokens
            self.speed.busy(self._clock())
            future = self.judge.submit(entry.work)
            loop = asyncio.get_running_loop()
            entry.ready.add_done_callback(
                lambda ready, f=future: f.cancel() if ready.cancelled() else None
            )

            def done(future: "Future[Outcome]", entry: _Waiting = entry) -> None:
                loop.call_soon_threadsafe(self._ended, entry, future)

            future.add_done_callback(done)

    def _ended(self, entry: _Waiting, future: "Future[Outcome]") -> None:
        del self._running[entry.number]
        now = self._clock()
        self.speed.ended(
            0.0 if future.cancelled() else entry.tokens,
            now,
            idle=not self._running and not self._queue,
        )
        if not entry.ready.done():
            if future.cancelled():
                entry.ready.cancel()
            elif (error := future.exception()) is not None:
                entry.ready.set_exception(error)
            else:
                entry.ready.set_result(future.result())
        self._start()


def tokens_of(work: Work) -> float:
    """About how many tokens a piece of work is."""
    sample, criterion = work.sample, work.criterion
    chars = sum(len(field.text) for field in sample.fields) + len(criterion.question)
    chars += sum(len(text) for text in criterion.rubric.levels.values()) + 200
    return chars / _CHARS_A_TOKEN
