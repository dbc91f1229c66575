"""What all wires share: what was asked, what is wrong with it, and texts out of messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glider.core.judgments import Failure, Judgment
from glider.core.tasks import JudgeTask


class WireError(Exception):
    """A body that cannot be taken; becomes a typed error with an HTTP status."""

    def __init__(
        self, message: str, *, status: int = 422, code: str = "bad_request", param: str = ""
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param

    def body(self) -> dict[str, Any]:
        """In the shapes that OpenAI's clients (`error`) and TypeSafe's (`detail`) read."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": str(self), "type": kind, "code": self.code}
        return {
            "error": {**error, "param": self.param or None},
            "detail": {"error_type": self.code, "message": str(self)},
        }


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a caller, as a task of ours."""

    key: str | None
    """The name the caller gave it."""
    kind: str
    """As the wire calls it."""
    task: JudgeTask
    labels: tuple[Any, ...]
    """What the caller calls each level of the rubric, in its order."""


def text_of(value: Any, *, param: str) -> str:
    """A string, or the text parts of a message's content.

    Raises:
        WireError: it is neither, or a part is no text (an image).
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        texts = []
        for part in value:
            if not isinstance(part, Mapping):
                raise WireError(f"{param}: a part is no object", param=param)
            kind = part.get("type")
            if kind in ("input_text", "text", "output_text"):
                texts.append(str(part.get("text", "")))
            else:
                raise WireError(f"{param}: a part of type {kind!r} is not judged here", param=param)
        return "\n".join(texts)
    raise WireError(f"{param} is a text or a list of parts", param=param)


def told(outcome: Judgment) -> dict[str, Any]:
    """What our own key says beside a wire's answer: why, and where it stands in the text."""
    return {
        "score": outcome.score,
        "expected": outcome.expected,
        "reasoning": outcome.reasoning,
        "highlights": [
            {
                "phrase": mark.phrase,
                "match": mark.match,
                "spans": [span.model_dump() for span in mark.spans],
            }
            for mark in outcome.highlights
        ],
        **({"warnings": list(outcome.warnings)} if outcome.warnings else {}),
        "judge": outcome.judge,
    }


def failed(outcome: Failure) -> dict[str, Any]:
    """A typed failure."""
    return {
        "stage": outcome.stage,
        "code": outcome.code,
        "message": outcome.message,
        "retryable": outcome.retryable,
    }


def confidence(probabilities: Sequence[float]) -> float:
    """(n p_max - 1) / (n - 1), as System One: 0 where all labels are alike, 1 where one is sure."""
    n = len(probabilities)
    return max(0.0, (n * max(probabilities) - 1) / (n - 1)) if n > 1 else 1.0
