"""Parse the error replies of endpoints and map each to one of our errors.

Providers agree on the format of an answer, but not of an error: it may be an object, a list, plain
text, a web page or an event stream, with an error status or with 200. This module parses them all
into a Complaint and classifies it by meaning. It assumes nothing about the shape of a reply.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from glider.core.errors import (
    AccessRefused,
    BackendError,
    BadResponse,
    Filtered,
    PromptTooLong,
    RateLimited,
    Refused,
    TimedOut,
    Unavailable,
)

_QUOTED_CHARS = 300
_DEEPEST = 6
_SECRET_CHARS = 8
"""Shorter strings are not treated as secrets: they may be part of any word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """An error as an endpoint reports it."""

    status: int
    """HTTP status; where that is 200, the status that the message names, if any."""
    message: str = ""
    codes: frozenset[str] = frozenset()
    """Every code, type and reason given for the error, in lower case."""
    params: frozenset[str] = frozenset()
    """Request settings named as the cause, if any."""
    tokens: int | None = None
    limit: int | None = None
    """Prompt limit in tokens, if the reply has a separate field for it."""
    retry_after_s: float | None = None
    charged: bool = False
    """The endpoint may have charged for this reply."""

    @property
    def text(self) -> str:
        """The message without thousands separators in its numbers."""
        return re.sub(r"(?<=\d),(?=\d{3}\b)", "", self.message)


# ---- envelopes


def read_reply(status: int, data: bytes) -> Mapping[str, Any] | Complaint:
    """Parse a reply into a completion, or into a Complaint if it is not one."""
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        reply = _joined(data) if status == 200 else None
        if reply is None:
            return Complaint(status=status, message=_glimpse(data), charged=status == 200)
    if status != 200:
        return _complaint(status, reply)
    if not isinstance(reply, dict):
        found = _complaint(status, reply)
        return found if found.message else Complaint(status=200, charged=True)
    choices = reply.get("choices")
    if reply.get("error") or reply.get("object") == "error" or not choices:
        found = _complaint(status, reply)
        if found.message:
            return found
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict) and (first.get("error") or first.get("finish_reason") == "error"):
        return _complaint(status, first.get("error"), charged=True)
    return reply


def _complaint(status: int, said: Any, *, charged: bool = False) -> Complaint:
    words: list[str] = []
    codes: list[str] = []
    params: list[str] = []
    counts: dict[str, int] = {}
    retry_after_s = None
    for node in _nodes(said):
        if isinstance(node, str):
            words.append(node)
            continue
        words += _words(node)
        codes += [str(node[key]) for key in _CODE_KEYS if isinstance(node.get(key), str | int)]
        params += _params(node)
        counts |= {
            key: node[key]
            for key in ("n_prompt_tokens", "n_ctx")
            if isinstance(node.get(key), int) and not isinstance(node[key], bool)
        }
        delay = node.get("retryDelay")
        if isinstance(delay, str) and (seconds := re.fullmatch(r"(\d+(?:\.\d+)?)s", delay)):
            retry_after_s = float(seconds[1])
    named = next((int(code) for code in codes if re.fullmatch(r"[45]\d\d", code)), None)
    return Complaint(
        status=named if status == 200 and named else status,
        message="; ".join(dict.fromkeys(word.strip() for word in words if word.strip())),
        codes=frozenset(code.lower() for code in codes),
        params=frozenset(params),
        tokens=counts.get("n_prompt_tokens"),
        limit=counts.get("n_ctx"),
        retry_after_s=retry_after_s,
        charged=charged,
    )


_WORD_KEYS = ("message", "Message", "msg", "error_message", "title", "description")
_CODE_KEYS = ("code", "status", "type", "error_code", "error_type", "reason", "statusCode")
_INNER_KEYS = (
    *("error", "errors", "detail", "details", "message", "innererror", "metadata", "raw"),
)


