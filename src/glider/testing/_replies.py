"""The replies of the fake server, and the choice of requests that fail.

This module does not handle HTTP. The public names are in `server`.
"""

from __future__ import annotations

import difflib
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Answer: TypeAlias = str | Callable[[dict[str, Any]], str]
"""What the model says: one text for everybody, or a function of the request's JSON."""

FAULT_HELP: Final[dict[str, str]] = {
    "rate_limited": "429 with Retry-After: 0.05 (seconds) and a JSON error",
    "overloaded": "503 with a JSON error and no Retry-After",
    "server_error": "500 with a JSON error",
    "reset": "connection reset (TCP RST) before any byte of a reply",
    "empty": "200 with Content-Length: 0",
    "html": "200 with a proxy's text/html page",
    "half_json": "full Content-Length promised, half of the body sent, connection closed",
    "drip": "200 headers, then one space per second until the client leaves",
    "wrong_shape": "200 with valid JSON that has no choices",
    "cut_off": "first half of the answer, finish_reason 'length'",
    "nonsense": "a valid completion whose text no judge format can read",
}
ALWAYS_ONLY_HELP: Final[dict[str, str]] = {
    "unauthorized": "401, code invalid_api_key",
    "too_long": "400, code context_length_exceeded",
    "not_found": "404, code model_not_found",
}

FAULTS: Final[tuple[str, ...]] = tuple(FAULT_HELP)
"""The eleven faults to draw from, in the order of the table above."""

ALWAYS_ONLY: Final[tuple[str, ...]] = tuple(ALWAYS_ONLY_HELP)
"""Faults for `always` only: retries do not help, so drawing them at random is unrealistic."""

NONSENSE: Final = "As a large language model, I like turtles."
"""The text of a "nonsense" completion."""

_UNLIKELY: Final = -9999.0
"""OpenAI's stand-in for the logprob of a chosen token that is not among the top ones."""

_TOKEN: Final = re.compile(r"[0-9]|\s*[^\s0-9]+|\s+")
"""Pieces that join to the full text. Each digit is its own piece, since it may be a score."""

# A quote inside a JSON string is escaped, so this never matches inside a prompt. Plain ASCII
# only, so that the name can be inserted into JSON unchanged.
_MODEL: Final = re.compile(rb'"model"\s*:\s*"([ !#-\[\]-~]*)"')


class FaultPlan:
    """Which requests fail, and how, in order of arrival.

    Two numbers are drawn for every request, failing or not. So with one seed and one tuple of
    faults, what fails at a rate of 0.1 also fails at 0.3, and in the same way.

    Args:
        rate: share of requests that fail, in [0, 1].
        faults: the kinds to draw from, each as likely as the others.
        seed: of random.Random.
    """

    def __init__(self, *, rate: float, faults: Sequence[str], seed: int) -> None:
        self._rate = rate
        self._faults = tuple(faults)
        self._random = random.Random(seed).random

    def draw(self) -> str | None:
        """The fault for the next request, or None for one that is answered well."""
        fails = self._random() < self._rate
        place = self._random()
        return self._faults[int(place * len(self._faults))] if fails else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a FakeServer, which documents them."""

    answer: Answer
    delay_s: float
    fault_rate: float
    faults: tuple[str, ...]
    seed: int
    always: str | None
    api_key: str | None
    top_logprobs: dict[str, float] | None
    model: str | None

    def __post_init__(self) -> None:
        if not self.delay_s >= 0:
            raise ValueError(f"delay_s is {self.delay_s}; seconds to wait, 0 or more")
        if not 0 <= self.fault_rate <= 1:
            raise ValueError(f"fault_rate is {self.fault_rate}; a share in [0, 1]")
        if self.fault_rate > 0 and not self.faults:
            raise ValueError("fault_rate is above 0 but faults is empty; name at least one")
        for name in self.faults:
            _check_fault(name, FAULTS)
        check_always(self.always)


def _check_fault(name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no fault called {name!r}{hint} known: {', '.join(known)}")


def check_always(name: str | None) -> None:
    """Raise ValueError for an unknown fault; None means no fault."""
    if name is not None:
        _check_fault(name, FAULTS + ALWAYS_ONLY)


# ---- replies ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: status, body and content type."""

    status: int
    body: bytes
    kind: str = "application/json"
    retry_after: str | None = None


