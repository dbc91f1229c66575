"""Check where a result may be written, before any work starts and any file is opened.

What a command reads, and what belongs to a run, is never the place of its result.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from glider.core.errors import SetupError
from glider.store.atomic import refuse_address
from glider.store.shards import is_shard, journals

RUN_FILES = (
    "manifest.json", "criteria.json", "samples.jsonl", "journal.jsonl", "summary.json",
    "planted.json", ".lock",
)  # fmt: skip
"""What makes a run a run."""
REVIEW_FILES = ("review/manifest.json", "review/answers", "review/links.json", "review/.lock")
"""What people's review of a run cannot be without."""


def run_files(run: Path) -> list[Path]:
    """The files of a run, and of people's review of it, that no result may take the place of."""
    return [*(run / name for name in (*RUN_FILES, *REVIEW_FILES)), *journals(run)[1:]]


def check_target(
    path: Path | None,
    *,
    reads: Iterable[Path | str | None] = (),
    closed: Iterable[Path] = (),
    suffixes: tuple[str, ...] = (),
    flag: str = "--out",
) -> None:
    """Refuse a place that cannot or must not be written.

    Args:
        path: the file to write later; nothing is checked if there is none.
        reads: files and folders that the command reads, under whatever name or link. What is no
            file or folder (a model's name, standard input) is passed over.
        closed: folders in which nothing may be written, whether or not they are there yet.
        suffixes: how its name may end, in small letters or capitals.
        flag: what the path was given with.

    Raises:
        SetupError: with what is wrong with it; no file was touched.
        RunError: it is an address.
    """
    if path is None:
        return
    refuse_address(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise SetupError(f"{flag} writes {' or '.join(suffixes)}, not {path.name!r}")
    try:
        if path.is_dir():
            raise SetupError(f"{flag} {path} is a folder", hint="name a file")
        for read in reads:
            if read is not None and _is_or_holds(Path(read), path):
                raise SetupError(
                    f"{flag} {path} would replace or change what is read: {read}",
                    hint="name another file",
                )
        of_a_run = path.name in RUN_FILES and (path.parent / "manifest.json").exists()
        if of_a_run or is_shard(path):
            run = path.parent if of_a_run else path.parent.parent
            raise SetupError(
                f"{flag} {path} would replace a file that makes {run} a run",
                hint="name another file",
            )
        for folder in closed:
            if path.resolve().is_relative_to(folder.resolve()):
                raise SetupError(
                    f"{flag} {path} lies in the folder of the run, {folder}",
                    hint="name a file outside it",
                )
        _check_writable(path, flag)
    except (OSError, RuntimeError) as exc:  # RuntimeError: links in a circle, before Python 3.13
        raise SetupError(f"cannot write {flag} {path}: {exc}") from exc


def _is_or_holds(read: Path, path: Path) -> bool:
    """`path` is `read` under whatever name, or lies in the folder `read`."""
    read = read.expanduser()
    if read.is_dir():
        return path.resolve().is_relative_to(read.resolve())
    return path.exists() and read.exists() and path.samefile(read)


def _check_writable(path: Path, flag: str) -> None:
    place = path.resolve()
    while not place.exists() and place != place.parent:
        place = place.parent
    if place.is_dir() or place == path.resolve():
        if os.access(place, os.W_OK):
            return
        raise SetupError(f"cannot write {flag} {path}: no permission to write {place}")
    raise SetupError(f"cannot write {flag} {path}: {place} is no folder")
