"""What one key may use: requests and texts a minute, and requests at once."""

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
    texts_per_minute: float | None = Field(default=None, gt=0)
    """Texts a minute, in the same way. A text counts once for each criterion that it is judged
    under, and a comparison counts as two."""
    at_once: int | None = Field(default=None, ge=1)
    """Requests in progress."""


class OverLimit(Exception):
    """A key is over its limit."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass
class _Bucket:
    """As many as a minute allows, filled again as time passes."""

    left: float
    at: float

    def take(self, n: int, per_minute: float, now: float) -> float:
        """Take `n`, or none of them; return the seconds until there are so many, 0 if taken."""
        self.left = min(max(1.0, per_minute), self.left + (now - self.at) * per_minute / 60)
        self.at = now
        if self.left < n:
            return (n - self.left) * 60 / per_minute
        self.left -= n
        return 0.0


@dataclass
class _Used:
    requests: _Bucket
    texts: _Bucket
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
        limit, used = self._of(owner, limits)
        if limit.at_once is not None and used.running >= limit.at_once:
            raise OverLimit(f"this key may have {limit.at_once} requests at once", 1)
        most = limit.per_minute
        if most is not None and (wait := used.requests.take(1, most, self._clock())):
            raise OverLimit(f"this key may send {most:g} requests a minute", math.ceil(wait))
        used.running += 1

    def take_texts(self, owner: str | None, limits: Mapping[str, KeyLimit], n: int) -> None:
        """Count the texts of a request, before any of them is judged.

        Raises:
            OverLimit: none of them is counted.
        """
        limit, used = self._of(owner, limits)
        most = limit.texts_per_minute
        if most is not None and (wait := used.texts.take(n, most, self._clock())):
            told = f"this key may have {most:g} texts a minute judged, and this request has {n}"
            raise OverLimit(told, math.ceil(wait))

    def _of(self, owner: str | None, limits: Mapping[str, KeyLimit]) -> tuple[KeyLimit, _Used]:
        limit, now = limits.get(owner or DEFAULT, limits.get(DEFAULT, KeyLimit())), self._clock()
        if owner not in self._used:
            requests = _Bucket(max(1.0, limit.per_minute or 0.0), now)
            texts = _Bucket(max(1.0, limit.texts_per_minute or 0.0), now)
            self._used[owner] = _Used(requests, texts)
        return limit, self._used[owner]

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
