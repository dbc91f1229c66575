"""A future that depends on other futures."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, TypeVar

from glider.backends.base import settle

Part = TypeVar("Part")
Result = TypeVar("Result")


class ComposedFuture(Generic[Result]):
    """Resolves once, in the thread where its last part ends; cancelling it cancels its parts."""

    def __init__(self) -> None:
        """Create a future without parts."""
        self.future: Future[Result] = Future()
        self.lock = threading.Lock()
        self._parts: list[Future[Any]] = []
        self._ended = False
        self.future.add_done_callback(self._cancel_parts)

    def wait_for(self, part: "Future[Part]", take: "Callable[[Future[Part]], None]") -> None:
        """Call `take` with the part once it is done; pass any exception of `take` to `fail`.

        Only the composed future cancels a part; `take` is then not called.
        """
        self._parts.append(part)
        if self.future.done():
            part.cancel()

        def done(part: "Future[Part]") -> None:
            if part.cancelled():
                return
            try:
                take(part)
            except BaseException as error:  # noqa: BLE001 - whatever it is, somebody waits for it
                self.fail(error)

        part.add_done_callback(done)

    def fail(self, error: BaseException) -> None:
        """Resolve with an error; a subclass may turn it into a result."""
        self.end(error)

    def end(self, outcome: Result | BaseException) -> None:
        """Resolve; only the first outcome counts."""
        with self.lock:
            if self._ended:
                return
            self._ended = True
        settle(self.future, outcome)

    def _cancel_parts(self, future: "Future[Result]") -> None:
        if future.cancelled():
            for part in list(self._parts):
                part.cancel()
            self.end(CancelledError())
