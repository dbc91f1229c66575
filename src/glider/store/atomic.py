"""Atomic files: written under a temporary name, then renamed."""

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from glider.core.errors import RunError

_UNFINISHED = ".new"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it takes its name, and the place of an older one, when all is on disk.

    Its folder is made. A link keeps its name, and what it leads to is replaced; what is no file
    at all (/dev/stdout, a pipe) is written as it comes.

    Raises:
        RunError: the disk is full or cannot be written; what stood there before still does.
    """
    refuse_address(path)
    try:
        real = path.resolve()
        real.parent.mkdir(parents=True, exist_ok=True)
        if real.exists() and not real.is_file():
            with path.open("wb") as file:
                yield file
            return
    except (OSError, RuntimeError) as exc:  # RuntimeError: links in a circle, before Python 3.13
        raise _unwritable(path, exc) from exc
    new = _beside(real)
    try:
        with new.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):
            shutil.copymode(real, new)
        new.replace(real)
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    finally:
        with suppress(OSError):
            new.unlink()


def write_whole(path: Path, text: str) -> None:
    """Write a text file, and the folder it goes into; half a character becomes a question mark.

    Raises:
        RunError: it cannot be written; what stood there before still does.
    """
    with replacing(path) as file:
        file.write(text.encode("utf-8", "replace"))


def write_json(path: Path, data: Any) -> None:
    """Write plain data as `write_whole` writes a text.

    Raises:
        RunError: it cannot be written.
    """
    write_whole(path, json.dumps(data, ensure_ascii=False, indent=1) + "\n")


def write_json_lines(path: Path, records: Iterable[Any]) -> None:
    """Write plain data, one record a line; half a character becomes its escape.

    Raises:
        RunError: it cannot be written; what stood there before still does.
    """
    with replacing(path) as file:
        for record in records:
            line = json.dumps(record, ensure_ascii=False) + "\n"
            file.write(line.encode("utf-8", "backslashreplace"))


def is_unfinished(path: Path) -> bool:
    """A process was killed while it wrote this: no name was ever given to it."""
    return path.name.startswith(".") and path.suffix == _UNFINISHED


def refuse_address(path: Path) -> None:
    """Say that a result goes to a disk.

    Raises:
        RunError: `path` is an address, such as s3://BUCKET/FOLDER.
    """
    if path.parts and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+:", path.parts[0]):
        scheme, *rest = path.parts
        raise RunError(
            f"{scheme}//{'/'.join(rest)} is an address, and Glider writes to folders",
            hint="name a folder, and copy it there; with --on ray, --shards takes an address",
        )


def refuse_filled(path: Path) -> None:
    """Say that a folder cannot be made there, before the work that it is made for.

    Raises:
        RunError: there is something already.
    """
    refuse_address(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} exists and is not empty", hint="name another folder")


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


def _unwritable(path: Path, exc: OSError | RuntimeError) -> RunError:
    return RunError(
        f"cannot write {path}: {getattr(exc, 'strerror', None) or exc}",
        hint="no partial file was left; free some space or choose another place",
    )
