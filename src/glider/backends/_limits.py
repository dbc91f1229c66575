"""What holds a request back: the endpoint's pace and the run's money.

Pure bookkeeping for one event loop: the time is passed in, nothing sleeps and nothing is locked.
Money is in the unit of the price (dollars, usually), times are seconds of the loop's clock.
"""

import math
from dataclasses import dataclass

from glider.core.errors import SetupError
from glider.core.judgments import Usage

ALONE_S = 2.0
"""How long the first attempt goes alone: what an endpoint refuses is then learnt once, and a slow
answer holds nobody back for long."""
_FIRST_LIMIT = 8
_ROUND_TRIPS_BACK = 16
"""Round trips in which additive growth makes up for one halving, give or take."""


class Pace:
    """How many attempts may be open at once: additive increase, multiplicative decrease.

    The first attempt goes alone for a short while. From 8 it then doubles each round trip until the
    first trouble; from then on it grows by a fixed step a round trip, and halves on trouble. Only
    an attempt that began after the last halving can halve again, so one bad moment counts once,
    however many attempts it hits.
    """

    def __init__(self, ceiling: int) -> None:
        self.limit: float = min(_FIRST_LIMIT, ceiling)
        self.in_flight = 0
        self._ceiling = ceiling
        self._step: float | None = None  # Attempts a round trip; None before the first trouble.
        self._halved_at = -math.inf
        self._paused_until = -math.inf
        self._alone_until: float | None = None  # None before the first attempt.

    def ready(self, now: float) -> bool:
        """Whether one more attempt may begin."""
        if self.in_flight and self._alone_until is not None and now < self._alone_until:
            return False
        return self.in_flight < int(self.limit) and now >= self._paused_until

    def begin(self, now: float) -> bool:
        """An attempt begins; True if it is the first, and others wait for its end or `ALONE_S`."""
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
        """An attempt is over.

        Args:
            learning: a setting was refused and the request goes again without; the first goes on
                alone.
            trouble: the endpoint has too much to do: 429, 503, no answer in time.
            pause_s: how long nothing at all may begin, as the endpoint asked.
        """
        if not learning:
            self._alone_until = -math.inf
        if trouble:
            self._paused_until = max(self._paused_until, now + pause_s)
            if began >= self._halved_at:
                # A sixteenth of what was too much: small endpoints are not overrun, large ones
                # are soon filled again.
                self._step = max(1.0, self.limit / _ROUND_TRIPS_BACK)
                self.limit = max(1.0, self.limit / 2)
                self._halved_at = now
        elif self.in_flight >= int(self.limit):  # A limit that is not reached proves nothing.
            step = 1.0 if self._step is None else self._step / self.limit
            self.limit = min(float(self._ceiling), self.limit + step)
        self.in_flight -= 1


@dataclass(frozen=True, slots=True)
class Price:
    """What an endpoint charges for a million tokens."""

    input_per_million: float
    output_per_million: float

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The cost of one answer; cached prompt tokens are counted in full."""
        return (
            prompt_tokens * self.input_per_million + completion_tokens * self.output_per_million
        ) / 1e6


class Budget:
    """Keeps spent and reserved money together at or below a limit.

    An attempt whose cost nobody told (it timed out, its usage is missing) counts as its worst
    case, since the endpoint may well have charged it.
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
        """The most that one attempt can cost.

        A byte-level tokenizer never makes more tokens than bytes, and the JSON around the texts
        is longer than the chat template's marks, so the request's size bounds the prompt.
        """
        return 0.0 if self.price is None else self.price.of(body_bytes, max_tokens)

    def fits(self, cost: float) -> bool:
        """Whether this much could be reserved now."""
        return self.spent + self._reserved + cost <= self._max_cost

    def reserve(self, cost: float) -> None:
        """Set `cost` aside for an attempt that begins."""
        self._reserved += cost

    def settle(self, reserved: float, cost: float) -> None:
        """Give `reserved` back and book what was charged."""
        self._reserved -= reserved
        self.spent += cost

    def priced(self, usage: Usage) -> float | None:
        """What an answer cost; None where the price or the tokens are not known."""
        if self.price is None or not usage.prompt_tokens:
            return None
        return self.price.of(usage.prompt_tokens, usage.completion_tokens)
