"""The interface of a backend: take a request, return a future of its answer.

How a backend is made fast is its own business: slots, batches, an event loop. Callers keep up to
`limits.in_flight` requests with it; more only wait. A future ends in a Generation or in a
BackendError; every foreign error is translated before it gets here. It can be cancelled until it
ends, also while its answer is written: the engine then stops within a few tokens. `glider.testing`
has the suite that every backend passes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from glider.core.errors import BackendError
from glider.core.generation import Generation, GenerationRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a backend takes at once."""

    in_flight: int
    """Requests worth keeping with it; more would only wait."""
    context_tokens: int | None = None
    """Prompt and answer together; None where the backend does not know."""
    at_once: int | None = None
    """Answers that are written at the same time, the others wait; None: all of `in_flight`."""
    scores_at_once: int | None = None
    """Bare scores that are read at the same time; None: all of `in_flight`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can do; what it cannot, it refuses at set-up or marks in the answer."""

    grammar: bool = False
    """Holds the model to `request.grammar`."""
    label_logprobs: bool = False
    """Fills `label_logprobs` for `request.labels`."""
    explanations: bool = True
    """Writes text beyond a label; a score-only engine does not."""
    prefix_cache: bool = False
    """Gains when requests that share a beginning come one after another."""


Answer = TypeVar("Answer")


def settle(future: "Future[Answer]", outcome: Answer | BaseException) -> None:
    """End a future, once, with its answer or error; one that was cancelled stays cancelled.

    A backend leaves its futures pending while it works on them, so that `cancel` takes effect until
    the answer is there.
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
    """provider/model@revision: enough to ask the same weights again."""
    limits: Limits
    capabilities: Capabilities
    trained_format: Mapping[str, str] | None = None
    """The format that the weights were trained in, as recorded with them; for
    `glider.judging.judge.default_format`."""

    @abstractmethod
    def submit(self, request: GenerationRequest) -> "Future[Generation]":
        """Take a request; the future ends in a Generation or a BackendError. Does not block.

        Whoever no longer waits cancels the future: the request is dropped, or its answer ended.
        """

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation | BackendError]:
        """Answer every request: same length, same order, an error in the place of an answer."""
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
        """Let go of everything; safe to call twice. Open futures end in an error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
