"""OpenAI's chat completions as JSON: our request to theirs, their answer or refusal to ours.

Opens no socket. What an endpoint says is not trusted to have any shape: whatever cannot be read
is a BadResponse. Its error messages are quoted, shortened and without the key.

The convention to know: a field that an endpoint does not know is left out from then on, if an
answer without it is still the same kind of answer; everything else it refuses is an error.
"""

import json
import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from glider.backends.labels import from_answer
from glider.core.errors import (
    BackendError,
    BadResponse,
    Filtered,
    PromptTooLong,
    RateLimited,
    Refused,
    TimedOut,
    Unavailable,
)
from glider.core.generation import GenerationRequest
from glider.core.judgments import Usage

GrammarKind = Literal["auto", "vllm", "llama.cpp", "json-schema", "none"]
"""How an endpoint is held to a grammar; auto is json-schema."""

_OPTIONAL = {
    "logprobs": ("logprobs", "top_logprobs"),
    "top_logprobs": ("logprobs", "top_logprobs"),
    "seed": ("seed",),
    # OpenAI's reasoning models draw as they please and say so.
    "temperature": ("temperature", "top_p"),
    "top_p": ("top_p",),
    "response_format": ("response_format",),
    "structured_outputs": ("structured_outputs",),
    "grammar": ("grammar",),
}
"""A field an endpoint may refuse, and the fields that go with it."""

_GRAMMAR_FIELDS = ("response_format", "structured_outputs", "grammar")
_TOO_LONG_CODES = ("context_length_exceeded", "exceed_context_size_error")
_TOO_LONG = re.compile(
    r"(?:context length(?: is| of)?|context size|model length of)[ (]+(?P<limit>\d+)", re.IGNORECASE
)
_NUMBER = re.compile(r"(?<=[ (])\d{1,9}\b")
_QUOTED_CHARS = 300


class Wire:
    """One model at one endpoint, as JSON. Remembers which fields the endpoint does not know."""

    def __init__(self, model: str, kind: GrammarKind, key: str) -> None:
        self._model = model
        self._kind = kind
        self._max_tokens_field = "max_tokens"
        self._key = key
        self._dropped: set[str] = set()

    def body(self, request: GenerationRequest) -> dict[str, Any]:
        """The request as the endpoint wants it."""
        decoding = request.decoding
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            self._max_tokens_field: decoding.max_tokens,
            "seed": decoding.seed,
            "stream": False,
        }
        # Only these two continue an answer that was begun for them; OpenAI would start a new one.
        if request.opening and self._kind in ("vllm", "llama.cpp"):
            messages.append({"role": "assistant", "content": request.opening})
            if self._kind == "vllm":
                body |= {"continue_final_message": True, "add_generation_prompt": False}
        if request.labels is not None:
            body |= {"logprobs": True, "top_logprobs": 20}
        if request.grammar is not None:
            grammar = request.grammar
            if self._kind == "vllm":
                body["structured_outputs"] = {"grammar": grammar.lark}
            elif self._kind == "llama.cpp":
                body["grammar"] = "%llguidance {}\n" + grammar.lark
            elif self._kind != "none" and grammar.json_schema is not None:
                schema = {"name": "answer", "strict": True, "schema": dict(grammar.json_schema)}
                body["response_format"] = {"type": "json_schema", "json_schema": schema}
        for field in self._dropped:
            body.pop(field, None)
        return body

    def parse(self, data: bytes) -> dict[str, Any]:
        """The reply's JSON object.

        Raises:
            BadResponse: it is not one.
        """
        try:
            reply = json.loads(data)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            raise BadResponse(f"the endpoint's answer of {len(data)} bytes is not a JSON object")
        return reply

    def answer(
        self, reply: Mapping[str, Any], request: GenerationRequest, sent: Mapping[str, Any]
    ) -> tuple[str, Literal["stop", "length"], dict[str, float] | None, bool]:
        """Text, finish, label log-probabilities and whether a grammar was asked for.

        Raises:
            BadResponse: no choice, or no text in it.
            Filtered: the provider held the text back.
        """
        choices = reply.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            raise BadResponse("the endpoint's answer has no choices")
        finish = choice.get("finish_reason")
        if finish == "content_filter":
            raise Filtered("the provider's content filter held the answer back")
        content = message.get("content")
        if content is None:
            # A refusal is what the model said; and a model may think up to its limit, saying
            # nothing.
            content = message.get("refusal") or ("" if finish == "length" else None)
        if not isinstance(content, str):
            raise BadResponse("the endpoint's answer has no text")
        opening = request.opening
        # vLLM gives the continuation alone; the others may or may not repeat the opening.
        said = self._kind != "vllm" and content.startswith(opening)
        lead = "" if said else opening
        return (
            lead + content,
            "length" if finish == "length" else "stop",
            _labels(choice, request, lead),
            any(field in sent for field in _GRAMMAR_FIELDS),
        )

    def refusal(self, status: int, data: bytes, retry_after_s: float | None) -> BackendError:
        """The error that a status other than 200 stands for."""
        error = _error(data)
        code, kind = error.get("code"), error.get("type")
        said = self._quoted(error)
        if status == 429 and "insufficient_quota" not in (code, kind):
            return RateLimited(f"429: {said}", retry_after_s=retry_after_s)
        if status == 408:
            return TimedOut(f"408: {said}")
        if status >= 500:
            return Unavailable(f"{status}: {said}")
        if code == "content_filter":
            return Filtered("the provider's content filter held the prompt back")
        message = str(error.get("message", ""))
        found = _TOO_LONG.search(message)
        if status in (400, 413, 422) and (
            found or code in _TOO_LONG_CODES or kind in _TOO_LONG_CODES
        ):
            limit = _whole(error.get("n_ctx")) or (int(found["limit"]) if found else None)
            above = [n for n in map(int, _NUMBER.findall(message)) if limit and n > limit]
            return PromptTooLong(
                _whole(error.get("n_prompt_tokens")) or max(above, default=None), limit
            )
        return Refused(f"{status}: {said}", hint=_HINTS.get(status))

    def drop(self, status: int, data: bytes, sent: Mapping[str, Any]) -> tuple[str, ...]:
        """Fields of `sent` to leave out from now on, if that is what the refusal is about."""
        if status not in (400, 422):
            return ()
        error = _error(data)
        if "max_tokens" in sent and "max_completion_tokens" in str(error.get("message")):
            self._max_tokens_field = "max_completion_tokens"
            return ("max_tokens",)
        text = str(error.get("param") or error.get("message"))
        for name, fields in _OPTIONAL.items():
            if name in sent and re.search(rf"\b{name}\b", text):
                self._dropped.update(fields)
                return fields
        return ()

    def _quoted(self, error: Mapping[str, Any]) -> str:
        message = str(error.get("message") or "no reason given")
        if self._key:
            message = message.replace(self._key, "***")
        return message if len(message) <= _QUOTED_CHARS else message[:_QUOTED_CHARS] + "..."


