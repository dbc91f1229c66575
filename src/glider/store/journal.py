"""Files that only grow, one whole JSON line at a time, and the lock that lets one process write.

A process killed at any moment leaves at most one broken last line; opening again cuts it off.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from glider.core.errors import RunError


def append_only(path: Path) -> int:
    """A file descriptor that writes at the end, whoever else writes too."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def append_to(file: int, body: dict[str, Any]) -> None:
    """Write one line. When this returns, a killed process keeps it.

    Raises:
        OSError: the disk is full or gone.
    """
    line = (json.dumps(body, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
    written = os.write(file, line)
    while written < len(line):
        written += os.write(file, line[written:])


def lock(path: Path) -> int:
    """One process writes a run; the lock goes with the process, however it ends."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(file)
        raise RunError(f"{path.parent} is in use by another process") from exc
    return file


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
