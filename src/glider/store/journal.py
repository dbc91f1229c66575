"""Files that only grow, one whole JSON line at a time.

A process killed at any moment leaves at most one broken last line; opening again cuts it off.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from pydantic import ValidationError

from glider.core.base import Frozen
from glider.core.errors import DataError, RunError

R = TypeVar("R", bound=Frozen)


def append_only(path: Path) -> int:
    """A file descriptor that writes at the end, whoever else writes too."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def append_to(file: int, body: dict[str, Any]) -> None:
    """Write one line. When this returns, a killed process keeps it.

    Raises:
        OSError: the disk is full or gone; nothing of the line stays, so that the next one is whole.
    """
    line = (json.dumps(body, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
    written = 0
    try:
        while written < len(line):
            written += os.write(file, line[written:])
    except OSError:
        if written:
            with suppress(OSError):
                os.ftruncate(file, os.fstat(file).st_size - written)
        raise


def cut_broken_tail(path: Path) -> None:
    """Drop a last line without its end: it was being written when the process died."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            step = min(1 << 16, end)
            file.seek(end - step)
            at = file.read(step).rfind(b"\n")
            if at >= 0:
                end = end - step + at + 1
                break
            end -= step
        if end < size:
            file.truncate(end)


class Journal(Generic[R]):
    """Records of one kind: those that are there, and a file to which more are added."""

    def __init__(
        self, path: Path, kind: type[R], *, keep: Callable[[R], bool] = lambda record: True
    ) -> None:
        """Read what is there.

        Args:
            keep: called with each record that is there, in order; those it is false of are not
                held in memory.

        Raises:
            RunError: the file cannot be written.
            DataError: it is damaged.
        """
        self._path = path
        self.before: list[R] = []
        """What a process before this one wrote."""
        try:
            cut_broken_tail(path)
            self.before = [record for record in read_journal(path, kind) if keep(record)]
            self._file = append_only(path)
        except OSError as exc:
            raise RunError(f"cannot write {path}: {exc.strerror or exc}") from exc

    def add(self, record: R) -> None:
        """Write one record. When this returns, a killed process keeps it.

        Raises:
            RunError: the disk is full or gone; what was written before is safe.
        """
        try:
            append_to(self._file, record.model_dump(mode="json", exclude_defaults=True))
        except OSError as exc:
            raise RunError(
                f"cannot write to {self._path.parent}: {exc.strerror}",
                hint="finished work is kept; free some space and continue with --resume",
            ) from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)


def read_journal(path: Path, kind: type[R]) -> Iterator[R]:
    """The records of a journal, one by one; none where there is no file.

    A last line without its end is left out: it is being written, or was when its process died.

    Raises:
        DataError: a line is damaged.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield kind.model_validate_json(line)
            except ValidationError as exc:
                raise DataError("damaged line", path=str(path), line=number) from exc
