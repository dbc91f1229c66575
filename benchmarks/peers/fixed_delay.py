"""An engine that answers every request after a fixed time, for servers that are measured."""

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

from glider.backends.base import settle
from glider.backends.scripted import ScriptedBackend
from glider.core.generation import GenerationRequest


class FixedDelay(ScriptedBackend):
    """Always the same answer; one thread keeps the time of all requests."""

    def __init__(self, seconds: float) -> None:
        """Start the clock."""
        super().__init__(self._answered, label_logprobs={})
        self._seconds = seconds
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    @staticmethod
    def _answered(request: GenerationRequest) -> str:
        texts = request.labels.texts if request.labels is not None else ("1",)
        return f"Score: {texts[-1]}"

    def submit(self, request: GenerationRequest) -> "Future[Any]":
        """Answer after a while."""
        ready, future = super().submit(request).result(), Future[Any]()
        self.requests.clear()  # kept for tests; here memory is measured
        self._loop.call_soon_threadsafe(self._loop.call_later, self._seconds, settle, future, ready)
        return future
