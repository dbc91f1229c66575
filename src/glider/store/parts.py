"""Shards through an object store, where a file cannot be appended to.

    URL/RUN/NAME/000000000000.jsonl    whole lines of shard NAME, from this byte on

`RUN` is the run's id and when it was begun. A process puts the lines that it has as one part after
the other, and each part is named by the byte of the shard that it begins with. So a copy of the
shard in a run folder knows from its own size which part comes next, and whoever reads the run reads
the copy. Parts are never changed or deleted.
"""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from glider.core.errors import MissingExtra, RunError, SetupError
from glider.core.judgments import Comparison, Failure, Judgment
from glider.store.journal import cut_broken_tail
from glider.store.manifest import Manifest
from glider.store.shards import Follower, shard_name, shard_path, unwritable

_AT_MOST_S = 5.0
"""How old a line may get before it is put: what a kill can cost."""


class PartStore:
    """The parts of one run, in an object store that fsspec knows."""

    def __init__(self, url: str, run_id: str, created_at: str) -> None:
        """Look at the place; nothing is written.

        Raises:
            MissingExtra: fsspec is not installed.
            SetupError: no such kind of address, or its own package is missing.
        """
        try:
            import fsspec
        except ImportError:
            raise MissingExtra("--shards URL", "ray") from None
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as exc:
            raise SetupError(f"--shards {url}: {exc}") from exc
        self.url = url
        began = "".join(c if c.isalnum() else "-" for c in created_at)
        self._root = f"{root.rstrip('/')}/{run_id}-{began}"
        # Elsewhere a part is there as a whole or not at all.
        self._is_disk = "file" in self._protocols()

    def _protocols(self) -> tuple[str, ...]:
        named = self._files.protocol
        return (named,) if isinstance(named, str) else tuple(named)

    @classmethod
    def of(cls, url: str, run: Manifest) -> "PartStore":
        """The parts of a run; see `__init__`."""
        return cls(url, run.run_id, run.created_at)

    def names(self) -> list[str]:
        """The names of all shards of the run.

        Raises:
            RunError: the store cannot be read.
        """
        return sorted({path.split("/")[-2] for path in self._parts(self._root)})

    def beginnings(self, name: str) -> list[int]:
        """The byte of a shard that each of its parts begins with, in order.

        Raises:
            RunError: the store cannot be read.
        """
        found = self._parts(f"{self._root}/{name}")
        return sorted(int(path.split("/")[-1].partition(".")[0]) for path in found)

    def _parts(self, folder: str) -> list[str]:
        try:
            self._files.invalidate_cache()
            return [path for path in self._files.find(folder) if path.endswith(".jsonl")]
        except FileNotFoundError:
            return []
        except Exception as exc:  # each store has errors of its own
            raise self._unusable("read", exc) from exc

    def put(self, name: str, at: int, lines: bytes) -> None:
        """Write a part.

        Raises:
            RunError: the store cannot be written.
        """
        path = self._path(name, at)
        try:
            if self._is_disk:
                self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._files.pipe_file(f"{path}.new", lines)
                self._files.mv(f"{path}.new", path)
            else:
                self._files.pipe_file(path, lines)
        except Exception as exc:  # each store has errors of its own
            raise self._unusable("write to", exc) from exc

    def get(self, name: str, at: int) -> bytes | None:
        """Read the part that begins there; None if there is none yet.

        Raises:
            RunError: the store cannot be read.
        """
        try:
            return bytes(self._files.cat_file(self._path(name, at)))
        except FileNotFoundError:
            return None
        except Exception as exc:  # each store has errors of its own
            raise self._unusable("read", exc) from exc

    def _path(self, name: str, at: int) -> str:
        return f"{self._root}/{name}/{at:012d}.jsonl"

    def _unusable(self, what: str, exc: Exception) -> RunError:
        return RunError(
            f"cannot {what} {self.url}: {type(exc).__name__}: {exc}",
            hint="finished judgments are kept; continue with --resume",
        )


class StoredShard:
    """A shard that this process puts into a store, from any of its threads."""

    def __init__(self, store: PartStore) -> None:
        """Begin a shard; nothing is written yet."""
        self.name = shard_name()
        self.size = 0
        """Number of bytes in the store."""
        self._store, self._writing = store, Lock()
        self._lines: list[bytes] = []
        self._since = time.monotonic()

    def record(self, row: int, outcome: Judgment | Failure | Comparison) -> None:
        """Take one outcome; it is in the store some seconds later, or after `flush`.

        Raises:
            RunError: the store cannot be written.
        """
        body = {"row": row, "outcome": outcome.model_dump(mode="json")}
        line = json.dumps(body, ensure_ascii=False, separators=(",", ":")) + "\n"
        with self._writing:
            if not self._lines:
                self._since = time.monotonic()
            self._lines.append(line.encode())
            if time.monotonic() - self._since > _AT_MOST_S:
                self._put()

    def flush(self) -> None:
        """Put whatever was taken.

        Raises:
            RunError: the store cannot be written.
        """
        with self._writing:
            self._put()

    def _put(self) -> None:
        if self._lines:
            part = b"".join(self._lines)
            self._store.put(self.name, self.size, part)
            self.size += len(part)
            self._lines.clear()

    def close(self) -> None:
        """Put whatever was taken, if that is possible."""
        with suppress(RunError):
            self.flush()


class StoreFollower(Follower):
    """Copies a shard from a store into a run folder, and reads what it copies."""

    def __init__(self, store: PartStore, name: str, run: Path) -> None:
        """Begin after what the run folder has already.

        Raises:
            RunError: the store cannot be read, or the run folder cannot be written.
        """
        super().__init__(shard_path(run, name))
        self._store, self._name, self._run = store, name, run
        try:
            self.path.parent.mkdir(exist_ok=True)
            cut_broken_tail(self.path)
            self.read = self._at = self.path.stat().st_size if self.path.exists() else 0
        except OSError as exc:
            raise unwritable(run, exc) from exc
        # A copy that was cut short ends within a part.
        begun = [at for at in store.beginnings(name) if at <= self._at] if self._at else []
        if begun and begun[-1] < self._at:
            part = store.get(name, begun[-1]) or b""
            self._append(part[self._at - begun[-1] :])

    def lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        while (part := self._store.get(self._name, self._at)) is not None:
            self._append(part)
        yield from super().lines()

    def _append(self, part: bytes) -> None:
        try:
            with self.path.open("ab") as file:
                file.write(part)
        except OSError as exc:
            raise unwritable(self._run, exc) from exc
        self._at += len(part)
