"""What runs in each process: a judge, and a shard that it fills.

Nothing here knows the cluster. Errors of ours are returned, not raised: they are what the process
has to say, and the other side decides.
"""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glider.core.errors import GliderError, RunError
from glider.judging.settings import JudgeSettings
from glider.scale.chunks import Item
from glider.store.manifest import code_sha256
from glider.store.parts import PartStore, StoredShard
from glider.store.run import load_manifest
from glider.store.shards import Shard

if TYPE_CHECKING:
    from glider.judging.judge import Judge

_LOOK_S = 1.0


@dataclass(frozen=True)
class About:
    """A judge that a process has loaded."""

    judge: str
    """Model and format, as recorded in each outcome."""
    code: str
    """Hash of Glider's source there."""
    in_flight: int
    """Number of requests worth keeping in flight."""


@dataclass(frozen=True)
class Written:
    """What a process says of a chunk that it is through with."""

    size: int
    """Bytes of its shard so far: all outcomes of the chunk are in them, or `error` says why not."""
    error: GliderError | None


class Worker:
    """One process: opened, joined to a run, then given chunks, several at a time."""

    def __init__(self, *, ends_with_run: bool = False) -> None:
        """Hold nothing yet.

        Args:
            ends_with_run: end the process when another session goes on with the run. Its engine
                would keep what that one needs.
        """
        self._ends_with_run = ends_with_run
        self._judge: Judge | None = None
        self._shard: Shard | StoredShard | None = None

    def open(
        self, settings: JudgeSettings, folder: str, endpoint: Mapping[str, str]
    ) -> About | GliderError:
        """Load the judge.

        Args:
            folder: where names of files begin, if this machine has it.
            endpoint: key and address of an endpoint, as the environment of the caller has them.
        """
        from glider.backends import set_endpoint_environment

        with suppress(OSError):
            os.chdir(folder)
        set_endpoint_environment(endpoint)
        try:
            self._judge = settings.open()
        except GliderError as error:
            return error
        return About(self._judge.id, code_sha256(), self._judge.in_flight)

    def join(self, run: str, run_id: str, created_at: str) -> str | GliderError:
        """Begin a shard of a run that is there, and return its path."""
        try:
            found = load_manifest(Path(run))
            if (found.run_id, found.created_at) != (run_id, created_at):
                raise RunError(f"{run} is another run on this machine")
            shard = self._shard = Shard(Path(run))
            if self._ends_with_run:
                threading.Thread(target=_end_when_taken_over, args=[shard], daemon=True).start()
        except GliderError as error:
            return error
        return str(shard.path)

    def join_through(self, url: str, run_id: str, created_at: str) -> str | GliderError:
        """Begin a shard in an object store, and return its name."""
        try:
            self._shard = StoredShard(PartStore(url, run_id, created_at))
        except GliderError as error:
            return error
        return self._shard.name

    def judge(self, items: Sequence[Item]) -> Written:
        """Judge a chunk; all of it is on disk or in the store at the end."""
        assert self._judge is not None
        assert self._shard is not None
        error: GliderError | None = None
        try:
            for row, outcome in self._judge.stream(items):
                self._shard.record(row, outcome)
        except GliderError as exc:
            error = exc
        try:
            self._shard.flush()
        except GliderError as exc:
            error = error or exc
        return Written(self._shard.size, error)

    def close(self) -> None:
        """Put the shard on disk."""
        if self._shard is not None:
            self._shard.close()


def _end_when_taken_over(shard: Shard) -> None:
    while not shard.is_taken_over:
        time.sleep(_LOOK_S)
    os._exit(1)
