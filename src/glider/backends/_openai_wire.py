"""Convert requests to OpenAI's chat completions JSON, and its answers to ours.

This module opens no socket. It assumes nothing about the shape of a reply: one that it cannot parse
is a BadResponse.

The convention to know: if an endpoint refuses a setting, later requests leave it out or set it to
the bound that the endpoint names, provided that this does not change the kind of answer. The
answer records every such change.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from glider.backends._complaints import Complaint
from glider.backends.labels import from_answer, is_bare_label
from glider.core.errors import BadResponse, Filtered, NoAnswer
from glider.core.generation import GenerationRequest
from glider.core.judgments import Usage
from glider.text.thinking import split_thinking

GrammarKind = Literal["auto", "vllm", "llama.cpp", "json-schema", "none"]
"""How to send a grammar to the endpoint; auto means json-schema."""

_OPTIONAL = {
    # In this order: of "temperature and top_p cannot both be given" we drop top_p, which has no
    # effect at 1.
    "top_p": ("top_p",),
    "seed": ("seed",),
    "top_logprobs": ("logprobs", "top_logprobs"),
    "logprobs": ("logprobs", "top_logprobs"),
    "response_format": ("response_format",),
    "structured_outputs": ("structured_outputs",),
    "grammar": ("grammar",),
    # OpenAI's reasoning models choose their own sampling and refuse the setting.
    "temperature": ("temperature",),
}
"""Fields that an endpoint may refuse, each with the fields to drop along with it."""

_BOUNDED = {
    "top_logprobs": "top_logprobs|logprobs",
    "max_tokens": "max_tokens|maxOutputTokens|max_output_tokens|max_new_tokens",
    "max_completion_tokens": "max_completion_tokens|max_tokens|maxOutputTokens|max_output_tokens",
    "temperature": "temperature",
    "seed": "seed",
}
"""Numeric fields that may be out of an endpoint's range, and the names it may use for them."""

LLGUIDANCE = "%llguidance {}\n"
"""First line of a grammar: others that read Lark refuse it, and do not fail over the rest."""

_GRAMMAR_FIELDS = ("response_format", "structured_outputs", "grammar")
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
_CUT_OFF = ("length", "max_tokens", "model_length")


@dataclass(frozen=True, slots=True, kw_only=True)
class WireAnswer:
    """What a reply says; the fields are those of a `Generation`."""

    text: str
    finish: Literal["stop", "length"]
    label_logprobs: dict[str, float] | None
    constrained: bool
    """A grammar was requested."""
    masked: bool


