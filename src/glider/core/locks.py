"""A file that one process holds at a time."""

import os
import sys
from pathlib import Path

from glider.core.errors import RunError


def lock(path: Path) -> int:
    """Take the lock of a folder, or refuse; it goes with the process, however that ends.

    Returns:
        A file descriptor; closing it gives the lock back.

    Raises:
        RunError: another process has it.
    """
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
