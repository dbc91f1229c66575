"""Files that are whole or not there: written beside, then renamed."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from glider.core.errors import RunError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it takes its name, and the place of an older one, when all is on disk.

    Raises:
        RunError: the disk is full or cannot be written; what stood there before still does.
    """
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with new.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; it takes its name when all that is in it is written.

    Raises:
        RunError: there is something already, or the disk is full or cannot be written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} is there already and not empty", hint="name another folder")
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        new.mkdir(parents=True)
        yield new
        new.replace(path)
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _unwritable(path: Path, exc: OSError) -> RunError:
    return RunError(
        f"cannot write {path}: {exc.strerror or exc}",
        hint="nothing was left half-written; free some space or name another place",
    )
