"""A backend whose requests are answered in several processes.

`Engines.open_backend` stands in for `glider.backends.open_backend`: each process opens the model,
and each request goes to the process that has the fewest. What asks a backend needs no change for
it, so every command that takes a model can work in several processes. The price is that prompts
are made, and answers read and recorded, in the one process that asks; `scale.cluster` spreads that
too.

All state belongs to one thread, which takes one event after the other: a request, an answer, a
death.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import Any, Protocol, Self

from glider.backends import endpoint_from_environment
from glider.backends.base import Backend, settle
from glider.core.errors import BackendError, ClusterLost, GliderError, SetupError, Unavailable
from glider.core.generation import Generation, GenerationRequest
from glider.scale.connection import cluster_lost, lost_after
from glider.scale.engine_host import OpenedEngine
from glider.scale.settings import ClusterSettings
from glider.store.manifest import code_sha256

_TOGETHER = 2
_MOST_DEATHS = 4
"""As for chunks (`scale.chunks`): after two deaths a request goes alone, after four it fails."""
_PATIENCE_S = 15.0
"""When to say that a model still loads."""
_ENDS_WITHIN_S = 10.0


class ProcessDied(Exception):
    """The process that was to answer has ended, or cannot be reached."""


class Processes(Protocol):
    """How processes are started and asked."""

    def start(self) -> Any:
        """Start a process with an `EngineHost`, and return a handle of it; does not wait."""
        ...

    def call(self, handle: Any, method: str, *args: Any) -> "Future[Any]":
        """Call a method of the host; the future may raise `ProcessDied`. Cancelling it cancels."""
        ...

    def end(self, handle: Any) -> None:
        """End a process, whatever it does."""
        ...

    def close(self) -> None:
        """Let go of the cluster."""
        ...


class _Engine:
    """One model, open in each process."""

    def __init__(self, key: int, name: str, options: dict[str, Any]) -> None:
        self.key, self.name, self.options = key, name, options
        self.opened: Future[OpenedEngine] = Future()
        """Resolves when the first process has opened it."""
        self.waiting: deque[_Asked] = deque()
        self.suspects: deque[_Asked] = deque()
        """Requests with which processes died; each goes to a process that has no other."""
        self.closed = False


class _Asked:
    """A request that has no answer yet."""

    def __init__(self, engine: _Engine, request: GenerationRequest) -> None:
        self.engine, self.request = engine, request
        self.future: Future[Generation] = Future()
        self.deaths = 0


class _Process:
    """One process, as seen from here."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.loaded: dict[int, OpenedEngine] = {}
        self.asked: dict[_Asked, Future[Any]] = {}

    def has_room(self, engine: _Engine) -> bool:
        opened = self.loaded.get(engine.key)
        if opened is None or any(asked.deaths >= _TOGETHER for asked in self.asked):
            return False
        return sum(a.engine is engine for a in self.asked) < opened.limits.in_flight


