"""A fake OpenAI-compatible server that can be slow and can fail in eleven ways.

It stands where a model server would, so that a client can be tested against a bad day: it
answers at once or after a delay, and spoils a share of its replies, the same ones for the
same seed. In a test:

    with FakeServer(answer='{"score": 4}', fault_rate=0.3, seed=7) as server:
        run_my_client(server.url)               # http://127.0.0.1:PORT/v1
        assert server.stats()["duplicates"] == 0

and by hand:

    python -m glider.testing.server --port 0 --delay 0.05 --fault-rate 0.3 --seed 7

It refuses to be more than a fake: no model, no streaming (400), no chunked requests (411), no
TLS, and no address but 127.0.0.1. It gives one choice whatever `n` says, and does not check
that a request makes sense: a constant answer is sent without reading the JSON it answers.

The convention to know: delay and faults touch the two completion endpoints only, so /health,
/v1/models and /stats can be trusted on the worst day. Standard library only.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import functools
import http.client
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeAlias, cast

__all__ = ["ALWAYS_ONLY", "FAULTS", "NONSENSE", "Answer", "FakeServer", "FaultPlan"]

Answer: TypeAlias = str | Callable[[dict[str, Any]], str]
"""What the model says: one text for everybody, or a function of the request's JSON."""

_FAULT_HELP: Final[dict[str, str]] = {
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
_ALWAYS_ONLY_HELP: Final[dict[str, str]] = {
    "unauthorized": "401, code invalid_api_key",
    "too_long": "400, code context_length_exceeded",
    "not_found": "404, code model_not_found",
}

FAULTS: Final[tuple[str, ...]] = tuple(_FAULT_HELP)
"""The eleven faults that may be drawn, in the order of the table above."""

ALWAYS_ONLY: Final[tuple[str, ...]] = tuple(_ALWAYS_ONLY_HELP)
"""Faults for `always` alone: no retry mends them, so drawing them now and then is not a day
that happens."""

NONSENSE: Final = "As a large language model, I like turtles."
"""The text of a "nonsense" completion."""

_HOST: Final = "127.0.0.1"
_BACKLOG: Final = 1024  # A client that opens 256 connections at once must not wait for SYN retries.
_MAX_HEAD: Final = 64 * 1024  # bytes
_MAX_BODY: Final = 64 * 1024 * 1024  # bytes
_DRIP_S: Final = 1.0
_START_S: Final = 30.0  # Longest wait for a thread to start, or for a process to end.

_UNLIKELY: Final = -9999.0
"""OpenAI's stand-in for the logprob of a chosen token that is not among the top ones."""

_TOKEN: Final = re.compile(r"[0-9]|\s*[^\s0-9]+|\s+")
"""Pieces that add up to the text again. A digit stands alone, since a score is read there."""

# A quote inside a JSON string is escaped, so this cannot be found inside a prompt. Plain ASCII
# only, so that the name can be put back into JSON as it is.
_MODEL: Final = re.compile(rb'"model"\s*:\s*"([ !#-\[\]-~]*)"')

# Linger for 0 s: closing then sends RST at once and throws away what was not sent.
_RESET: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


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
class _Settings:
    """What a FakeServer was asked to be. Its documentation is FakeServer's."""

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
        _check_always(self.always)


def _check_fault(name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no fault called {name!r}{hint} known: {', '.join(known)}")


def _check_always(name: str | None) -> None:
    if name is not None:
        _check_fault(name, FAULTS + ALWAYS_ONLY)


# ---- replies: bytes made from settings and a request, no sockets -------------------------------


def _http(status: str, body: bytes, *, kind: str = "application/json", extra: str = "") -> bytes:
    """A whole reply. `extra` is header lines, each ended by CRLF."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}"
    return head.encode("ascii") + b"\r\n" + body


def _json(status: str, value: object, *, extra: str = "") -> bytes:
    return _http(status, json.dumps(value).encode("ascii"), extra=extra)


def _error(status: str, message: str, code: str, *, extra: str = "") -> bytes:
    """An error in OpenAI's form, {"error": {"message", "type", "param", "code"}}."""
    number = int(status[:3])
    family = {401: "authentication_error", 429: "rate_limit_error"}.get(number)
    error = {
        "message": message,
        "type": family or ("server_error" if number >= 500 else "invalid_request_error"),
        "param": None,
        "code": code,
    }
    return _json(status, {"error": error}, extra=extra)


_UNAUTHORIZED: Final = _error("401 Unauthorized", "Incorrect API key.", "invalid_api_key")

_FIXED: Final[dict[str, bytes]] = {
    "rate_limited": _error(
        "429 Too Many Requests",
        "Rate limit reached for requests.",
        "rate_limit_exceeded",
        extra="Retry-After: 0.05\r\n",
    ),
    "overloaded": _error(
        "503 Service Unavailable", "The engine is currently overloaded.", "overloaded"
    ),
    "server_error": _error(
        "500 Internal Server Error", "The server had an error.", "internal_error"
    ),
    "empty": _http("200 OK", b""),
    "html": _http(
        "200 OK",
        b"<!DOCTYPE html>\n<html><head><title>Gateway</title></head>"
        b"<body><h1>Please wait</h1><p>You will be redirected.</p></body></html>\n",
        kind="text/html; charset=utf-8",
    ),
    "wrong_shape": _json("200 OK", {"object": "status", "status": "ok", "data": []}),
    "unauthorized": _UNAUTHORIZED,
    "too_long": _error(
        "400 Bad Request",
        "This model's maximum context length is 8192 tokens. "
        "However, your messages resulted in 9001 tokens.",
        "context_length_exceeded",
    ),
    "not_found": _error(
        "404 Not Found",
        "The model does not exist or you do not have access to it.",
        "model_not_found",
    ),
}
"""Faults that are one reply, the same for every request."""


def _tokens(
    content: str, table: dict[str, float] | None, most: int | None
) -> list[tuple[str, float, list[tuple[str, float]]]]:
    """The pieces of a text, each with its logprob and its likeliest rivals, likeliest first.

    A digit is looked up in `table` (logprobs in nats); every other piece was certain. `most`
    limits the rivals; None gives them all.
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
    """choices[0].logprobs of a chat completion."""

    def entry(token: str, logprob: float) -> dict[str, Any]:
        # A lone surrogate is legal in JSON and has no UTF-8; hostile texts carry them.
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
    """choices[0].logprobs of the older /v1/completions: four lists of one length."""
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
    """A request this fake will not answer; the message goes into a 400."""


class _Desk:
    """Takes requests in and hands replies out, and counts both. Knows no sockets.

    Used from one event loop only, so nothing is locked. Every request ends in exactly one of
    answered, faults, refused, crashed and abandoned, or is still in hand.
    """

    def __init__(self, settings: _Settings) -> None:
        self.settings = settings
        self.always = settings.always
        self.crash: Exception | None = None
        self.stopping = False
        self.open: set[_Connection] = set()
        self.connections = 0
        self.in_hand = 0
        self.abandoned = 0
        self._max_in_hand = 0
        self._requests = 0
        self._answered = 0
        self._refused = 0
        self._crashed = 0
        self._duplicates = 0
        self._ids: set[bytes] = set()
        self._faults = dict.fromkeys(FAULTS + ALWAYS_ONLY, 0)
        self._serial = 0
        self._created = int(time.time())
        self._draw = FaultPlan(
            rate=settings.fault_rate, faults=settings.faults, seed=settings.seed
        ).draw
        self._key = None if settings.api_key is None else b"Bearer " + settings.api_key.encode()
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

    def allows(self, authorization: bytes | None) -> bool:
        return self._key is None or authorization == self._key

    def refuse_key(self) -> bytes:
        self._faults["unauthorized"] += 1
        return _UNAUTHORIZED

    def arrive(self, request_id: bytes | None) -> None:
        """A completion was asked for."""
        self._requests += 1
        if request_id is not None:
            if request_id in self._ids:
                self._duplicates += 1
            else:
                self._ids.add(request_id)

    def admit(self) -> str | None:
        """Take an arrived request in hand and decide its fault."""
        self.in_hand += 1
        if self.in_hand > self._max_in_hand:
            self._max_in_hand = self.in_hand
        drawn = self._draw()
        return self.always or drawn

    def count(self, fault: str) -> None:
        self._faults[fault] += 1

    def reply(self, fault: str | None, chat: bool, body: bytes) -> tuple[bytes, bool]:
        """The whole reply to a request in hand, and whether `fault` had its way."""
        if fault is not None and fault in _FIXED:
            self._faults[fault] += 1
            return _FIXED[fault], True
        try:
            whole = self._completion(fault, chat, body)
        except _Refused as exc:
            self._refused += 1
            return _error("400 Bad Request", str(exc), "invalid_request"), False
        except Exception as exc:  # noqa: BLE001 - an answer function may fail in any way
            # From the caller's `answer`: told to the client now, and to its owner on leaving.
            self._crashed += 1
            self.crash = self.crash or exc
            message = f"answer raised {type(exc).__name__}: {exc}"
            return _error("500 Internal Server Error", message, "answer_raised"), False
        if fault is None:
            self._answered += 1
        else:
            self._faults[fault] += 1
        return whole, True

    def models(self) -> bytes:
        model = {
            "id": self.settings.model or "fake-judge",
            "object": "model",
            "created": self._created,
            "owned_by": "glider",
        }
        return _json("200 OK", {"object": "list", "data": [model]})

    def _completion(self, fault: str | None, chat: bool, body: bytes) -> bytes:
        answer = self.settings.answer
        # Reading JSON costs more than all the rest together, so it is done only when the reply
        # depends on it. A key found in the raw bytes is a reason to look, no proof.
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
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        ) % (len(payload), payload)

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
        """The `choices` of a completion as JSON, and its completion_tokens."""
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
            # Here `logprobs` is itself the number of rivals.
            logprobs = _text_logprobs(content, table, _most(None if wanted is True else wanted))
        said: dict[str, Any] = (
            {"message": {"role": "assistant", "content": content}} if chat else {"text": content}
        )
        finish = "length" if fault == "cut_off" else "stop"
        choice = {"index": 0} | said | {"logprobs": logprobs, "finish_reason": finish}
        return json.dumps([choice]).encode("ascii"), len(content) // 4

    def _model(self, body: bytes) -> bytes:
        """The model to name: the one set, else the one asked for, as JSON without its quotes."""
        if self.settings.model is not None:
            return json.dumps(self.settings.model)[1:-1].encode("ascii")
        start = body.find(b'"model"')
        found = _MODEL.match(body, start) if start >= 0 else None
        return found[1] if found else b"fake-judge"


def _most(asked: object) -> int | None:
    """How many rivals were asked for; None when the request does not say."""
    if asked is None:
        return None
    if not isinstance(asked, int) or isinstance(asked, bool) or asked < 0:
        raise _Refused(f"{asked!r} is no number of top logprobs")
    return asked


# ---- connections: bytes in, bytes out ----------------------------------------------------------


def _field(head: bytes, lower: bytes, name: bytes) -> bytes | None:
    """A header's value. `name` is lower case between CRLF and colon, `lower` is head.lower()."""
    start = lower.find(name)
    if start < 0:
        return None
    start += len(name)
    end = head.find(b"\r\n", start)
    return (head[start:] if end < 0 else head[start:end]).strip()


class _Connection(asyncio.Protocol):
    """One client connection: one request at a time, kept open between them.

    A Protocol with a hand-written reader and no task per request, since the fake must not be
    the slow part of a measurement.
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_busy",
        "_chat",
        "_desk",
        "_fault",
        "_in_hand",
        "_last",
        "_loop",
        "_needed",
        "_timer",
        "_used",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, desk: _Desk, loop: asyncio.AbstractEventLoop) -> None:
        self._desk = desk
        self._loop = loop
        self._buffer = bytearray()
        self._needed = 0  # Bytes before it is worth looking again.
        self._busy = False  # A reply is being waited for or dripped.
        self._in_hand = False  # The desk counts a request of ours.
        self._used = False
        self._last = False  # Close after the next reply.
        self._timer: asyncio.TimerHandle | None = None
        self._fault: str | None = None
        self._chat = True
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self._desk.stopping:
            self.transport.abort()
            return
        self._desk.open.add(self)
        self._socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._desk.open.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._in_hand:
            self._in_hand = False
            self._desk.in_hand -= 1
            self._desk.abandoned += 1

    def data_received(self, data: bytes) -> None:
        if self._busy or self._buffer:
            self._buffer += data
            if len(self._buffer) > _MAX_HEAD + _MAX_BODY:
                self.transport.abort()
            elif not self._busy and len(self._buffer) >= self._needed:
                self._take_buffer()
        else:
            self._read(data)

    def _take_buffer(self) -> None:
        data = bytes(self._buffer)
        self._buffer.clear()
        self._read(data)

    def _read(self, data: bytes) -> None:
        """Handle the request at the start of `data`, or keep it until it is whole."""
        head_end = data.find(b"\r\n\r\n")
        if head_end > _MAX_HEAD or (head_end < 0 and len(data) > _MAX_HEAD):
            self._reject("431 Request Header Fields Too Large", "headers too long")
            return
        if head_end < 0:
            self._wait_for(len(data) + 1, data)
            return
        head = data[:head_end]
        lower = head.lower()
        words = head.partition(b"\r\n")[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            self._reject("400 Bad Request", "not an HTTP/1.1 request")
            return
        method, target, version = words

        size = 0
        length = _field(head, lower, b"\r\ncontent-length:")
        if length is not None:
            if not length.isdigit():
                self._reject("400 Bad Request", "Content-Length is not a number")
                return
            size = int(length)
        elif method == b"POST":
            self._reject("411 Length Required", "send the body with a Content-Length")
            return
        if size > _MAX_BODY:
            self._reject("413 Content Too Large", f"body above {_MAX_BODY} bytes")
            return
        end = head_end + 4 + size
        if len(data) < end:
            self._wait_for(end, data)
            return
        if len(data) > end:
            self._buffer += data[end:]
        self._needed = 0

        connection = _field(head, lower, b"\r\nconnection:")
        if connection is not None and b"close" in connection.lower():
            self._last = True
        elif version == b"HTTP/1.0":
            self._last = connection is None or b"keep-alive" not in connection.lower()
        self._route(method, target.partition(b"?")[0], head, lower, data[head_end + 4 : end])

    def _route(self, method: bytes, path: bytes, head: bytes, lower: bytes, body: bytes) -> None:
        desk = self._desk
        if method == b"POST" and path in (b"/v1/chat/completions", b"/v1/completions"):
            if not self._used:
                self._used = True
                desk.connections += 1
            desk.arrive(_field(head, lower, b"\r\nx-request-id:"))
            if not desk.allows(_field(head, lower, b"\r\nauthorization:")):
                self._send(desk.refuse_key())
                return
            self._fault = desk.admit()
            self._chat = path == b"/v1/chat/completions"
            self._body = body
            self._busy = self._in_hand = True
            delay_s = desk.settings.delay_s
            if delay_s > 0:
                self._timer = self._loop.call_later(delay_s, self._finish)
            else:
                self._finish()
        elif method == b"GET" and path == b"/v1/models":
            allowed = desk.allows(_field(head, lower, b"\r\nauthorization:"))
            self._send(desk.models() if allowed else _UNAUTHORIZED)
        elif method == b"GET" and path == b"/health":
            self._send(_json("200 OK", {"status": "ok"}))
        elif method == b"GET" and path == b"/stats":
            self._send(_json("200 OK", desk.stats()))
        elif method in (b"GET", b"POST"):
            asked = f"{method.decode('latin-1')} {path.decode('latin-1')}"
            self._send(_error("404 Not Found", f"no {asked} here", "unknown_url"))
        else:
            self._reject("405 Method Not Allowed", "only GET and POST")

    def _finish(self) -> None:
        """Reply to the request in hand, well or badly, as was decided when it arrived."""
        self._timer = None
        self._in_hand = False
        desk, fault = self._desk, self._fault
        desk.in_hand -= 1
        if fault == "reset":
            desk.count(fault)
            self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
            return
        if fault == "drip":
            desk.count(fault)
            # No length, so the body has no end until the connection has one; and spaces, which
            # JSON allows, so that no parser can give up early.
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
            )
            self._timer = self._loop.call_later(_DRIP_S, self._drip)
            return
        self._busy = False
        whole, had_its_way = desk.reply(fault, self._chat, self._body)
        self._body = b""
        if fault == "half_json" and had_its_way:
            body_start = whole.index(b"\r\n\r\n") + 4
            whole = whole[: body_start + (len(whole) - body_start) // 2]
            self._last = True
        self._send(whole)

    def _drip(self) -> None:
        self.transport.write(b" ")
        self._timer = self._loop.call_later(_DRIP_S, self._drip)

    def _send(self, reply: bytes) -> None:
        self.transport.write(reply)
        if self._last:
            self._buffer.clear()
            self.transport.close()
        elif self._buffer:
            # Not called directly: a client that sends many requests at once must not deepen
            # the stack by one reply each.
            self._busy = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._busy = False
        if not self.transport.is_closing():
            self._take_buffer()

    def _reject(self, status: str, message: str) -> None:
        """Refuse what cannot be read, and hang up: where the next request starts is unknown."""
        self._last = True
        self._send(_error(status, message, "bad_http", extra="Connection: close\r\n"))

    def _wait_for(self, needed: int, data: bytes) -> None:
        self._buffer += data
        self._needed = needed

    def _socket(self) -> socket.socket:
        return cast(socket.socket, self.transport.get_extra_info("socket"))


# ---- running -----------------------------------------------------------------------------------


def _listen(port: int) -> socket.socket:
    """A listening socket on loopback. Port 0 takes a free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


async def _serve(desk: _Desk, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve until `stop`, then drop every connection and leave nothing open."""
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            functools.partial(_Connection, desk, loop), sock=listener, backlog=_BACKLOG
        )
    except BaseException:
        listener.close()
        raise
    try:
        await stop.wait()
    finally:
        desk.stopping = True
        # A connection just accepted has a task of its own: closing under it would leak its socket.
        while greeting := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(greeting)
        server.close()
        for connection in list(desk.open):
            connection.transport.abort()
        while desk.open:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await server.wait_closed()


class FakeServer:
    """An OpenAI-compatible server on loopback, for `with`.

    Serves POST /v1/chat/completions and /v1/completions, GET /v1/models, /health and /stats.
    Each `with` starts afresh: new port, counters at zero, faults from the start of the seed.

    Args:
        answer: what the model says; a function gets the request's JSON, and is called on the
            server's thread. If it raises, the client gets a 500 and leaving the `with` raises
            the first such error.
        delay_s: wait before every completion, spoilt or not, in seconds.
        fault_rate: share of completions that fail, in [0, 1].
        faults: the kinds drawn, all equally likely; a subset of FAULTS.
        seed: with the order of arrival it settles which requests fail and how (FaultPlan).
        always: one fault, of FAULTS or ALWAYS_ONLY, for every completion; fault_rate then has
            no say. May be set while a server on a thread runs, to see a client recover.
        api_key: when given, completions and /v1/models with another key, or none, get a 401 at
            once; it is counted as "unauthorized".
        top_logprobs: logprobs in nats by token, e.g. {"4": -0.1, "5": -2.4}, for every digit of
            the answer when logprobs are asked for. At most as many as the request's own
            `top_logprobs`, and all when it has none (OpenAI would give none). A digit not in
            the table gets OpenAI's -9999.0; whatever is no digit gets 0.0.
        model: the name replies carry; None repeats the name asked for.
        process: run in a process of its own, so that the client under measurement has a core
            to itself. Needs a constant `answer`.

    Usage numbers are guesses at four to the token: prompt_tokens is the request body's bytes
    // 4 and completion_tokens the answer's characters // 4.
    """

    def __init__(
        self,
        *,
        answer: Answer = '{"score": 3}',
        delay_s: float = 0.0,
        fault_rate: float = 0.0,
        faults: Sequence[str] = FAULTS,
        seed: int = 0,
        always: str | None = None,
        api_key: str | None = None,
        top_logprobs: dict[str, float] | None = None,
        model: str | None = None,
        process: bool = False,
    ) -> None:
        if process and not isinstance(answer, str):
            raise ValueError("process=True needs a constant answer: a function cannot go there")
        self._settings = _Settings(
            answer=answer,
            delay_s=delay_s,
            fault_rate=fault_rate,
            faults=tuple(faults),
            seed=seed,
            always=always,
            api_key=api_key,
            top_logprobs=top_logprobs,
            model=model,
        )
        self._process = process
        self._always = always
        self._port = 0
        self._desk: _Desk | None = None
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] | None = None
        self._child: subprocess.Popen[str] | None = None
        self._final: dict[str, Any] | None = None

    @property
    def port(self) -> int:
        """The TCP port, on 127.0.0.1."""
        if self._port == 0:
            raise RuntimeError("not started: use `with FakeServer(...) as server`")
        return self._port

    @property
    def url(self) -> str:
        """The base address a client wants, http://127.0.0.1:PORT/v1."""
        return f"http://{_HOST}:{self.port}/v1"

    @property
    def always(self) -> str | None:
        """The fault of every completion, or None."""
        return self._always

    @always.setter
    def always(self, name: str | None) -> None:
        _check_always(name)
        if self._child is not None:
            raise RuntimeError("a server in its own process keeps the `always` it started with")
        self._always = name
        if self._desk is not None:
            self._desk.always = name

    def stats(self) -> dict[str, Any]:
        """What has happened so far; after the `with`, what happened in all. The same as /stats.

        requests: completions asked for. Each is in exactly one of
            answered: good replies,
            faults: {name: count}, all names of FAULTS and ALWAYS_ONLY, counted when sent,
            refused: 400 because the fake cannot do it (no JSON, stream),
            crashed: `answer` raised,
            abandoned: client left before the reply,
            in_hand: being waited for now.
        max_in_hand: the most in hand at one moment; 1 without a delay, since a reply then
            leaves before the next request is read.
        connections: connections that carried a completion; below `requests` when kept alive.
        request_ids: distinct x-request-id headers seen.
        duplicates: requests whose x-request-id had been seen before.
        """
        if self._final is not None:
            return self._final
        connection = http.client.HTTPConnection(_HOST, self.port, timeout=_START_S)
        try:
            connection.request("GET", "/stats")
            stats = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return cast(dict[str, Any], stats)

    def __enter__(self) -> FakeServer:
        if self._thread is not None or self._child is not None:
            raise RuntimeError("this FakeServer is running already; make another one")
        self._final = None
        if self._process:
            self._start_process()
        else:
            self._start_thread()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        problem = self._end_process() if self._child is not None else self._end_thread()
        self._port = 0
        if problem is not None and exc is None:
            raise problem

    def _start_thread(self) -> None:
        desk = _Desk(self._settings)
        desk.always = self._always
        listener = _listen(0)
        self._port = listener.getsockname()[1]
        started: Future[Callable[[], object]] = Future()

        async def serve() -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            started.set_result(lambda: loop.call_soon_threadsafe(stop.set))
            await _serve(desk, listener, stop)

        self._desk = desk
        self._thread = threading.Thread(
            target=lambda: asyncio.run(serve()), name="glider-fake-server", daemon=True
        )
        self._thread.start()
        self._stop = started.result(_START_S)

    def _end_thread(self) -> Exception | None:
        if self._thread is None or self._stop is None or self._desk is None:
            return None
        self._stop()
        self._thread.join()
        self._final = self._desk.stats()
        crash = self._desk.crash
        self._desk = self._thread = self._stop = None
        return crash

    def _start_process(self) -> None:
        settings = self._settings
        with tempfile.TemporaryDirectory(prefix="glider-fake-") as folder:
            answer_file = Path(folder, "answer.txt")
            # newline="" on both sides, or an answer with \r\n would change on its way.
            with answer_file.open("w", encoding="utf-8", errors="surrogatepass", newline="") as out:
                out.write(cast(str, settings.answer))
            options = [
                f"--answer-file={answer_file}",
                f"--delay={settings.delay_s!r}",
                f"--fault-rate={settings.fault_rate!r}",
                f"--faults={','.join(settings.faults)}",
                f"--seed={settings.seed}",
            ]
            if self._always is not None:
                options.append(f"--always={self._always}")
            if settings.api_key is not None:
                options.append(f"--api-key={settings.api_key}")
            if settings.model is not None:
                options.append(f"--model={settings.model}")
            if settings.top_logprobs is not None:
                options.append(f"--top-logprobs={json.dumps(settings.top_logprobs)}")
            child = subprocess.Popen(
                # The filter is for the day the package's __init__ imports this module: runpy
                # then warns that it runs it twice, which is harmless here.
                [
                    *(sys.executable, "-W", "ignore::RuntimeWarning:runpy"),
                    *("-m", "glider.testing.server", "--port=0", "--until-stdin-closes"),
                    *options,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                # The child must find what this process found, by whatever way it found it.
                env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                # Ctrl-C is for us; we then end the child by closing its stdin.
                start_new_session=True,
            )
            try:
                first = child.stdout.readline() if child.stdout is not None else ""
                found = re.fullmatch(r"listening on http://[0-9.]+:([0-9]+)\n", first)
                if found is None:
                    raise RuntimeError(f"fake server process did not start; it said {first!r}")
            except BaseException:
                child.kill()
                child.communicate()
                raise
        self._port = int(found[1])
        self._child = child

    def _end_process(self) -> Exception | None:
        child, self._child = self._child, None
        if child is None:
            return None
        try:
            said, _ = child.communicate(timeout=_START_S)  # Closes its stdin, its sign to stop.
        except BaseException:
            child.kill()
            child.communicate()
            raise
        try:
            self._final = json.loads(said)
        except ValueError:
            return RuntimeError(
                f"fake server process ended before its time, with code {child.returncode}"
            )
        return None


def _options() -> argparse.ArgumentParser:
    lines = [f"  {name:<13} {text}" for name, text in _FAULT_HELP.items()]
    lines += ["faults for --always only:"]
    lines += [f"  {name:<13} {text}" for name, text in _ALWAYS_ONLY_HELP.items()]
    parser = argparse.ArgumentParser(
        prog="python -m glider.testing.server",
        description="A fake OpenAI-compatible server on 127.0.0.1, slow and faulty on request. "
        "Prints its address, serves until SIGTERM or SIGINT, then prints its counts as JSON.",
        epilog="\n".join(["faults:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default 8000)")
    parser.add_argument("--answer-file", type=Path, help="UTF-8 file with what the model says")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each completion")
    parser.add_argument("--fault-rate", type=float, default=0.0, help="share that fails, 0 to 1")
    parser.add_argument("--faults", default=",".join(FAULTS), help="kinds to draw from, by comma")
    parser.add_argument("--seed", type=int, default=0, help="settles which requests fail")
    parser.add_argument("--always", help="one fault for every completion")
    parser.add_argument("--api-key", help="the only key let in; a made-up one, it is no secret")
    parser.add_argument("--model", help="name in the replies (default: the one asked for)")
    parser.add_argument("--top-logprobs", type=json.loads, help='JSON, e.g. {"4": -0.1}')
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop then, too")
    return parser


async def _serve_here(settings: _Settings, listener: socket.socket, watch_stdin: bool) -> _Desk:
    """Serve in this process until a signal or, when asked, the end of stdin."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    desk = _Desk(settings)

    def end(*_: object) -> None:
        loop.call_soon_threadsafe(stop.set)

    def wait_for_stdin() -> None:
        # os.read, since a thread left inside sys.stdin would hold its lock at exit.
        while os.read(0, 4096):
            pass
        end()

    # Not loop.add_signal_handler, which Windows has not.
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    if watch_stdin:
        # A test run that is killed cannot say goodbye; its pipe closes all the same.
        threading.Thread(target=wait_for_stdin, name="stdin", daemon=True).start()
    print(f"listening on http://{_HOST}:{listener.getsockname()[1]}", flush=True)
    await _serve(desk, listener, stop)
    return desk


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; see --help."""
    parser = _options()
    args = parser.parse_args(argv)
    answer = '{"score": 3}'
    try:
        if args.answer_file is not None:
            answer = args.answer_file.read_bytes().decode("utf-8", "surrogatepass")
        settings = _Settings(
            answer=answer,
            delay_s=args.delay,
            fault_rate=args.fault_rate,
            faults=tuple(name for name in args.faults.split(",") if name),
            seed=args.seed,
            always=args.always,
            api_key=args.api_key,
            top_logprobs=args.top_logprobs,
            model=args.model,
        )
        listener = _listen(args.port)
    except (ValueError, OSError, OverflowError) as exc:
        parser.error(str(exc))
    desk = asyncio.run(_serve_here(settings, listener, args.until_stdin_closes))
    try:
        print(json.dumps(desk.stats()), flush=True)
    except BrokenPipeError:
        # Whoever started us is gone. Point stdout away, or Python flushes it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
