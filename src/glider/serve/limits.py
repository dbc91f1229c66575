"""What one key may use: requests a minute, and requests at once."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import Field

from glider.core.base import Frozen
from glider.core.errors import SetupError

DEFAULT = "default"
"""Name of the limit of keys that have none of their own; without keys, of all requests together."""


class KeyLimit(Frozen):
    """The limit of one key."""

    per_minute: float | None = Field(default=None, gt=0)
    """Requests a minute: so many may come at once, and as many again as time passes."""
    at_once: int | None = Field(default=None, ge=1)
    """Requests in progress."""


class OverLimit(Exception):
    """A key is over its limit."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass
class _Used:
    tokens: float
    at: float
    running: int = 0


class Limiter:
    """What each key has used. Use from one thread only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing used."""
        self._clock = clock
        self._used: dict[str | None, _Used] = {}

    def enter(self, owner: str | None, limits: Mapping[str, KeyLimit]) -> None:
        """Count a request; `leave` must follow.

        Raises:
            OverLimit: it is not counted.
        """
        limit = limits.get(owner or DEFAULT, limits.get(DEFAULT, KeyLimit()))
        now, most = self._clock(), limit.per_minute
        used = self._used.setdefault(owner, _Used(most or 0.0, now))
        if limit.at_once is not None and used.running >= limit.at_once:
            raise OverLimit(f"this key may have {limit.at_once} requests at once", 1)
        if most is not None:
            size = max(1.0, most)
            used.tokens = min(size, used.tokens + (now - used.at) * most / 60)
            used.at = now
            if used.tokens < 1:
                wait = math.ceil((1 - used.tokens) * 60 / most)
                raise OverLimit(f"this key may send {most:g} requests a minute", wait)
            used.tokens -= 1
        used.running += 1

    def leave(self, owner: str | None) -> None:
        """Count the end of a request."""
        self._used[owner].running -= 1


def check_limits(limits: Mapping[str, KeyLimit], owners: tuple[str, ...]) -> None:
    """Refuse a limit of a key that does not exist.

    Raises:
        SetupError: there is one.
    """
    if strange := sorted(set(limits) - {DEFAULT, *owners}):
        known = ", ".join(owners) or "none"
        raise SetupError(f"limits: no key is called {strange[0]!r}; there is {known}")
