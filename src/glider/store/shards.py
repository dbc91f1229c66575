"""The journals of a run: its own, and a shard for each further process that judged into it.

    journal.jsonl       the run's own
    shards/NAME.jsonl   the same lines, appended by one process; a NAME is never used twice
    shards/NAME.lock    held by that process while it writes; if it is gone, the process is to end

Together they are one journal. A process that was taken for dead may still have answered what was
given to another: of two outcomes of one task, the one that is read first counts. Several processes
write into one folder only through shards, so a disk that they share is all they need.
"""

import json
import os
import socket
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Self

from glider.core.errors import RunError
from glider.core.judgments import Comparison, Failure, Judgment
from glider.core.locks import lock
from glider.store.journal import append_only, append_to

Key = tuple[str, ...]
"""What an outcome of a row is about: criterion, and the two outputs that were compared."""

_FOLDER = "shards"


def journals(run: Path) -> list[Path]:
    """Every journal of a run: its own, then its shards by name."""
    return [run / "journal.jsonl", *sorted((run / _FOLDER).glob("*.jsonl"))]


def shard_name() -> str:
    """A name for a shard that this process begins; never used twice."""
    # The machine and process are named for people; the time keeps a name from being used twice.
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{socket.gethostname()}-{os.getpid()}"


def shard_path(run: Path, name: str) -> Path:
    """Where a shard of this name lies."""
    return run / _FOLDER / f"{name}.jsonl"


def is_shard(path: Path) -> bool:
    """Whether a file of this name would be a shard of a run that is there."""
    return path.parent.name == _FOLDER and (path.parent.parent / "manifest.json").exists()


def key_of(outcome: dict[str, Any]) -> Key:
    """What an outcome, as plain data, is about."""
    return outcome["criterion"], outcome.get("first", ""), outcome.get("second", "")


class Marks:
    """Rows that are marked under a key; a million rows take 125 kB."""

    def __init__(self) -> None:
        self._bits: dict[Key, bytearray] = {}
        self.n = 0
        """Number of marks."""

    def __contains__(self, place: tuple[int, Key]) -> bool:
        row, key = place
        bits = self._bits.get(key)
        return bits is not None and row // 8 < len(bits) and bool(bits[row // 8] >> row % 8 & 1)

    def add(self, row: int, key: Key) -> bool:
        """Mark a row; False if it was marked already."""
        if (row, key) in self:
            return False
        bits = self._bits.setdefault(key, bytearray())
        if row // 8 >= len(bits):
            bits.extend(bytes(max(row // 8 + 1 - len(bits), len(bits), 64)))
        bits[row // 8] |= 1 << row % 8
        self.n += 1
        return True


class Shard:
    """A shard that this process writes, from any of its threads."""

    def __init__(self, run: Path) -> None:
        """Begin a shard of the run in `run`.

        Raises:
            RunError: it cannot be written.
        """
        self.path, self._run = shard_path(run, shard_name()), run
        self._lock = self.path.with_suffix(".lock")
        self._writing = Lock()
        self._held = self._file = -1
        try:
            self.path.parent.mkdir(exist_ok=True)
            self._held = lock(self._lock)
            self._file = append_only(self.path)
        except OSError as exc:
            self.close()
            raise unwritable(run, exc) from exc

    def record(self, row: int, outcome: Judgment | Failure | Comparison) -> None:
        """Write one outcome. When this returns, a killed process keeps it.

        Raises:
            RunError: the disk is full or gone; what was written before is safe.
        """
        body = {"row": row, "outcome": outcome.model_dump(mode="json")}
        with self._writing:
            append_line(self._file, body, self._run)

    @property
    def is_taken_over(self) -> bool:
        """Whether another process has gone on with the run, and this one is to end."""
        return self._file >= 0 and not self._lock.exists()

    @property
    def size(self) -> int:
        """Number of bytes written."""
        return os.fstat(self._file).st_size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Put everything on disk; safe to call twice."""
        with self._writing:
            file, self._file = self._file, -1
            if file >= 0:
                os.fsync(file)
                os.close(file)
                self._lock.unlink(missing_ok=True)
            if self._held >= 0:
                os.close(self._held)
            self._held = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Follower:
    """Reads a shard while another process appends to it."""

    def __init__(self, path: Path) -> None:
        """Begin with the first line."""
        self.path = path
        self.read = 0
        """Number of bytes read: whole lines only."""

    def lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(row, outcome as plain data) of each line that came since the last call."""
        try:
            # Opened anew each time: a network file system looks for new data at opening.
            with self.path.open("rb") as file:
                file.seek(self.read)
                for line in file:
                    if not line.endswith(b"\n"):
                        return  # being written
                    self.read += len(line)
                    data = json.loads(line)
                    yield int(data["row"]), data["outcome"]
        except FileNotFoundError:
            return


def take_over(shards: Iterable[Path], wait_s: float) -> None:
    """Make sure that whoever wrote these shards writes no more of them.

    A writer whose lock is gone is told to end (`Shard.is_taken_over`). What it still writes until
    it looks is at worst a second answer to a task.

    Args:
        wait_s: how long writers are left to end by themselves.
    """
    until = time.monotonic() + wait_s
    for shard in shards:
        while not is_let_go(shard) and time.monotonic() < until:
            time.sleep(0.05)
        shard.with_suffix(".lock").unlink(missing_ok=True)


def is_let_go(shard: Path) -> bool:
    """Whether the process that wrote a shard has ended, or closed it."""
    file = shard.with_suffix(".lock")
    if not file.exists():
        return True
    try:
        os.close(lock(file))
    except RunError:
        return False
    return True


def append_line(file: int, body: dict[str, Any], run: Path) -> None:
    """Append a line to a file of a run. When this returns, a killed process keeps it.

    Raises:
        RunError: the disk is full, or the file or its folder is gone.
    """
    try:
        append_to(file, body)
        if os.fstat(file).st_nlink == 0:
            raise RunError(
                f"{run} was deleted while the run was written",
                hint="start it again in another folder",
            )
    except OSError as exc:
        raise unwritable(run, exc) from exc


def unwritable(run: Path, exc: OSError) -> RunError:
    """Say that the run cannot be written any further."""
    return RunError(
        f"cannot write to {run}: {exc.strerror}",
        hint="finished judgments are kept; free some space and continue with --resume",
    )