def json_reply(status: int, value: object, *, retry_after: str | None = None) -> Reply:
    """Return a reply with a JSON value as its body."""
    return Reply(status, json.dumps(value).encode("ascii"), retry_after=retry_after)


def error_reply(status: int, message: str, code: str, *, retry_after: str | None = None) -> Reply:
    """Return an error in OpenAI's format, {"error": {"message", "type", "param", "code"}}."""
    family = {401: "authentication_error", 429: "rate_limit_error"}.get(status)
    error = {
        "message": message,
        "type": family or ("server_error" if status >= 500 else "invalid_request_error"),
        "param": None,
        "code": code,
    }
    return json_reply(status, {"error": error}, retry_after=retry_after)


UNAUTHORIZED: Final = error_reply(401, "Incorrect API key.", "invalid_api_key")

_FIXED: Final[dict[str, Reply]] = {
    "rate_limited": error_reply(
        429, "Rate limit reached for requests.", "rate_limit_exceeded", retry_after="0.05"
    ),
    "overloaded": error_reply(503, "The engine is currently overloaded.", "overloaded"),
    "server_error": error_reply(500, "The server had an error.", "internal_error"),
    "empty": Reply(200, b""),
    "html": Reply(
        200,
        b"<!DOCTYPE html>\n<html><head><title>Gateway</title></head>"
        b"<body><h1>Please wait</h1><p>You will be redirected.</p></body></html>\n",
        "text/html",
    ),
    "wrong_shape": json_reply(200, {"object": "status", "status": "ok", "data": []}),
    "unauthorized": UNAUTHORIZED,
    "too_long": error_reply(
        400,
        "This model's maximum context length is 8192 tokens. "
        "However, your messages resulted in 9001 tokens.",
        "context_length_exceeded",
    ),
    "not_found": error_reply(
        404, "The model does not exist or you do not have access to it.", "model_not_found"
    ),
}
"""Faults that send the same reply to every request."""


def _tokens(
    content: str, table: dict[str, float] | None, most: int | None
) -> list[tuple[str, float, list[tuple[str, float]]]]:
    """Split a text into tokens, each with its logprob and its alternatives, likeliest first.

    Digits are looked up in `table` (logprobs in nats); every other token has probability 1. `most`
    limits the alternatives; None returns all.
    """
    ranked = sorted(table.items(), key=lambda item: -item[1])[:most] if table is not None else []
    pieces: list[tuple[str, float, list[tuple[str, float]]]] = []
    for token in _TOKEN.findall(content):
        if table is not None and len(token) == 1 and token in "0123456789":
            pieces.append((token, table.get(token, _UNLIKELY), ranked))
        else:
            pieces.append((token, 0.0, [(token, 0.0)][:most]))
    return pieces


def _chat_logprobs(
    content: str, table: dict[str, float] | None, most: int | None
) -> dict[str, Any]:
    """Return choices[0].logprobs of a chat completion."""

    def entry(token: str, logprob: float) -> dict[str, Any]:
        # A lone surrogate is legal in JSON but has no UTF-8 encoding; hostile texts contain them.
        encoded = token.encode("utf-8", "surrogatepass")
        return {"token": token, "logprob": logprob, "bytes": list(encoded)}

    return {
        "content": [
            entry(token, logprob) | {"top_logprobs": [entry(*rival) for rival in rivals]}
            for token, logprob, rivals in _tokens(content, table, most)
        ],
        "refusal": None,
    }


