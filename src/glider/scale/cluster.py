"""Processes of a Ray cluster that judge into shards of one run.

Ray starts the processes, carries tasks to them and says when one has died; nothing else depends on
it. Outcomes come back through the shards: whatever an actor wrote counts, however it ended, and
what counts is on disk. So an actor that dies loses only the answers it was writing, which are asked
for again in the one that takes its place.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from glider.core.errors import BackendError, GliderError, RunError, SetupError
from glider.core.judgments import Comparison, Failure, Judgment, outcome_from
from glider.core.tasks import JudgeTask
from glider.judging.judge import Work
from glider.judging.settings import JudgeSettings
from glider.scale.chunks import Chunk, Chunks, Item, place_of
from glider.scale.connection import cluster_lost, connect, lost_after
from glider.scale.settings import SharedRunSettings
from glider.scale.worker import About, Worker, Written
from glider.store.manifest import code_sha256
from glider.store.parts import PartStore, StoreFollower
from glider.store.run import RunFolder
from glider.store.shards import Follower, take_over

Outcome = Judgment | Failure | Comparison

_AT_A_TIME = 2
"""Chunks that an actor judges at once: while one runs out, the other keeps the engine busy."""
_WAITING = 1
"""Chunks that wait at an actor, so that it need not ask for the next."""
_FEWEST = 16
"""Items of a chunk, even if an engine takes fewer at once: handing one over takes its time."""
_LOOK_S = 0.5
"""How often shards are read while nobody is through with a chunk."""
_SEEN_WITHIN_S = 90.0
"""How long a network disk may take to show what another machine wrote."""
_ENDS_WITHIN_S = 10.0
"""How long a process that was killed may take to let go of its shard."""


class _Actor:
    """One process, as seen from here."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.opened = False
        self.shard: Follower | None = None
        self.chunks: dict[Any, Chunk] = {}
        """What it was given, by the reference that Ray promises the answer under."""

    @property
    def has_room(self) -> bool:
        alone = any(chunk.alone for chunk in self.chunks.values())
        return self.shard is not None and not alone and len(self.chunks) < _AT_A_TIME + _WAITING