class Engines:
    """Processes that hold the same models; use it as a context manager."""

    def __init__(
        self, how: ClusterSettings, processes: Processes, notify: Callable[[str], None]
    ) -> None:
        """Start the processes.

        Args:
            notify: called with a sentence about what happens to them.
        """
        self._how, self._cluster, self._notify = how, processes, notify
        self._keys = count()
        self._engines: list[_Engine] = []
        self._events: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._submitting = threading.Lock()
        self._ended = False
        self._unanswered: set[_Asked] = set()
        """Requests without an outcome."""
        self._told: set[str] = set()
        self._deaths_in_a_row = 0
        self._lost: BaseException | None = None
        self._processes = [_Process(processes.start()) for _ in range(how.actors)]
        self._thread = threading.Thread(target=self._run, name="glider-engines", daemon=True)
        self._thread.start()

    def open_backend(self, name: str, **options: Any) -> Backend:
        """Open a backend in each process; wait for the first.

        Raises:
            UnknownName, SetupError: as `glider.backends.open_backend`.
            ClusterLost: processes die before they have opened it.
        """
        options.pop("progress", None)  # a call back would have to cross machines
        engine = _Engine(next(self._keys), name, options)
        self._events.put(partial(self._begin, engine))
        while True:
            try:
                return _RemoteBackend(self, engine, engine.opened.result(_PATIENCE_S))
            except TimeoutError:
                if engine.opened.done():
                    raise
                self._events.put(partial(self._tell, "waiting for the first actor to load a model"))

    def submit(self, engine: _Engine, request: GenerationRequest) -> "Future[Generation]":
        """Queue a request for whichever process has room."""
        asked = _Asked(engine, request)
        asked.future.add_done_callback(partial(self._if_cancelled, asked))
        with self._submitting:
            if self._ended:
                settle(asked.future, Unavailable("the backend is closed"))
            else:
                self._events.put(partial(self._take, asked))
        return asked.future

    def close_backend(self, engine: _Engine) -> None:
        """Let the processes forget a model; open requests end in an error."""
        self._events.put(partial(self._forget, engine))

    def close(self) -> None:
        """End the processes, and the cluster if it was started for them; safe to call twice."""
        self._events.put(None)
        self._thread.join(_ENDS_WITHIN_S)
        processes, self._processes = self._processes, []
        for process in processes:
            self._cluster.end(process.handle)
        self._cluster.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- in the one thread

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            self._attend(event)
        with self._submitting:
            self._ended = True
        self._end_all(Unavailable("the backend is closed"))
        while not self._events.empty():
            if (event := self._events.get()) is not None:
                self._attend(event)

    def _attend(self, event: Callable[[], None]) -> None:
        try:
            event()
            for engine in self._engines:
                self._hand_out(engine)
        except BaseException as error:  # noqa: BLE001 - whoever waits is told, whatever it is
            self._end_all(error)

    def _begin(self, engine: _Engine) -> None:
        if self._lost is not None:
            _resolve(engine.opened, self._lost)
            return
        self._engines.append(engine)
        for process in self._processes:
            self._open(process, engine)

    def _open(self, process: _Process, engine: _Engine) -> None:
        folder, endpoint = os.getcwd(), endpoint_from_environment()
        future = self._cluster.call(
            process.handle, "open", engine.key, engine.name, engine.options, folder, endpoint
        )
        future.add_done_callback(self._then(partial(self._opened, process, engine)))

    def _then(self, take: "Callable[[Future[Any]], None]") -> "Callable[[Future[Any]], None]":
        return lambda future: self._events.put(partial(take, future))

    def _opened(self, process: _Process, engine: _Engine, future: "Future[Any]") -> None:
        if process not in self._processes:
            return
        error = future.exception()
        if isinstance(error, ProcessDied):
            self._died(process)
            return
        if error is not None:
            raise error
        opened = future.result()
        if engine.closed:
            self._cluster.call(process.handle, "close", engine.key)
            return
        if isinstance(opened, OpenedEngine):
            opened = self._checked(engine, opened)
        if isinstance(opened, GliderError):
            self._drop(process, engine, opened)
            return
        process.loaded[engine.key] = opened
        _resolve(engine.opened, opened)

    def _checked(self, engine: _Engine, opened: OpenedEngine) -> OpenedEngine | SetupError:
        if opened.code != code_sha256():
            return SetupError(
                "an actor runs another Glider than this one", hint="install the same on all nodes"
            )
        first = engine.opened.result() if engine.opened.done() else opened
        if first.id != opened.id:
            return SetupError(f"an actor has loaded {opened.id}, others {first.id}")
        return opened

    def _drop(self, process: _Process, engine: _Engine, error: GliderError) -> None:
        """Go on without a process that cannot open a model."""
        self._remove(process)
        if self._processes:
            self._tell(f"an actor cannot begin: {error}")
        elif engine.opened.done():
            self._end_all(ClusterLost(f"no actor is left: {error}"))
        else:
            self._end_all(error)

    def _remove(self, process: _Process) -> None:
        self._processes.remove(process)
        self._cluster.end(process.handle)

    def _died(self, process: _Process) -> None:
        """Start another in place of one that died; its requests come back one by one."""
        if process not in self._processes:
            return
        self._remove(process)
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row > lost_after(self._how):
            self._end_all(cluster_lost())
            return
        self._tell("an actor died; another takes its place and its open requests")
        new = _Process(self._cluster.start())
        self._processes.append(new)
        for engine in self._engines:
            self._open(new, engine)

    def _take(self, asked: _Asked) -> None:
        self._unanswered.add(asked)
        self._ask(asked)

    def _ask(self, asked: _Asked) -> None:
        if self._lost is not None:
            self._settle(asked, self._lost)
        elif asked.engine.closed:
            self._settle(asked, Unavailable("the backend is closed"))
        elif asked.deaths >= _MOST_DEATHS:
            error = BackendError("each process that answered this ended before it had an answer")
            error.retryable = True
            self._settle(asked, error)
        elif asked.deaths >= _TOGETHER:
            asked.engine.suspects.append(asked)
        else:
            asked.engine.waiting.append(asked)

    def _hand_out(self, engine: _Engine) -> None:
        """Give requests to who has room."""
        while engine.waiting or engine.suspects:
            ready = [process for process in self._processes if process.has_room(engine)]
            ready.sort(key=lambda process: len(process.asked))
            if engine.suspects and ready:
                # One process gets no other, until it has none left and can take a suspect alone.
                emptiest = ready.pop(0)
                if not emptiest.asked:
                    self._give(emptiest, engine.suspects.popleft())
                    continue
            if not ready or not engine.waiting:
                return
            self._give(ready[0], engine.waiting.popleft())

    def _give(self, process: _Process, asked: _Asked) -> None:
        if asked not in self._unanswered:
            return
        future = self._cluster.call(process.handle, "answer", asked.engine.key, asked.request)
        process.asked[asked] = future
        future.add_done_callback(self._then(partial(self._answered, process, asked)))

    def _answered(self, process: _Process, asked: _Asked, future: "Future[Any]") -> None:
        process.asked.pop(asked, None)
        error = CancelledError() if future.cancelled() else future.exception()
        if isinstance(error, ProcessDied):
            self._died(process)
            asked.deaths += 1
            self._ask(asked)
        elif error is None:
            self._deaths_in_a_row = 0
            self._settle(asked, future.result())
        else:
            self._settle(asked, error)  # a bug, in a backend or here; or nobody waits

    def _settle(self, asked: _Asked, outcome: Generation | BaseException) -> None:
        if asked in self._unanswered:
            self._unanswered.remove(asked)
            settle(asked.future, outcome)

    def _if_cancelled(self, asked: _Asked, future: "Future[Generation]") -> None:
        if future.cancelled():
            self._events.put(partial(self._cancel, asked))

    def _cancel(self, asked: _Asked) -> None:
        self._settle(asked, CancelledError())
        for process in self._processes:
            if asked in process.asked:
                process.asked[asked].cancel()

    def _forget(self, engine: _Engine) -> None:
        if engine.closed:
            return
        engine.closed = True
        if engine in self._engines:
            self._engines.remove(engine)
        self._end_requests(engine, Unavailable("the backend is closed"))
        for process in self._processes:
            if process.loaded.pop(engine.key, None) is not None:
                self._cluster.call(process.handle, "close", engine.key)

    def _end_requests(self, engine: _Engine, error: BaseException) -> None:
        for asked in [asked for asked in self._unanswered if asked.engine is engine]:
            self._settle(asked, error)
        for process in self._processes:
            for asked in [asked for asked in process.asked if asked.engine is engine]:
                process.asked[asked].cancel()

    def _end_all(self, error: BaseException) -> None:
        """End whatever is waited for; whatever comes from now on ends in the same way."""
        self._lost = self._lost or error
        for engine in self._engines:
            _resolve(engine.opened, error)
            self._end_requests(engine, error)

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._notify(text)


class _RemoteBackend(Backend):
    """One model of `Engines`."""

    def __init__(self, engines: Engines, engine: _Engine, opened: OpenedEngine) -> None:
        self._engines, self._engine = engines, engine
        self.id, self.capabilities = opened.id, opened.capabilities
        self.trained_format = opened.trained_format
        n, one = engines._how.actors, opened.limits
        self.limits = replace(
            one,
            in_flight=n * one.in_flight,
            at_once=None if one.at_once is None else n * one.at_once,
            scores_at_once=None if one.scores_at_once is None else n * one.scores_at_once,
        )

    def submit(self, request: GenerationRequest) -> "Future[Generation]":
        return self._engines.submit(self._engine, request)

    def close(self) -> None:
        self._engines.close_backend(self._engine)


def _resolve(future: "Future[OpenedEngine]", outcome: OpenedEngine | BaseException) -> None:
    """Resolve once; only the first outcome counts."""
    with suppress(InvalidStateError):
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
