"""Requests and answers between judging and backends: messages in, text out. No criterion here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from glider.core.judgments import Usage


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How tokens are sampled. Greedy by default, so that a run can be reproduced."""

    temperature: float = 0.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    max_tokens: int = 512
    """Longest answer, the prompt not counted. Reaching it is a `truncated` failure."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """What the answer may look like, for engines that can hold a model to it."""

    lark: str
    """llguidance's Lark dialect; describes the answer after the opening."""
    json_schema: Mapping[str, Any] | None = None
    """The same as JSON Schema, where the answer is one JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Ask for the probability of each of these texts at one place of the answer.

    `after` is the literal text that stands right before the label: the end of the request's opening
    where it ends so, else the last occurrence in the answer.
    """

    texts: tuple[str, ...]
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One prompt for one answer."""

    id: str
    messages: tuple[Message, ...]
    opening: str = ""
    """How the answer begins; given to the model, and part of the returned text."""
    decoding: Decoding = field(default_factory=Decoding)
    grammar: Grammar | None = None
    labels: Labels | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One answer."""

    text: str
    """The whole answer, the request's opening included."""
    finish: Literal["stop", "length"] = "stop"
    label_logprobs: Mapping[str, float] | None = None
    """Natural-log probability of each label; None where not asked or not known, or
    where one of the numbers is no probability: what the others are is then not known either."""
    masked: bool = False
    """`label_logprobs` were taken after the grammar had ruled out all else: how likely each label
    is beside the others is known, and how likely any label is at all is not."""
    constrained: bool = False
    """The grammar was enforced while decoding."""
    adjusted: tuple[str, ...] = ()
    """Settings of the request that the endpoint refused: a name was left out, `name=value` was set
    to the bound that it names."""
    usage: Usage = field(default_factory=Usage)
    """Tokens and money of every attempt, as far as they are known; seconds of the last."""
    retries: int = 0

    def __post_init__(self) -> None:
        known = self.label_logprobs
        if known is not None and not all(map(is_log_probability, known.values())):
            object.__setattr__(self, "label_logprobs", None)


def is_log_probability(value: object) -> bool:
    """A number of at most 0, or what rounding adds to a sum; -inf is one, NaN is not."""
    return isinstance(value, int | float) and value <= _ROUNDING


_ROUNDING = 0.01