def _text_logprobs(
    content: str, table: dict[str, float] | None, most: int | None
) -> dict[str, Any]:
    """Return choices[0].logprobs of the older /v1/completions: four lists of equal length."""
    pieces = _tokens(content, table, most)
    offsets = [0]
    for token, _, _ in pieces:
        offsets.append(offsets[-1] + len(token))
    return {
        "tokens": [token for token, _, _ in pieces],
        "token_logprobs": [logprob for _, logprob, _ in pieces],
        "top_logprobs": [dict(rivals) for _, _, rivals in pieces],
        "text_offset": offsets[:-1],
    }


class _Refused(Exception):
    """A request that this fake does not support; the message goes into a 400."""


class Desk:
    """Accepts requests, returns replies, and counts both.

    Used from one event loop only, so it needs no locks. Every request is counted in exactly one of
    answered, faults, refused, crashed and abandoned, or is still in hand.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.always = settings.always
        self.crash: Exception | None = None
        self.connections = 0
        self.in_hand = 0
        self.abandoned = 0
        self._max_in_hand = 0
        self._requests = 0
        self._answered = 0
        self._refused = 0
        self._crashed = 0
        self._duplicates = 0
        self._ids: set[str] = set()
        self._faults = dict.fromkeys(FAULTS + ALWAYS_ONLY, 0)
        self._serial = 0
        self._created = int(time.time())
        self._draw = FaultPlan(
            rate=settings.fault_rate, faults=settings.faults, seed=settings.seed
        ).draw
        self._key = None if settings.api_key is None else f"Bearer {settings.api_key}"
        self._ready: dict[tuple[bool, str | None], tuple[bytes, int]] = {}

    def stats(self) -> dict[str, Any]:
        """See FakeServer.stats."""
        return {
            "requests": self._requests,
            "answered": self._answered,
            "faults": dict(self._faults),
            "refused": self._refused,
            "crashed": self._crashed,
            "abandoned": self.abandoned,
            "in_hand": self.in_hand,
            "max_in_hand": self._max_in_hand,
            "connections": self.connections,
            "request_ids": len(self._ids),
            "duplicates": self._duplicates,
        }

    def allows(self, authorization: str | None) -> bool:
        return self._key is None or authorization == self._key

    def refuse_key(self) -> Reply:
        self._faults["unauthorized"] += 1
        return UNAUTHORIZED

    def arrive(self, request_id: str | None) -> None:
        """Count an incoming completion request."""
        self._requests += 1
        if request_id is not None:
            if request_id in self._ids:
                self._duplicates += 1
            else:
                self._ids.add(request_id)

    def admit(self) -> str | None:
        """Start processing a request and choose its fault, if any."""
        self.in_hand += 1
        if self.in_hand > self._max_in_hand:
            self._max_in_hand = self.in_hand
        drawn = self._draw()
        return self.always or drawn

    def count(self, fault: str) -> None:
        self._faults[fault] += 1

    def reply(self, fault: str | None, chat: bool, body: bytes) -> tuple[Reply, bool]:
        """Return the reply to a request in hand, and whether `fault` was applied."""
        if fault is not None and fault in _FIXED:
            self._faults[fault] += 1
            return _FIXED[fault], True
        try:
            whole = self._completion(fault, chat, body)
        except _Refused as exc:
            self._refused += 1
            return error_reply(400, str(exc), "invalid_request"), False
        except Exception as exc:  # noqa: BLE001 - an answer function may fail in any way
            # Raised by the caller's `answer`: reported to the client now, and to the owner on exit.
            self._crashed += 1
            self.crash = self.crash or exc
            message = f"answer raised {type(exc).__name__}: {exc}"
            return error_reply(500, message, "answer_raised"), False
        if fault is None:
            self._answered += 1
        else:
            self._faults[fault] += 1
        return whole, True

    def models(self) -> Reply:
        model = {
            "id": self.settings.model or "fake-judge",
            "object": "model",
            "created": self._created,
            "owned_by": "glider",
        }
        return json_reply(200, {"object": "list", "data": [model]})

    def _completion(self, fault: str | None, chat: bool, body: bytes) -> Reply:
        answer = self.settings.answer
        # Parsing JSON costs more than everything else together, so we do it only if the reply
        # depends on it. A key in the raw bytes is a reason to parse, not proof.
        if not isinstance(answer, str) or b'"logprobs"' in body or b'"stream"' in body:
            choices, tokens = self._read_and_choose(fault, chat, body)
        else:
            ready = self._ready.get((chat, fault))
            if ready is None:
                ready = self._ready[chat, fault] = self._choose(fault, chat, answer, None)
            choices, tokens = ready
        self._serial += 1
        prompt_tokens = len(body) // 4
        payload = (
            b'{"id": "%b-%d", "object": "%b", "created": %d, "model": "%b", "choices": %b, '
            b'"usage": {"prompt_tokens": %d, "completion_tokens": %d, "total_tokens": %d}}'
        ) % (
            b"chatcmpl" if chat else b"cmpl",
            self._serial,
            b"chat.completion" if chat else b"text_completion",
            self._created,
            self._model(body),
            choices,
            prompt_tokens,
            tokens,
            prompt_tokens + tokens,
        )
        return Reply(200, payload)

    def _read_and_choose(self, fault: str | None, chat: bool, body: bytes) -> tuple[bytes, int]:
        try:
            request = json.loads(body)
        except ValueError as exc:
            raise _Refused(f"request is not JSON: {exc}") from exc
        if not isinstance(request, dict):
            raise _Refused("request is not a JSON object")
        if request.get("stream"):
            raise _Refused("this fake does not stream; ask with stream false")
        answer = self.settings.answer
        content = answer if isinstance(answer, str) else answer(request)
        if not isinstance(content, str):
            raise TypeError(f"answer gave {type(content).__name__}, not str")
        return self._choose(fault, chat, content, request)

    def _choose(
        self, fault: str | None, chat: bool, content: str, request: dict[str, Any] | None
    ) -> tuple[bytes, int]:
        """Return the `choices` of a completion as JSON, and its completion_tokens."""
        if fault == "cut_off":
            content = content[: len(content) // 2]
        elif fault == "nonsense":
            content = NONSENSE
        logprobs: dict[str, Any] | None = None
        wanted = None if request is None else request.get("logprobs")
        table = self.settings.top_logprobs
        if chat and wanted is True and request is not None:
            logprobs = _chat_logprobs(content, table, _most(request.get("top_logprobs")))
        elif not chat and wanted is not None and wanted is not False:
            # Here `logprobs` is itself the number of alternatives.
            logprobs = _text_logprobs(content, table, _most(None if wanted is True else wanted))
        said: dict[str, Any] = (
            {"message": {"role": "assistant", "content": content}} if chat else {"text": content}
        )
        finish = "length" if fault == "cut_off" else "stop"
        choice = {"index": 0} | said | {"logprobs": logprobs, "finish_reason": finish}
        return json.dumps([choice]).encode("ascii"), len(content) // 4

    def _model(self, body: bytes) -> bytes:
        """Return the configured or else the requested model, as JSON without its quotes."""
        if self.settings.model is not None:
            return json.dumps(self.settings.model)[1:-1].encode("ascii")
        start = body.find(b'"model"')
        found = _MODEL.match(body, start) if start >= 0 else None
        return found[1] if found else b"fake-judge"


def _most(asked: object) -> int | None:
    """Return the requested number of alternatives; None if the request has none."""
    if asked is None:
        return None
    if not isinstance(asked, int) or isinstance(asked, bool) or asked < 0:
        raise _Refused(f"{asked!r} is no number of top logprobs")
    return asked
