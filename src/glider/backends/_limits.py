"""Limits on sending requests: concurrency at the endpoint, and the budget of the run.

Pure bookkeeping for one event loop: callers pass the time in; nothing sleeps or locks. Money is in
the unit of the price (usually dollars); times are in seconds on the loop's clock.
"""

import math
from dataclasses import dataclass

from glider.core.errors import SetupError
from glider.core.judgments import Usage

ALONE_S = 2.0
"""Seconds for which the first attempt runs alone, so that a setting the endpoint refuses is found
once, while a slow answer delays the others only briefly."""
_FIRST_LIMIT = 8
_ROUND_TRIPS_BACK = 16
"""Approximate number of round trips for additive growth to recover from one halving."""


class Pace:
    """How many attempts may be open at once: additive increase, multiplicative decrease.

    The first attempt runs alone for a short while. The limit then starts at 8 and doubles every
    round trip until the first sign of overload; after that it grows by a fixed step per round trip
    and halves on overload. Only an attempt that began after the last halving can halve it again,
    so one overload counts once, however many attempts it affects.
    """

    def __init__(self, ceiling: int) -> None:
        self.limit: float = min(_FIRST_LIMIT, ceiling)
        self.in_flight = 0
        self._ceiling = ceiling
        self._step: float | None = None  # Attempts added per round trip; None before overload.
        self._halved_at = -math.inf
        self._paused_until = -math.inf
        self._alone_until: float | None = None  # None before the first attempt.

    def ready(self, now: float) -> bool:
        """Return whether one more attempt may begin."""
        if self.in_flight and self._alone_until is not None and now < self._alone_until:
            return False
        return self.in_flight < int(self.limit) and now >= self._paused_until

    def begin(self, now: float) -> bool:
        """Record the start of an attempt; True if it is the first and runs alone for `ALONE_S`."""
        self.in_flight += 1
        if self._alone_until is not None:
            return False
        self._alone_until = now + ALONE_S
        return True

    def end(
        self,
        began: float,
        now: float,
        *,
        trouble: bool,
        pause_s: float = 0.0,
        learning: bool = False,
    ) -> None:
        """Record the end of an attempt.

        Args:
            learning: the endpoint refused a setting and the request is sent again without it; the
                first request continues to run alone.
            trouble: the endpoint is overloaded: 429, 503, or a timeout.
            pause_s: seconds for which no attempt may begin, as the endpoint asked.
        """
        if not learning:
            self._alone_until = -math.inf
        if trouble:
            self._paused_until = max(self._paused_until, now + pause_s)
            if began >= self._halved_at:
                # A sixteenth of the limit that was too high: this does not overload small endpoints
                # and soon fills large ones again.
                self._step = max(1.0, self.limit / _ROUND_TRIPS_BACK)
                self.limit = max(1.0, self.limit / 2)
                self._halved_at = now
        elif self.in_flight >= int(self.limit):  # A limit that was not reached shows nothing.
            step = 1.0 if self._step is None else self._step / self.limit
            self.limit = min(float(self._ceiling), self.limit + step)
        self.in_flight -= 1


@dataclass(frozen=True, slots=True)
class Price:
    """Price per million tokens."""

    input_per_million: float
    output_per_million: float

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the cost of one answer; cached prompt tokens count at the full price."""
        return (
            prompt_tokens * self.input_per_million + completion_tokens * self.output_per_million
        ) / 1e6


class Budget:
    """Keeps the sum of spent and reserved money at or below a limit.

    An attempt of unknown cost (it timed out, or its usage is missing) counts at its worst case,
    since the endpoint may have charged for it.
    """

    def __init__(self, price: Price | None, max_cost: float | None) -> None:
        if max_cost is not None and price is None:
            raise SetupError("a cost limit needs a price", hint="give price=Price(...) as well")
        if max_cost is not None and not max_cost >= 0:
            raise SetupError(f"max_cost is {max_cost}; it is 0 or more")
        self.price = price
        self.spent = 0.0
        self._max_cost = math.inf if max_cost is None else max_cost
        self._reserved = 0.0

    def worst_case(self, body_bytes: int, max_tokens: int) -> float:
        """Return an upper bound on the cost of one attempt.

        A byte-level tokenizer never produces more tokens than bytes, and the JSON around the texts
        is longer than the chat template's markup, so the request's size bounds the prompt.
        """
        return 0.0 if self.price is None else self.price.of(body_bytes, max_tokens)

    def fits(self, cost: float) -> bool:
        """Return whether `cost` could be reserved now."""
        return self.spent + self._reserved + cost <= self._max_cost

    def reserve(self, cost: float) -> None:
        """Reserve `cost` for an attempt that is about to begin."""
        self._reserved += cost

    def settle(self, reserved: float, cost: float) -> None:
        """Release `reserved` and record the actual cost."""
        self._reserved -= reserved
        self.spent += cost

    def priced(self, usage: Usage) -> float | None:
        """Return the cost of an answer; None if the price or the token counts are unknown."""
        if self.price is None or not usage.prompt_tokens:
            return None
        return self.price.of(usage.prompt_tokens, usage.completion_tokens)