_HINTS = {
    401: "set OPENAI_API_KEY to a key that this endpoint takes",
    403: "the key in OPENAI_API_KEY may not use this model; see --model",
    404: "see that --model names a model of this endpoint and that the base URL is right",
    429: "the account behind OPENAI_API_KEY has no quota left",
}


def usage_of(reply: Mapping[str, Any], seconds: float) -> Usage:
    """The tokens that the endpoint says it counted; zeros where it says nothing."""
    usage = reply.get("usage")
    if not isinstance(usage, dict):
        return Usage(seconds=seconds)
    details = usage.get("prompt_tokens_details")
    return Usage(
        prompt_tokens=_whole(usage.get("prompt_tokens")) or 0,
        completion_tokens=_whole(usage.get("completion_tokens")) or 0,
        cached_tokens=(_whole(details.get("cached_tokens")) or 0)
        if isinstance(details, dict)
        else 0,
        seconds=seconds,
    )


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait, from a Retry-After header: seconds, fractions too, or an HTTP date.

    Args:
        now: seconds since 1970.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _labels(
    choice: Mapping[str, Any], request: GenerationRequest, lead: str
) -> dict[str, float] | None:
    if request.labels is None:
        return None
    try:
        tokens = [
            (entry["token"], {top["token"]: top["logprob"] for top in entry["top_logprobs"]})
            for entry in choice["logprobs"]["content"]
        ]
        found = from_answer(request.labels, lead, tokens, lambda _: None)
    except (KeyError, TypeError):  # Many endpoints take the question and give null or less.
        return None
    # "4" and " 4" are rounded one by one, and their sum may come out just above 1.
    return found and {label: min(logprob, 0.0) for label, logprob in found.items()}


def _error(data: bytes) -> Mapping[str, Any]:
    """The error object of a refusal; empty where there is none."""
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(reply, dict):
        return {}
    error = reply.get("error", reply)  # Older vLLM and FastAPI put it at the top.
    if isinstance(error, dict):
        return error if "message" in error else {"message": error.get("detail"), **error}
    return {"message": error}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
