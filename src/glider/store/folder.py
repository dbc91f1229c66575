"""A folder that one process fills, and that a later one can resume under the same manifest.

Runs, trainings, tunings and rationalizations are all held in this way. The manifest is written once
and last of what the making writes, so a folder without one was never begun.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from glider.core.errors import ManifestMismatch, RunError
from glider.core.locks import lock
from glider.store.atomic import is_unfinished, refuse_address, write_json
from glider.store.manifest import AnyManifest, read_manifest


def refuse_begun(folder: Path, first: Iterable[str] = ()) -> None:
    """Say that there is something in a folder already, before the work that it is made for.

    Args:
        first: files that may be there: all that the making writes before the manifest.

    Raises:
        RunError: there is, or it cannot be read.
    """
    refuse_address(folder)
    begun = {".lock", *first}
    try:
        there = list(folder.iterdir()) if folder.is_dir() else []
    except OSError as exc:
        raise RunError(f"cannot read {folder}: {exc.strerror or exc}") from exc
    if any(file.name not in begun and not is_unfinished(file) for file in there):
        raise RunError(
            f"{folder} is not empty",
            hint="resume it with --resume, or name another folder",
        )


def lock_folder(
    folder: Path,
    manifest: AnyManifest,
    *,
    resume: bool,
    kind: str = "run",
    first: Mapping[str, Any] | None = None,
) -> int:
    """Make a folder and lock it, or lock one that is there to continue it.

    Args:
        manifest: what fills the folder now; it must agree with what began it.
        kind: what the folder is called in errors: run, training, tuning.
        first: of a new folder, files to write before the manifest: name to plain data.

    Returns:
        A file descriptor; closing it unlocks the folder, and so does the end of the process.

    Raises:
        RunError: there is something in it, it is in use, is no such folder, or cannot be written.
        ManifestMismatch: what differs, key by key.
    """
    first = first or {}
    refuse_address(folder)
    try:
        if resume:
            different = read_manifest(folder, type(manifest), kind).differences(manifest)
            if different:
                raise ManifestMismatch(
                    f"this is not the same {kind}:\n  " + "\n  ".join(different),
                    hint="start a new one, or use the original settings",
                )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            refuse_begun(folder, first)
        held = lock(folder / ".lock")
    except OSError as exc:
        raise RunError(f"cannot write {folder}: {exc.strerror or exc}") from exc
    if not resume:
        try:
            for name, data in first.items():
                write_json(folder / name, data)
            write_json(folder / "manifest.json", manifest.model_dump(mode="json"))
        except BaseException:
            os.close(held)
            raise
    return held


@contextmanager
def locked_folder(
    folder: Path, manifest: AnyManifest, *, resume: bool, kind: str = "run"
) -> Iterator[None]:
    """`lock_folder`, for as long as the block lasts."""
    held = lock_folder(folder, manifest, resume=resume, kind=kind)
    try:
        yield
    finally:
        os.close(held)


def claim_folder(start: str) -> Path:
    """Make a new folder for who names none: `start`, the time, and -2 if need be.

    It is claimed by making it, so of several processes that begin in one second each gets its own.

    Raises:
        RunError: it cannot be made.
    """
    dated = f"{start}{datetime.now():%Y%m%d-%H%M%S}"
    for n in count(1):
        folder = Path(dated if n == 1 else f"{dated}-{n}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError:
            if folder.parent.is_dir():
                continue
            raise RunError(f"cannot make {folder}: {folder.parent} is no folder") from None
        except OSError as exc:
            raise RunError(f"cannot make {folder}: {exc.strerror or exc}") from exc
        return folder
    raise AssertionError("count does not end")