class Cluster:
    """Judges in several processes; use it as a context manager, and for one run."""

    def __init__(
        self, settings: JudgeSettings, how: SharedRunSettings, notify: Callable[[str], None]
    ) -> None:
        """Use `SharedRunSettings.open`."""
        self._settings, self._how, self._notify = settings, how, notify
        self._ray, self._started_ray = connect(how)
        self._asked: dict[Any, tuple[_Actor, Callable[[_Actor, Any], None]]] = {}
        """Who was asked for what, and what to do with the answer."""
        self._actors: list[_Actor] = []
        self._told: set[str] = set()
        self._unable: GliderError | None = None
        """Why the last actor that could not begin could not."""
        self._dead_in_a_row = 0
        self._about: About | None = None
        self._run: RunFolder | None = None
        self._store: PartStore | None = None
        """Where shards come from, if there is no shared disk."""
        self._chunks: Chunks | None = None
        self._fresh: deque[tuple[int, Outcome]] = deque()
        self._stop: GliderError | None = None
        self._closed = False
        try:
            for _ in range(how.actors):
                self._start()
            since = time.monotonic()
            while self._about is None:
                self._attend(1.0)
                self._go_on()
                if time.monotonic() - since > 15:
                    self._tell("waiting for the first actor to load the judge")
        except BaseException:
            self.close()
            raise

    @property
    def id(self) -> str:
        """Model and format, as recorded in each outcome."""
        assert self._about is not None
        return self._about.judge

    def record_into(self, run: RunFolder, items: Iterable[Item]) -> Iterator[tuple[int, Outcome]]:
        """Judge (row, work) pairs into shards of an open run; yield each outcome that is on disk.

        Closing the generator early ends the actors; what they wrote stays.

        Raises:
            AccessRefused: the endpoint refuses every request.
            RunError: an actor cannot write the run, or what it writes is not seen here.
            BackendError: actors die again and again, or none can begin.
        """
        assert self._about is not None
        self._run = run
        if self._how.shards is not None:
            self._store = PartStore.of(self._how.shards, run.manifest)
            self._collect()
        self._chunks = Chunks(items, max(self._about.in_flight, _FEWEST))
        for actor in self._actors:
            if actor.opened:
                self._join(actor)
        try:
            yield from self._come()
            while self._give() or any(actor.chunks for actor in self._actors):
                self._attend(_LOOK_S)
                yield from self._come()
                self._go_on()
            if self._stop is not None:
                raise self._stop
            closed = [actor.handle.close.remote() for actor in self._actors if actor.shard]
            self._ray.wait(closed, num_returns=len(closed), timeout=_ENDS_WITHIN_S)
        finally:
            self.close()
            # What a store does not give now is collected when the run is resumed.
            with suppress(RunError):
                for actor in self._actors:
                    self._look(actor)
                self._collect()

    def _come(self) -> Iterator[tuple[int, Outcome]]:
        """What is new on disk."""
        assert self._run is not None
        assert self._chunks is not None
        while self._chunks.failed:
            row, work = self._chunks.failed.pop()
            failure = _killed(work, self.id)
            self._run.record(row, failure)
            self._fresh.append((row, failure))
        while self._fresh:
            self._dead_in_a_row = 0
            yield self._fresh.popleft()

    # ---- actors

    def _start(self) -> None:
        from glider.backends import endpoint_from_environment

        worker = self._ray.remote(Worker).options(
            num_cpus=self._how.actor_cpus,
            num_gpus=self._how.actor_gpus,
            max_concurrency=_AT_A_TIME,
            max_restarts=0,
        )
        actor = _Actor(worker.remote(ends_with_run=True))
        self._actors.append(actor)
        folder, endpoint = os.getcwd(), endpoint_from_environment()
        opened = actor.handle.open.remote(self._settings, folder, endpoint)
        self._asked[opened] = actor, self._opened

    def _opened(self, actor: _Actor, about: About | GliderError) -> None:
        if isinstance(about, About) and about.code != code_sha256():
            about = SetupError(
                "an actor runs another Glider than this one", hint="install the same on all nodes"
            )
        elif isinstance(about, About) and self._about and about.judge != self._about.judge:
            about = SetupError(f"an actor has loaded {about.judge}, others {self._about.judge}")
        if isinstance(about, GliderError):
            self._drop(actor, about)
            return
        self._about, actor.opened = about, True
        if self._run is not None:
            self._join(actor)

    def _join(self, actor: _Actor) -> None:
        assert self._run is not None
        of = self._run.manifest.run_id, self._run.manifest.created_at
        if self._how.shards is None:
            joined = actor.handle.join.remote(str(self._run.path.resolve()), *of)
        else:
            joined = actor.handle.join_through.remote(self._how.shards, *of)
        self._asked[joined] = actor, self._joined

    def _joined(self, actor: _Actor, shard: str | GliderError) -> None:
        if isinstance(shard, GliderError):
            if self._store is None:
                shard.hint = shard.hint or "the run's folder must be on a disk that all nodes share"
            self._drop(actor, shard)
        elif self._store is not None:
            assert self._run is not None
            actor.shard = StoreFollower(self._store, shard, self._run.path)
        else:
            actor.shard = Follower(Path(shard))

    def _drop(self, actor: _Actor, error: GliderError) -> None:
        """Go on without an actor that cannot begin."""
        self._unable = error
        self._tell(f"an actor cannot begin: {error}")
        self._end(actor)

    def _end(self, actor: _Actor) -> None:
        self._actors.remove(actor)
        self._asked = {ref: asked for ref, asked in self._asked.items() if asked[0] is not actor}
        with suppress(Exception):
            self._ray.kill(actor.handle)

    def _died(self, actor: _Actor) -> None:
        """Keep what it wrote, give its open tasks again, and start another."""
        self._end(actor)
        self._dead_in_a_row += 1
        if actor.shard is not None:
            take_over([actor.shard.path], _ENDS_WITHIN_S)
            self._look(actor)
        if self._chunks is not None:
            for chunk in actor.chunks.values():
                self._chunks.give_back(chunk, self._is_done)
        self._tell("an actor died; another takes its place and its open tasks")
        self._start()

    def _go_on(self) -> None:
        """Stop where going on is of no use."""
        if self._stop is None and not self._actors:
            assert self._unable is not None
            raise self._unable
        if self._dead_in_a_row > lost_after(self._how):
            raise cluster_lost()

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._notify(text)

    # ---- tasks

    def _give(self) -> bool:
        """Give work to who has room; False if there is none left to give."""
        assert self._chunks is not None
        if self._stop is not None:
            return False
        ready = [actor for actor in self._actors if actor.has_room]
        ready.sort(key=lambda actor: len(actor.chunks))
        for number, actor in enumerate(ready):
            # Work with which processes died gets one for itself: the first that has nothing else.
            if self._chunks.suspicious and number == 0 and actor.chunks:
                continue
            while actor.has_room:
                chunk = self._chunks.take(alone=not actor.chunks)
                if chunk is None:
                    break
                ref = actor.handle.judge.remote(chunk.items)
                actor.chunks[ref] = chunk
                self._asked[ref] = actor, self._judged
        return self._chunks.any_left

    def _judged(self, actor: _Actor, written: Written) -> None:
        assert actor.shard is not None
        until = time.monotonic() + _SEEN_WITHIN_S
        self._look(actor)
        while actor.shard.read < written.size:
            if time.monotonic() > until:
                place = "--shards" if self._store is not None else "the run's folder"
                raise RunError(
                    f"{actor.shard.path} does not show here what an actor wrote",
                    hint=f"{place} must be a place that all nodes share",
                )
            time.sleep(0.2)
            self._look(actor)
        if written.error is not None:
            self._stop = self._stop or written.error

    def _look(self, actor: _Actor) -> None:
        """Read what an actor has written since the last look."""
        if actor.shard is not None:
            self._read(actor.shard)

    def _collect(self) -> None:
        """Read whatever is in the store that nobody here has read."""
        assert self._run is not None
        if self._store is not None:
            for name in self._store.names():
                self._read(StoreFollower(self._store, name, self._run.path))

    def _read(self, shard: Follower) -> None:
        assert self._run is not None
        for row, outcome in shard.lines():
            if self._run.mark(row, outcome):
                self._fresh.append((row, outcome_from(outcome)))

    def _is_done(self, item: Item) -> bool:
        assert self._run is not None
        row, work = item
        return self._run.is_done(row, *place_of(work))

    def _attend(self, seconds: float) -> None:
        """Wait until somebody answers, or for some seconds; then read the shards."""
        from ray.exceptions import RayError, RayTaskError

        if not self._asked:
            return
        ready, _ = self._ray.wait(list(self._asked), timeout=seconds)
        for ref in ready:
            actor, then = self._asked[ref]
            try:
                answer = self._ray.get(ref)
            except RayTaskError:
                raise  # a bug, in a backend or here
            except RayError:
                self._died(actor)
                continue
            del self._asked[ref]
            actor.chunks.pop(ref, None)
            then(actor, answer)
        if not ready and self._run is not None:
            for actor in self._actors:
                self._look(actor)

    # ---- the end

    def close(self) -> None:
        """End the actors, and the cluster if it was started here; safe to call twice."""
        if self._closed:
            return
        self._closed = True  # Whatever is asked of Ray after its shutdown starts it anew.
        for actor in self._actors:
            with suppress(Exception):
                self._ray.kill(actor.handle)
        shards = [actor.shard.path for actor in self._actors if actor.shard is not None]
        take_over(shards, _ENDS_WITHIN_S)
        self._asked.clear()
        if self._started_ray:
            self._ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _killed(work: Work, judge: str) -> Failure | Comparison:
    error = BackendError("each process that judged this ended before it had an answer")
    error.retryable = True
    if isinstance(work, JudgeTask):
        return Failure.of(error, work, judge=judge)
    return work.fold([Failure.of(error, task, judge=judge) for task in work.tasks])