class Wire:
    """One model at one endpoint, as JSON. Remembers which fields the endpoint refuses."""

    def __init__(self, model: str, kind: GrammarKind) -> None:
        self._model = model
        self._kind = kind
        self._max_tokens_field = "max_tokens"
        self._dropped: set[str] = set()
        self._lowest: dict[str, float] = {}
        self._highest: dict[str, float] = {}

    def body(self, request: GenerationRequest) -> dict[str, Any]:
        """Return the request's JSON, adapted to what the endpoint is known to accept."""
        body = self._plain(request)
        for field in self._dropped:
            body.pop(field, None)
        for field, low in self._lowest.items():
            if field in body:
                body[field] = max(body[field], low)
        for field, high in self._highest.items():
            if field in body:
                body[field] = min(body[field], high)
        return body

    def _plain(self, request: GenerationRequest) -> dict[str, Any]:
        """Return the request's JSON before any adaptation."""
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
        # Only these two continue a prefilled answer; OpenAI would start a new one.
        if request.opening and self._kind in ("vllm", "llama.cpp"):
            messages.append({"role": "assistant", "content": request.opening})
            if self._kind == "vllm":
                body |= {"continue_final_message": True, "add_generation_prompt": False}
        if request.labels is not None:
            body |= {"logprobs": True, "top_logprobs": 20}
        if request.grammar is not None:
            grammar = request.grammar
            if self._kind == "vllm":
                # vLLM's log-probabilities are those that its grammar has left, so a bare score,
                # which is read from them alone, is asked for without.
                if not self._is_read_bare(request):
                    body["structured_outputs"] = {"grammar": LLGUIDANCE + grammar.lark}
            elif self._kind == "llama.cpp":
                body["grammar"] = LLGUIDANCE + grammar.lark
            elif self._kind != "none" and grammar.json_schema is not None:
                schema = {"name": "answer", "strict": True, "schema": dict(grammar.json_schema)}
                body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _is_read_bare(self, request: GenerationRequest) -> bool:
        return is_bare_label(request) and "logprobs" not in self._dropped

    def most_tokens(self, sent: Mapping[str, Any]) -> int:
        """Return the maximum number of answer tokens that `sent` allows."""
        return int(sent[self._max_tokens_field])

    def adjusted(self, request: GenerationRequest, sent: Mapping[str, Any]) -> tuple[str, ...]:
        """List how `sent` differs from the request: omitted fields by name, else `field=value`."""
        meant = self._plain(request)
        return tuple(
            name if name not in sent else f"{name}={sent[name]:g}"
            for name, value in meant.items()
            if name in _OPTIONAL | _BOUNDED and sent.get(name) != value
        )

    def answer(
        self, reply: Mapping[str, Any], request: GenerationRequest, sent: Mapping[str, Any]
    ) -> WireAnswer:
        """Read a reply.

        Raises:
            BadResponse: the reply has no choice, or the choice has no text.
            NoAnswer: the model wrote only reasoning.
            Filtered: the provider withheld the text.
        """
        choices = reply.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            raise BadResponse("the endpoint's answer has no choices")
        finish = str(choice.get("finish_reason")).lower()
        if finish.startswith(("content_filter", "safety")):
            raise Filtered("the provider's content filter held the answer back")
        cut_off = finish in _CUT_OFF
        content = _text_of(message.get("content"))
        elsewhere = next((f for f in _REASONING_FIELDS if _text_of(message.get(f))), None)
        if not content and elsewhere and not cut_off:
            raise NoAnswer(
                f"the answer's text is empty: all that the model wrote lies in {elsewhere!r}",
                hint="start the server without its reasoning parser (Glider skips the thinking by "
                "itself), or with thinking switched off",
            )
        if content is None:
            # A refusal counts as the answer; and a model may reason up to its limit and answer
            # nothing.
            content = message.get("refusal") or ("" if cut_off else None)
        if not isinstance(content, str):
            raise BadResponse("the endpoint's answer has no text")
        thought, said = split_thinking(content)
        opening = request.opening
        # vLLM returns only the continuation; others may or may not repeat the opening.
        whole = self._kind != "vllm" and said.lstrip().startswith(opening)
        lead = "" if whole or (thought and not said) else opening
        text = thought + lead + (said.lstrip() if thought else said)
        labels = _labels(choice, request, "" if thought else lead)
        constrained = any(field in sent for field in _GRAMMAR_FIELDS)
        if not constrained and self._kind == "vllm" and self._is_read_bare(request) and labels:
            text = request.opening + max(labels, key=labels.__getitem__)
        return WireAnswer(
            text=text,
            finish="length" if cut_off else "stop",
            label_logprobs=labels,
            constrained=constrained,
            # llama.cpp reports the model's own probabilities; of others it is not known.
            masked=constrained and self._kind != "llama.cpp",
        )

    def adapt(self, complaint: Complaint, sent: Mapping[str, Any]) -> str:
        """Change later requests if the complaint is about a setting of `sent`.

        Returns:
            What changed, for a message; empty if nothing did.
        """
        if complaint.status not in (400, 402, 422):
            return ""
        text = complaint.text
        if "max_tokens" in sent and _wants_newer_name(complaint):
            self._max_tokens_field = "max_completion_tokens"
            return "takes max_completion_tokens for max_tokens"
        for name, called in _BOUNDED.items():
            if name in sent and _names(complaint, called):
                bound = _bound(text, sent[name])
                if bound is None or (name == "top_logprobs" and bound < 2):
                    continue
                bounds = self._highest if bound < sent[name] else self._lowest
                bounds[name] = bound
                return f"takes no {name} of {sent[name]:g}; going on with {bound:g}"
        for name, fields in _OPTIONAL.items():
            if name in sent and _names(complaint, name):
                self._dropped.update(fields)
                return f"takes no {' and '.join(fields)}; going on without"
        return ""