def _nodes(said: Any, depth: int = 0) -> Iterator[Mapping[str, Any] | str]:
    """Yield the objects and plain strings inside an error, outermost first."""
    if depth > _DEEPEST:
        return
    if isinstance(said, list):
        for item in said[:20]:
            yield from _nodes(item, depth + 1)
    elif isinstance(said, dict):
        yield said
        for key in _INNER_KEYS:
            inner = said.get(key)
            if key == "raw" and isinstance(inner, str):  # The upstream provider's reply.
                with suppress(ValueError, RecursionError):
                    inner = json.loads(inner)
            if isinstance(inner, dict | list) or (key not in _WORD_KEYS and inner):
                yield from _nodes(inner, depth + 1)
    elif isinstance(said, str):
        yield said


def _words(node: Mapping[str, Any]) -> list[str]:
    place = node.get("loc")
    where = ".".join(str(part) for part in place[1:]) + ": " if isinstance(place, list) else ""
    return [where + node[key] for key in _WORD_KEYS if isinstance(node.get(key), str)]


def _params(node: Mapping[str, Any]) -> list[str]:
    place = node.get("loc")
    named = [node.get("param"), place[-1] if isinstance(place, list) and place else None]
    return [name.rpartition(".")[2] for name in named if isinstance(name, str) and name]


def _joined(data: bytes) -> dict[str, Any] | None:
    """Join an event stream into a completion or its error; None if it is not an event stream."""
    text = data.decode("utf-8", "replace")
    if not re.match(r"\s*(?:data|event|id|retry)?:", text):
        return None
    whole: dict[str, Any] = {}
    message: dict[str, Any] = {"role": "assistant", "content": None}
    choice: dict[str, Any] = {"index": 0, "message": message}
    tokens: list[Any] = []
    for line in text.splitlines():
        if not line.startswith("data:") or line[5:].strip() == "[DONE]":
            continue
        try:
            part = json.loads(line[5:])
        except (ValueError, RecursionError):
            return None
        if not isinstance(part, dict):
            return None
        if part.get("error") or part.get("object") == "error":
            return part
        whole |= {key: value for key, value in part.items() if value is not None}
        parts = part.get("choices")
        first = parts[0] if isinstance(parts, list) and parts else None
        if not isinstance(first, dict):
            continue
        delta = first.get("delta") or first.get("message")
        for key, value in (delta if isinstance(delta, dict) else {}).items():
            if isinstance(value, str) and key != "role":
                message[key] = (message.get(key) or "") + value
        logprobs = first.get("logprobs")
        if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
            tokens += logprobs["content"]
        for key in ("finish_reason", "error"):
            choice[key] = first.get(key) or choice.get(key)
    if tokens:
        choice["logprobs"] = {"content": tokens}
    # A stream without an end marker was cut off, and its answer may be incomplete.
    return (
        whole | {"choices": [choice]} if choice.get("finish_reason") or "[DONE]" in text else None
    )


def _glimpse(data: bytes) -> str:
    """Summarize a reply that is not JSON: a web page's title, or the beginning of a text."""
    text = data[:100_000].decode("utf-8", "replace")
    if "<" in text[:200]:
        found = re.findall(r"<(title|h1)[^>]*>(.{1,500}?)</\1>", text, re.IGNORECASE | re.DOTALL)
        words = [re.sub(r"<[^>]*>|\s+", " ", inner).strip() for _, inner in found]
        if words:
            return "a web page: " + ", ".join(dict.fromkeys(words))
        return "a web page" if re.search(r"<html|<!doctype", text, re.IGNORECASE) else ""
    return " ".join(text.split())[:_QUOTED_CHARS]


# ---- meanings

