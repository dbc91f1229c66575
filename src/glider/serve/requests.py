"""What handlers share: the state of the server and of one request; its body, key and deadline."""

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from glider.serve.bodies import read_body
from glider.serve.keys import Keys
from glider.serve.limits import Limiter
from glider.serve.metrics import Metrics
from glider.serve.service import Laters, ServedJudge, Serving
from glider.serve.traces import RequestSpan, Traces
from glider.serve.verdict_log import VerdictLog
from glider.serve.wires.base import WireError

DEADLINE = "Glider-Deadline-Ms"
REASONS = "Glider-Reasons"
WITHOUT_KEY = ("/health", "/ready")
"""Paths that need no key and are answered while the server stops."""
_LONGEST_DEADLINE_MS = 86_400_000


class Service:
    """The server state that handlers share."""

    def __init__(self, serving: Serving, traces: Traces | None = None) -> None:
        """Create the state for what is served.

        Args:
            traces: makes a span of each request.
        """
        self.serving, self.traces = serving, traces
        self.stopping = False
        self.limiter = Limiter()
        self.silent: set[Any] = set()
        """Connections, as aiohttp's protocols, that have not sent headers."""
        self.streams = 0
        """Texts that are judged while they are being written."""
        self.in_progress: list[RequestState] = []
        self.metrics = Metrics(lambda: self.serving.lanes, lambda: self.serving.policies)
        self.laters = Laters(serving.config.bounds.kept)
        self.log: VerdictLog | None = None
        self.open_log()

    def uses(self, judge: ServedJudge) -> bool:
        """Whether a request in progress may still use this judge."""
        return not judge.idle or any(
            judge is one for state in self.in_progress for one in state.serving.judges.values()
        )

    def open_log(self) -> None:
        """Open the log that the configuration names and close the previous one.

        Raises:
            RunError: it cannot be written.
        """
        settings, before = self.serving.config.log, self.log
        judge = next(iter(self.serving.judges.values())).judge.id
        policies = self.serving.policies.values()
        self.log = None if settings is None else VerdictLog(settings, policies, judge)
        if before is not None:
            before.close()


@dataclass(eq=False)
class RequestState:
    """The state of one request in progress."""

    began: float
    """Monotonic clock, seconds."""
    serving: Serving
    """The serving state when the request arrived; a reload does not change it."""
    owner: str | None = None
    """Owner of the request's key."""
    span: RequestSpan | None = None


SERVICE = web.AppKey("service", Service)
STATE: ContextVar[RequestState] = ContextVar("STATE")
"""Of the request that the running handler answers."""


def serving() -> Serving:
    """Return what is served to the request in progress."""
    return STATE.get().serving


async def body_of(request: web.Request) -> dict[str, Any]:
    """Read the body within the bounds that are served.

    Raises:
        WireError: 400, 408, 413, 415 or 422.
    """
    return await read_body(request, serving().config.bounds)


def key_owner(request: web.Request, metrics: Metrics, keys: Keys) -> str | None:
    """Return the owner of the request's key; None if no key is needed.

    Raises:
        WireError: 401.
    """
    if not keys or request.path in WITHOUT_KEY:
        return None
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer":
        given = request.headers.get("x-api-key", "")
    owner = keys.owner(given.strip())
    if owner is None:
        metrics.refused("key")
        raise WireError("no such key", status=401, code="invalid_api_key")
    return owner


def seconds_left(request: web.Request, deadline_ms: Any = None) -> float | None:
    """Return the seconds left of the client's deadline; None if it has none.

    Args:
        deadline_ms: what the body says; the header goes before it.

    Raises:
        WireError: it is not a number of milliseconds.
    """
    given = request.headers.get(DEADLINE, deadline_ms)
    if given is None:
        return None
    try:
        ms = float(given)
    except (TypeError, ValueError):
        ms = 0.0
    if not 0 < ms <= _LONGEST_DEADLINE_MS:
        raise WireError(f"{DEADLINE} is a number of milliseconds above 0", param=DEADLINE)
    return ms / 1000 - (time.monotonic() - STATE.get().began)


def options_of(request: web.Request, body: Mapping[str, Any]) -> tuple[bool, float | None]:
    """Return whether a client of a foreign API wants reasons, and its deadline in seconds.

    Both come from headers, or from `glider: {...}` in the body.

    Raises:
        WireError: it says something that is not known.
    """
    extra = body.get("glider", {})
    if not isinstance(extra, Mapping) or set(extra) - {"reasons", "deadline_ms"}:
        raise WireError("glider has reasons and deadline_ms", param="glider")
    why = extra.get("reasons", request.headers.get(REASONS, "") in ("1", "true"))
    if not isinstance(why, bool):
        raise WireError("glider.reasons is true or false", param="glider.reasons")
    return why, seconds_left(request, extra.get("deadline_ms"))
