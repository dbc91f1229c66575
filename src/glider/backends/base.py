"""The interface of a backend: take a request, return a future of its answer.

Each backend chooses how to be fast: slots, batches, an event loop. Callers keep up to
`limits.in_flight` requests open; further ones only wait. A future resolves to a Generation or a
BackendError; the backend translates every other error. A future can be cancelled until it
resolves, even while the engine generates: the engine then stops within a few tokens.
`glider.testing` has the test suite that every backend passes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from glider.core.errors import BackendError, SetupError
from glider.core.generation import Generation, GenerationRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many requests and tokens a backend handles at once."""

    in_flight: int
    """Requests worth keeping open; further ones would only wait."""
    context_tokens: int | None = None
    """Limit for prompt and answer together; None if the backend does not know it."""
    at_once: int | None = None
    """Answers generated concurrently while others wait; None: all of `in_flight`."""
    scores_at_once: int | None = None
    """Bare scores computed concurrently; None: all of `in_flight`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend supports; it refuses anything else at setup or marks it in the answer."""

    grammar: bool = False
    """Constrains generation to `request.grammar`."""
    label_logprobs: bool = False
    """Fills `label_logprobs` for `request.labels`."""
    explanations: bool = True
    """Generates text beyond a label; a score-only engine does not."""
    prefix_cache: bool = False
    """Runs faster when requests that share a prefix arrive consecutively."""


Answer = TypeVar("Answer")


def settle(future: "Future[Answer]", outcome: Answer | BaseException) -> None:
    """Resolve a future once, with an answer or error; a cancelled future stays cancelled.

    A backend leaves a future pending while it works on it, so that `cancel` takes effect until the
    answer is complete.
    """
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


class Backend(ABC):
    """One engine or endpoint with one model loaded."""

    id: str
    """provider/model@revision: identifies the exact weights."""
    limits: Limits
    capabilities: Capabilities
    trained_format: Mapping[str, str] | None = None
    """The format that the weights were trained in, as recorded with them; for
    `glider.judging.judge.default_format`."""

    @abstractmethod
    def submit(self, request: GenerationRequest) -> "Future[Generation]":
        """Queue a request without blocking; its future gives a Generation or a BackendError.

        Cancelling the future drops the request, or stops its generation.
        """

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation | BackendError]:
        """Answer every request, in order; a failed request has its error in place of an answer."""
        futures = [self.submit(request) for request in requests]
        answers: list[Generation | BackendError] = []
        for future in futures:
            try:
                answers.append(future.result())
            except BackendError as error:
                answers.append(error)
        return answers

    @abstractmethod
    def close(self) -> None:
        """Release all resources; safe to call twice. Open futures end in an error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_writes(
    backend: Backend, what: str, *, hint: str = "use an embedded, hf or openai model"
) -> None:
    """Refuse a backend that only reads scores where text is to be written.

    Args:
        what: what it would have to write, as the message says it.

    Raises:
        SetupError: the backend writes no text.
    """
    if not backend.capabilities.explanations:
        raise SetupError(f"{backend.id} only reads scores and cannot write {what}", hint=hint)