def _names(complaint: Complaint, called: str) -> bool:
    if complaint.params:
        return any(re.fullmatch(called, param) for param in complaint.params)
    return re.search(rf"\b(?:{called})\b", complaint.text) is not None


def _wants_newer_name(complaint: Complaint) -> bool:
    return "max_completion_tokens" in complaint.text and bool(
        re.search(r"max_tokens\b.*(?:unsupported|not supported|instead|use)", complaint.text, re.I)
        or re.search(r"(?:unsupported|not supported).*max_tokens\b", complaint.text, re.I)
    )


_RANGE = re.compile(
    r"(?:between|from|range(?: of| is)?|[\[(])\D{0,30}?(-?\d+(?:\.\d+)?)\D{1,25}?"
    r"(\d+(?:\.\d+)?)(?P<open>\)|\W*exclusive)?",
    re.IGNORECASE,
)
_SOME_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w-])")
_TOO_HIGH = re.compile(
    r"max(?!_)|at most|too (?:large|high)|<|less than|up to|exceed|no more|afford|supports?"
    r"|above|not greater",
    re.IGNORECASE,
)
_TOO_LOW = re.compile(
    r"min|at least|>|greater than|too (?:small|low)|below|positive|larger than|≥", re.IGNORECASE
)


def _bound(text: str, value: float) -> float | None:
    """Return the allowed number nearest to `value`, if the text names the bound it violates."""
    bound: float | None = None
    low_high = next((m for m in _RANGE.finditer(text) if float(m[1]) < float(m[2])), None)
    if low_high and float(low_high[1]) <= value <= float(low_high[2]) and not low_high["open"]:
        return None
    step = 1 if isinstance(value, int) else 0.01
    numbers = [float(found) for found in _SOME_NUMBER.findall(text)]
    if low_high and value >= float(low_high[2]):
        bound = float(low_high[2]) - (step if low_high["open"] else 0)
    elif low_high and value < float(low_high[1]):
        bound = float(low_high[1])
    elif _TOO_HIGH.search(text) and any(0 < number < value for number in numbers):
        bound = max(number for number in numbers if number < value)
        if re.search(rf"(?:less than|<) {bound:g}\b", text):
            bound -= step
    elif _TOO_LOW.search(text):
        strict = "strictly positive" in text or re.search(rf"(?:greater than|>) {value:g}\b", text)
        if strict:
            bound = value + step
        else:
            bound = min((number for number in numbers if number > value), default=None)
    # An answer cut to a few tokens would be a different kind of answer.
    if bound is None or bound == value or not value / 64 <= bound <= max(64 * value, 64):
        return None
    return int(bound) if isinstance(value, int) else bound


def _text_of(content: object) -> str | None:
    """Return a message's text, joining the text parts if the content is a list."""
    if isinstance(content, list):
        parts = [
            part["text"]
            for part in content
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        ]
        return "".join(parts) if parts else None
    return content if isinstance(content, str) else None


def usage_of(reply: Mapping[str, Any], seconds: float) -> Usage:
    """Return the token counts that the endpoint reports; 0 where it reports none."""
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
    """Parse a Retry-After header (seconds, also fractional, or an HTTP date) into seconds.

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
    except (KeyError, TypeError):  # Many endpoints return null or an incomplete object.
        return None
    # "4" and " 4" are rounded separately, and their sum may be slightly above 1.
    return found and {label: min(logprob, 0.0) for label, logprob in found.items()}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