_TOO_LONG_CODES = {
    *("context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"),
    *("contextwindowexceedederror", "request_too_large", "string_above_max_length"),
    *("prompt_too_long", "input_too_long", "model_context_window_exceeded"),
}
_TOO_LONG = re.compile(
    r"(?:maximum|exceed|longer|too (?:long|large|many)|overflow|reduce|limit|only)"
    r"(?:(?!max_tokens)\D){0,60}"
    r"context[ _-]?(?:length|size|window|limit)"
    r"|context[ _-]?(?:length|size|window|limit)s?\b.{0,40}"
    r"(?:exceed|overflow|limit|of only|is \d|too (?:long|small))"
    r"|context the overflows|maximum model length"
    r"|\b(?:prompt|input|inputs|messages?|request(?: entity)?|text|payload|content)s?\b"
    r".{0,20}\btoo (?:long|large)\b"
    r"|\b(?:input|prompt)s?[ _]?(?:token count|tokens?|length)\b.{0,60}"
    r"(?:exceed|longer|greater|larger|more than|should be|>)"
    r"|reduce the (?:length|size) of (?:the|your) (?:messages?|prompt|input)"
    r"|(?:maximum|max\.?) (?:allowed )?(?:prompt|input|sequence)[ _]?(?:length|tokens?|size)"
    r"|maximum number of (?:input |prompt )?tokens allowed|too many (?:input |prompt )?tokens"
    r"|\btokens`? \+ `?max_new_tokens`? must be"
    r"|string too long|input or output tokens must be reduced",
    re.IGNORECASE,
)
_ABOVE = re.compile(r"(\d+(?: \+ \d+)*)(?: tokens)? > (\d+)")
_LIMIT = re.compile(
    r"(?:context[ _-]?(?:length|size|window|limit)|(?:model|prompt|input|sequence|total) length"
    r"|tokens allowed|must be <=|limit|maximum of|supports up to)"
    r"(?: is| of| only| to|:| should be)*[ (\[]+(?:\d+, ?)?(?P<after>\d{2,})"
    r"|(?<![\w.-])(?P<before>\d{2,}) maximum context",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.-])\d{1,9}\b")

_FILTER_CODES = {
    *("content_filter", "responsibleaipolicyviolation", "content_policy_violation"),
    *("data_inspection_failed", "datainspectionfailed", "prompt_blocked", "content_filter_error"),
}
_FILTER = re.compile(
    r"content (?:management|filter|policy)|(?:was|were|been) flagged|requires moderation"
    r"|safety (?:system|filter)|inappropriate content",
    re.IGNORECASE,
)
_NO_CREDIT_CODES = {
    *("insufficient_quota", "billing_not_active", "billing_hard_limit_reached"),
    *("insufficient_balance", "insufficient_credits", "402"),
}
_NO_CREDIT = re.compile(
    r"insufficient (?:balance|credits?|quota|funds)|credit balance is too low|more credits",
    re.IGNORECASE,
)
_RATE_CODES = {
    *("429", "rate_limit_exceeded", "rate_limit_error", "resource_exhausted", "ratelimiterror"),
    *("too_many_requests", "throttling", "throttlingexception", "rate_limited"),
}
_RATE = re.compile(r"rate limit|too many requests|resource.?exhausted", re.IGNORECASE)
_KEY_CODES = {
    *("401", "invalid_api_key", "authentication_error", "authenticationerror", "unauthenticated"),
    *("api_key_invalid", "unauthorized", "invalid_authentication", "permission_error"),
    *("permission_denied", "permissiondenied", "access_denied", "invalid_authentication_error"),
}
_KEY = re.compile(
    r"\b(?:invalid|incorrect|wrong|missing|expired|no|provide)\b.{0,20}"
    r"\b(?:api[ _-]?key|subscription key|auth(?:entication|orization)?|credentials?"
    r"|(?:access|bearer) token)\b"
    r"|\b(?:api|subscription)[ _-]?key\b.{0,40}(?:not valid|invalid|incorrect|expired|missing)"
    r"|\bunauthori[sz]ed\b|not authenticated|authentication (?:failed|required)",
    re.IGNORECASE,
)
_FORBIDDEN = re.compile(
    r"key|permission|access|credential|auth|forbidden|country|region|territory", re.IGNORECASE
)
_NO_MODEL_CODES = {
    *("model_not_found", "not_found_error", "deploymentnotfound", "notfounderror", "404"),
    *("invalid_model", "model_not_available", "not_found"),
}
_NO_MODEL = re.compile(
    r"\bmodel\b[^.;]{0,80}?(?:not found|does not exist|doesn't exist|not a valid|is unknown"
    r"|not available|is not loaded)|(?:unknown|invalid|no such|not a valid) model",
    re.IGNORECASE,
)
_BUSY_CODES = {"overloaded_error", "overloaded", "unavailable", "server_error", "internal_error"}

