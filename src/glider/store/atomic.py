"""Files that are whole or not there: written beside, then renamed."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from glider.core.errors import RunError

_UNFINISHED = ".new"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it takes its name, and the place of an older one, when all is on disk.

    Raises:
        RunError: the disk is full or cannot be written; what stood there before still does.
    """
    new = _beside(path)
    try:
        with new.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    finally:
        with suppress(OSError):
            new.unlink()


def write_whole(path: Path, text: str) -> None:
    """Write a text file, and the folder it goes into; half a character becomes a question mark.

    What is no file itself (a link, /dev/stdout) is written through, and holds what came so far.

    Raises:
        RunError: it cannot be written; what stood there before still does.
    """
    data = text.encode("utf-8", "replace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_bytes(data)
            return
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    with replacing(path) as file:
        file.write(data)


def write_json(path: Path, data: Any) -> None:
    """Write plain data as `write_whole` writes a text.

    Raises:
        RunError: it cannot be written.
    """
    write_whole(path, json.dumps(data, ensure_ascii=False, indent=1) + "\n")


def is_unfinished(path: Path) -> bool:
    """A process was killed while it wrote this: no name was ever given to it."""
    return path.name.startswith(".") and path.suffix == _UNFINISHED


def refuse_filled(path: Path) -> None:
    """Say that a folder cannot be made there, before the work that it is made for.

    Raises:
        RunError: there is something already.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} is there already and not empty", hint="name another folder")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; it takes its name when all that is in it is written.

    Raises:
        RunError: there is something already, or the disk is full or cannot be written.
    """
    refuse_filled(path)
    new = _beside(path)
    try:
        new.mkdir(parents=True)
        yield new
        new.replace(path)
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{_UNFINISHED}")


def _unwritable(path: Path, exc: OSError) -> RunError:
    return RunError(
        f"cannot write {path}: {exc.strerror or exc}",
        hint="nothing was left half-written; free some space or name another place",
    )
