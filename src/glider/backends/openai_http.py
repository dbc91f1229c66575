"""Any OpenAI-compatible endpoint: hosted, or vLLM, SGLang, llama.cpp, Ollama on your own machine.

It finds out how many concurrent requests the endpoint can handle, waits when asked to, retries
temporary errors, and never exceeds a spending limit. One thread runs one event loop; `submit` only
queues. It reads no environment variables except the system's proxy settings, and logs neither keys
nor texts.

The convention to know: a request consists of successive *attempts*. The deadline, reserved money
and seconds in the usage belong to an attempt; the retry count, tokens and cost belong to the
request. Once an endpoint refuses access (no such key, no credit, no such model), no further
request is sent.
"""

import asyncio
import json
import logging
import random
import threading
import time
import urllib.parse
import urllib.request
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from glider.backends._complaints import Complaint, error_of, read_reply
from glider.backends._limits import ALONE_S, Budget, Pace, Price
from glider.backends._openai_wire import GrammarKind, Wire, retry_after, usage_of
from glider.backends.base import Backend, Capabilities, Limits, settle
from glider.core.errors import (
    AccessRefused,
    BackendError,
    BadResponse,
    BudgetSpent,
    PromptTooLong,
    Refused,
    SetupError,
    TimedOut,
    Unavailable,
)
from glider.core.generation import Generation, GenerationRequest
from glider.core.judgments import Usage

__all__ = ["GrammarKind", "OpenAIBackend", "Price"]

_log = logging.getLogger(__name__)

# ASCII, so that a lone surrogate in a judged text can be sent.
_encode = json.JSONEncoder(separators=(",", ":")).encode

_OVERLOADED = (408, 429, 503, 504, 529)
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 30.0
_LONGEST_PAUSE_S = 300.0
"""If an endpoint asks for a longer pause, the request fails instead of waiting."""
_REFUSED_S = 10.0
"""Time for which nothing is sent to an endpoint that has refused us. A run ends by then; a server
goes on, and the endpoint may let it in again."""

# uvicorn (and so vLLM) closes idle connections after 5 s; ours must expire first.
_KEEPALIVE_S = 4.0


@dataclass(slots=True, eq=False)
class _Job:
    request: GenerationRequest
    future: "Future[Generation]"
    retries: int = 0
    attempt: "asyncio.Task[None] | None" = None
    """The running attempt, if any."""
    spent: Usage = field(default_factory=Usage)
    """Known tokens and cost of all attempts."""


