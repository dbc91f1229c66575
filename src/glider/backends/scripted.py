"""A fake backend for tests, with answers from a list or a function.

It runs no model, and its id says so. It returns exactly what it is given, including errors.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from glider.backends.base import Backend, Capabilities, Limits
from glider.core.errors import BackendError, Unavailable
from glider.core.generation import Generation, GenerationRequest
from glider.core.judgments import Usage

Answer = str | Generation | BackendError
Script = Sequence[Answer] | Callable[[GenerationRequest], Answer]


class ScriptedBackend(Backend):
    """Returns scripted answers in the order of the requests."""

    def __init__(
        self,
        script: Script,
        *,
        label_logprobs: Mapping[str, float] | None = None,
        model: str = "script",
    ) -> None:
        """Prepare the answers.

        Args:
            script: a list, consumed in order (an exhausted list is an `unavailable` failure), or a
                function of the request. The request's opening is added to an answer without it.
            label_logprobs: returned with every text answer, as a model would return them.
        """
        self.id = f"scripted/{model}"
        self.limits = Limits(in_flight=8)
        self.capabilities = Capabilities(label_logprobs=label_logprobs is not None)
        self.requests: list[GenerationRequest] = []
        """Every request received, in order."""
        self._script = script
        self._label_logprobs = label_logprobs
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, request: GenerationRequest) -> "Future[Generation]":
        future: Future[Generation] = Future()
        with self._lock:
            if self._closed:
                future.set_exception(Unavailable("the backend is closed"))
                return future
            number = len(self.requests)
            self.requests.append(request)
            if callable(self._script):
                answer = self._script(request)
            elif number < len(self._script):
                answer = self._script[number]
            else:
                answer = Unavailable(f"the script has only {len(self._script)} answers")
        if isinstance(answer, BackendError):
            future.set_exception(answer)
        elif isinstance(answer, Generation):
            future.set_result(answer)
        else:
            text = answer if answer.startswith(request.opening) else request.opening + answer
            size = sum(len(message.content) for message in request.messages)
            future.set_result(
                Generation(
                    text=text,
                    label_logprobs=self._label_logprobs if request.labels else None,
                    # Four characters per token is the usual rule of thumb.
                    usage=Usage(prompt_tokens=size // 4, completion_tokens=len(text) // 4),
                )
            )
        return future

    def close(self) -> None:
        self._closed = True