_CHECK_KEY = "set OPENAI_API_KEY to a key that this endpoint takes"
_CHECK_NAME = "see that --model names a model of this endpoint and that the base URL is right"
_NO_QUOTA = "the account behind OPENAI_API_KEY has no quota left"


def error_of(
    complaint: Complaint, retry_after_s: float | None = None, *, secret: str = ""
) -> BackendError:
    """Build the error for a complaint, quoting the endpoint's message.

    Args:
        retry_after_s: seconds to wait, from the reply's header.
        secret: a text that is never quoted.
    """
    status, codes, text = complaint.status, complaint.codes, complaint.text
    said = _quoted(complaint.message, secret)
    told = f"{status}: {said}"
    # A 5xx about keys or models is the gateway's problem with its own, and may be temporary.
    ours = status < 500 and status != 429
    if status == 413 or codes & _TOO_LONG_CODES or _TOO_LONG.search(text):
        tokens, limit = _counts(complaint)
        return PromptTooLong(tokens, limit, "" if tokens else said)
    if ours and (codes & _FILTER_CODES or _FILTER.search(text)):
        return Filtered(f"the provider's content filter held it back: {said}")
    if status == 402 or codes & _NO_CREDIT_CODES or (status < 500 and _NO_CREDIT.search(text)):
        return AccessRefused(told, hint=_NO_QUOTA)
    if status == 429 or codes & _RATE_CODES or (status in (200, 403) and _RATE.search(text)):
        rest_s = retry_after_s if retry_after_s is not None else complaint.retry_after_s
        return RateLimited(told, retry_after_s=rest_s)
    if status == 401 or (ours and (codes & _KEY_CODES or _KEY.search(text))):
        return AccessRefused(told, hint=_CHECK_KEY)
    if status == 403 and not text.startswith("a web page") and _FORBIDDEN.search(text):
        return AccessRefused(told, hint="the key in OPENAI_API_KEY may not use this model")
    if status in (404, 405, 410) or (ours and (codes & _NO_MODEL_CODES or _NO_MODEL.search(text))):
        return AccessRefused(told, hint=_CHECK_NAME)
    if 300 <= status < 400:
        return AccessRefused(f"{status}: it sends us to another address", hint=_CHECK_NAME)
    if status == 407:
        return AccessRefused(told, hint="the proxy wants a user name: see HTTPS_PROXY")
    if status in (408, 524):
        return TimedOut(told)
    if status >= 500 or codes & _BUSY_CODES:
        return Unavailable(told)
    if status == 200:
        return BadResponse(f"the endpoint's answer is no completion: {said}")
    return Refused(told)


def _counts(complaint: Complaint) -> tuple[int | None, int | None]:
    """Tokens in the prompt and the limit, each None where the complaint does not give it."""
    tokens, limit = complaint.tokens, complaint.limit
    for sum_, above in _ABOVE.findall(complaint.text):
        asked = sum(map(int, sum_.split(" + ")))
        if limit is None and asked > int(above):
            return asked, int(above)
    if limit is None and (found := _LIMIT.search(complaint.text)):
        limit = int(found["after"] or found["before"])
    if tokens is None and limit:
        numbers = map(int, _NUMBER.findall(complaint.text))
        tokens = max((n for n in numbers if n > limit), default=None)
    return tokens, limit


def _quoted(message: str, secret: str) -> str:
    if len(secret) >= _SECRET_CHARS:
        message = message.replace(secret, "***")
    message = " ".join(message.split()) or "no reason given"
    return message if len(message) <= _QUOTED_CHARS else message[:_QUOTED_CHARS] + "..."