class OpenAIBackend(Backend):
    """Chat completions over HTTP."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        max_retries: int = 6,
        max_in_flight: int = 64,
        price: Price | None = None,
        max_cost: float | None = None,
        grammar: GrammarKind = "auto",
    ) -> None:
        """Set up the client; no request is sent yet.

        Args:
            base_url: up to and with /v1; OpenAI's own if not given.
            timeout_s: limit for each attempt, from sending to the last byte of the answer.
            max_retries: number of further attempts after temporary errors.
            max_in_flight: most concurrent requests; the actual number adapts to the endpoint.
            max_cost: limit for all requests together, in the unit of `price`; never exceeded as
                long as the endpoint counts tokens honestly.
            grammar: how to send grammars to this endpoint. `auto` and `json-schema` apply to
                requests that have a JSON schema, `vllm` and `llama.cpp` to all.

        Raises:
            SetupError: an address, a key or a number is not usable.
        """
        try:
            url = urllib.parse.urlsplit((base_url or "https://api.openai.com/v1").rstrip("/"))
            usable = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError:  # A port that is not a number, or an incomplete IPv6 address.
            usable = False
        if not usable or url.username or url.hostname is None:
            raise SetupError(
                "base_url must be http(s)://HOST[:PORT]/PATH without a user name",
                hint="for example http://127.0.0.1:8000/v1",
            )
        key = (api_key or "").strip()
        if not (key.isascii() and key.isprintable()):
            raise SetupError("api_key has characters that no HTTP header can carry")
        if not timeout_s > 0 or max_retries < 0 or max_in_flight < 1:
            raise SetupError(
                "timeout_s is above 0, max_retries 0 or more, max_in_flight 1 or more; "
                f"got {timeout_s}, {max_retries}, {max_in_flight}"
            )
        self.id = f"openai/{model}"
        self.limits = Limits(in_flight=max_in_flight)
        self.capabilities = Capabilities(
            grammar=grammar in ("vllm", "llama.cpp"), label_logprobs=True
        )
        self._url = url._replace(path=url.path + "/chat/completions").geturl()
        self._proxy = _proxy_for(url.scheme, url.hostname)
        # Bodies are small, so identity: no decompression, and no decompression bombs.
        self._headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "glider",
        }
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._key = key
        self._wire = Wire(model, grammar)
        self._pace = Pace(max_in_flight)
        self._budget = Budget(price, max_cost)

        self._lock = threading.Lock()  # Guards the next three, shared with submitting threads.
        self._inbox: deque[_Job] = deque()
        self._called = False
        self._closed = False
        # From here on, everything belongs to the loop's thread.
        self._waiting: deque[_Job] = deque()
        self._refused: AccessRefused | None = None
        self._refused_until = 0.0
        self._open: set[_Job] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="glider-openai", daemon=True
        )
        self._thread.start()
        self._loop = started.result()

    def submit(self, request: GenerationRequest) -> "Future[Generation]":
        job = _Job(request, Future())
        with self._lock:
            if self._closed:
                settle(job.future, _closed())
                return job.future
            self._inbox.append(job)
            # One call hands over many requests; waking the loop costs more than anything else.
            if not self._called:
                self._called = True
                self._loop.call_soon_threadsafe(self._take_over)
        job.future.add_done_callback(lambda future: self._cancelled(job, future))
        return job.future

    def _cancelled(self, job: _Job, future: "Future[Generation]") -> None:
        """Close the connection of a cancelled request, which tells the endpoint to stop."""
        with self._lock:
            if future.cancelled() and not self._closed:
                self._loop.call_soon_threadsafe(self._hang_up, job)

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._loop.call_soon_threadsafe(self._stop.set)
        # A future's callback runs in that thread, and may close the backend.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    # ---- the loop's thread

    async def _serve(self, started: "Future[asyncio.AbstractEventLoop]") -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S)
        async with aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        ) as self._session:
            started.set_result(asyncio.get_running_loop())
            await self._stop.wait()
            self._take_over()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for job in list(self._open):
                self._settle(job, _closed())

    def _take_over(self) -> None:
        with self._lock:
            self._called = False
            jobs, self._inbox = self._inbox, deque()
        self._open.update(jobs)
        self._waiting.extend(jobs)
        self._pump()

    def _hang_up(self, job: _Job) -> None:
        if job.attempt is not None:
            job.attempt.cancel()
        elif job in self._waiting:
            self._waiting.remove(job)
            self._settle(job, _closed())
        self._pump()

    def _pump(self) -> None:
        """Start as many attempts as pace and budget allow."""
        if self._loop.time() >= self._refused_until:
            self._refused = None
        while self._refused is not None and self._waiting:
            self._settle(self._waiting.popleft(), self._refused)
        while self._waiting and not self._stop.is_set() and self._pace.ready(self._loop.time()):
            job = self._waiting[0]
            if job.future.cancelled():
                self._waiting.popleft()
                self._settle(job, _closed())
                continue
            try:
                sent = self._wire.body(job.request)
                body = _encode(sent).encode("ascii")
            except (TypeError, ValueError, RecursionError) as error:  # Not valid JSON.
                self._waiting.popleft()
                self._settle(job, error)
                continue
            worst = self._budget.worst_case(len(body), self._wire.most_tokens(sent))
            if not self._budget.fits(worst):
                if self._pace.in_flight:
                    return  # Open attempts may cost less than their reservation.
                self._waiting.popleft()
                self._settle(job, _budget_spent(self._budget.spent))
                continue
            self._waiting.popleft()
            self._budget.reserve(worst)
            if self._pace.begin(self._loop.time()):
                self._loop.call_later(ALONE_S + 0.001, self._pump)
            task = self._loop.create_task(self._attempt(job, sent, body, worst))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _attempt(self, job: _Job, sent: dict[str, Any], body: bytes, reserved: float) -> None:
        """Make one attempt, then resolve the request or queue it again."""
        began = self._loop.time()
        status, rest_s = 0, None
        cost = reserved  # Unless known to be cheaper, the attempt counts at its full reservation.
        outcome: Generation | Exception | None
        # From here on: a task that is cancelled before it runs would never come to its end below.
        job.attempt = asyncio.current_task()
        try:
            if job.future.cancelled():
                raise _NeverReached("nobody waits for it")
            status, rest_s, data = await self._post(job.request.id, body)
            reply = read_reply(status, data)
            if isinstance(reply, Complaint):
                status = reply.status
                cost = reserved if reply.charged else 0.0
                outcome = self._objection(reply, rest_s, sent)
                rest_s = rest_s if rest_s is not None else reply.retry_after_s
            else:
                usage = usage_of(reply, self._loop.time() - began)
                charged = self._budget.priced(usage)
                cost = reserved if charged is None else charged
                usage = usage.model_copy(update={"cost": charged})
                job.spent = job.spent + usage.model_copy(update={"seconds": 0.0})
                answer = self._wire.answer(reply, job.request, sent)
                outcome = Generation(
                    text=answer.text,
                    finish=answer.finish,
                    label_logprobs=answer.label_logprobs,
                    constrained=answer.constrained,
                    masked=answer.masked,
                    adjusted=self._wire.adjusted(job.request, sent),
                    usage=job.spent.model_copy(update={"seconds": usage.seconds}),
                    retries=job.retries,
                )
        except _NeverReached as error:
            cost, outcome = 0.0, error
        except asyncio.CancelledError:
            if not job.future.cancelled():
                raise
            outcome = _closed()
        except Exception as error:  # noqa: BLE001 - a mistake of ours too: nobody waits for ever
            outcome = error
        job.attempt = None
        self._budget.settle(reserved, cost)
        patient = rest_s is None or rest_s <= _LONGEST_PAUSE_S
        trouble = status in _OVERLOADED or isinstance(outcome, TimedOut)
        pause_s = rest_s if trouble and rest_s is not None and patient else 0.0
        self._pace.end(
            began,
            self._loop.time(),
            trouble=trouble,
            pause_s=pause_s,
            learning=outcome is None,
        )
        if pause_s:
            self._loop.call_later(pause_s + 0.001, self._pump)  # Timers may fire slightly early.
        if isinstance(outcome, AccessRefused):
            self._refused, self._refused_until = outcome, self._loop.time() + _REFUSED_S
        if outcome is None:
            self._waiting.appendleft(job)
        elif (
            isinstance(outcome, BackendError)
            and outcome.retryable
            and patient
            and job.retries < self._max_retries
            and not job.future.cancelled()
        ):
            job.retries += 1
            backoff_s = _backoff_s(job.request.id, job.retries)
            _log.debug("attempt %d ended as %s", job.retries, outcome.code)
            self._loop.call_later(backoff_s, self._again, job)
        else:
            self._settle(job, outcome)
        self._pump()

    async def _post(self, request_id: str, body: bytes) -> tuple[int, float | None, bytes]:
        """Return the reply's status, requested pause in seconds, and body.

        Errors from libraries are not chained as causes: some hold the request's headers, which
        include the key.
        """
        try:
            # The deadline covers the whole reply, which may arrive one byte per second.
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.post(
                    self._url,
                    data=body,
                    headers={"x-request-id": _header(request_id)},
                    allow_redirects=False,
                    proxy=self._proxy,
                ) as reply,
            ):
                data = await reply.read()
                rest_s = retry_after(reply.headers.get("Retry-After"), time.time())
                return reply.status, rest_s, data
        except TimeoutError:
            raise TimedOut(f"no whole answer within {self._timeout_s:g} s") from None
        except aiohttp.ClientSSLError as exc:
            raise Refused(f"no secure connection: {type(exc).__name__}") from None
        except aiohttp.ClientConnectorError as exc:
            raise _NeverReached(
                f"cannot reach {exc.host}:{exc.port}: {exc.os_error.strerror or 'no address'}"
            ) from None
        except aiohttp.InvalidURL:
            raise Refused("the base URL or the proxy's address cannot be used") from None
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as exc:
            raise BadResponse(f"a broken reply: {type(exc).__name__}") from None
        except (aiohttp.ClientError, OSError) as exc:
            raise Unavailable(f"connection lost: {type(exc).__name__}") from None

    def _objection(
        self, complaint: Complaint, rest_s: float | None, sent: dict[str, Any]
    ) -> BackendError | None:
        """Return the error, or None if the request can be sent again with changes."""
        error = error_of(complaint, rest_s, secret=self._key)
        # Not if the prompt itself is too long: a shorter answer would not help.
        change = "" if isinstance(error, PromptTooLong) else self._wire.adapt(complaint, sent)
        if not change:
            return error
        _log.warning("%s %s", self.id, change)
        return None

    def _again(self, job: _Job) -> None:
        self._waiting.appendleft(job)  # It has waited the longest.
        self._pump()

    def _settle(self, job: _Job, outcome: Generation | Exception) -> None:
        self._open.discard(job)
        if isinstance(outcome, BackendError) and outcome is not self._refused:
            outcome.usage = job.spent
        settle(job.future, outcome)


class _NeverReached(Unavailable):
    """No connection was made, so nothing can have been charged."""


def _closed() -> Unavailable:
    return Unavailable("the backend is closed")


def _budget_spent(spent: float) -> BudgetSpent:
    return BudgetSpent(
        f"{spent:.6g} is spent, and one more answer could cost more than the limit leaves",
        hint="raise max_cost",
    )


def _backoff_s(request_id: str, attempt: int) -> float:
    """Exponential backoff with full jitter, deterministic per request so that runs repeat."""
    longest = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** min(attempt - 1, 10))
    return random.Random(f"{request_id}/{attempt}").uniform(0.0, longest)


def _header(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return urllib.parse.quote(text, errors="backslashreplace")


def _proxy_for(scheme: str, host: str) -> str | None:
    """Return the proxy in the system's settings for an address; curl's spellings work.

    Raises:
        SetupError: the proxy is not usable.
    """
    if host in ("localhost", "127.0.0.1", "::1") or urllib.request.proxy_bypass(host):
        return None
    named = (urllib.request.getproxies().get(scheme) or "").strip()
    if not named:
        return None
    proxy = named if "://" in named else f"http://{named}"
    variable = f"{scheme.upper()}_PROXY"
    try:
        parts = urllib.parse.urlsplit(proxy)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        parts, usable = None, False
    if not usable:
        socks = parts is not None and parts.scheme.startswith("socks")
        raise SetupError(
            f"{variable} is no proxy that can be used" + (": it speaks SOCKS" if socks else ""),
            hint=f"set it to http://HOST:PORT, or unset it; NO_PROXY={host} goes around it",
        )
    return proxy
