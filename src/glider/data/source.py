"""Which files a user's source is: one file, a dataset folder, or a split of one.

The name decides the kind; nothing is guessed from the content, and a split that is not named is
not chosen.
"""

import json
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from glider.core.errors import DataError

_KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
_GZIPPED = ("jsonl", "json", "csv", "tsv")
_SPLITS = ("train", "validation", "valid", "dev", "test")


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the source; no path means stdin."""

    kind: str
    path: Path | None
    gzipped: bool = False

    @property
    def label(self) -> str:
        return "stdin" if self.path is None else str(self.path)


def parts_of(source: Path) -> list[Part]:
    """The files of a file, a folder or a `folder::split`, in the order they are read.

    Raises:
        DataError: not there, of no known kind, or a folder that needs a split.
    """
    try:
        return _found(source)
    except OSError as exc:  # no permission to look, a name too long
        raise DataError(f"cannot be read: {exc.strerror}", path=str(source)) from exc


def _found(source: Path) -> list[Part]:
    path, split = source, ""
    if "::" in source.name and not source.exists():
        name, _, split = str(source).rpartition("::")
        path = Path(name)
    if not path.exists():
        raise _not_there(path)
    if path.is_dir():
        return _folder_parts(path, split)
    if split:
        raise DataError("is one file; only a dataset folder has splits", path=str(path))
    part = _part(path)
    if part is None:
        known = ", ".join(_KINDS)
        raise DataError(
            f"is of no known kind; the name must end in {known}, or one of the text kinds and .gz",
            path=str(path),
            hint="`inspect log convert --to json` makes a .json of it"
            if path.suffix == ".eval"
            else "rename the file, or give JSON Lines on stdin as -",
        )
    return [part]


def _part(path: Path) -> Part | None:
    name = path.name.lower()
    gzipped = name.endswith(".gz")
    kind = _KINDS.get(Path(name.removesuffix(".gz")).suffix)
    if kind is None or (gzipped and kind not in _GZIPPED):
        return None
    return Part(kind, path, gzipped)


def _not_there(path: Path) -> DataError:
    if not path.parent.is_dir():
        return DataError(f"is not there, nor is the folder {path.parent}", path=str(path))
    near = get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()])
    meant = f"did you mean {' or '.join(near)}?" if near else None
    return DataError("is not there", path=str(path), hint=meant)


def _folder_parts(folder: Path, split: str) -> list[Part]:
    if (folder / "dataset_dict.json").is_file():
        splits = _listed(folder / "dataset_dict.json", "splits")
        if split not in splits:
            raise _split_needed(folder, split, [str(name) for name in splits])
        return parts_of(folder / split)
    if (folder / "state.json").is_file():
        if split:
            raise DataError("is one data set without splits", path=str(folder))
        entries = _listed(folder / "state.json", "_data_files")
        names = [str(entry["filename"]) for entry in entries if "filename" in entry]
        for name in names:
            if not (folder / name).is_file():
                raise DataError(f"lists {name}, which is not there", path=str(folder))
        return [Part("arrow", folder / name) for name in names]
    return _loose_parts(folder, split)


def _loose_parts(folder: Path, split: str) -> list[Part]:
    """The layout of the Hugging Face hub: data files in the folder, or in its `data` folder."""
    found: list[Part] = []
    for place in (folder, folder / "data"):
        if place.is_dir() and not found:
            parts = (_part(path) for path in sorted(place.iterdir()) if path.is_file())
            # .json is left out: in such folders it describes the data set.
            found = [part for part in parts if part and part.kind != "json"]
    if not found:
        raise DataError(
            "is a folder without data: no dataset_dict.json, state.json, .parquet, .jsonl, .csv",
            path=str(folder),
        )
    stems = {part: cast(Path, part.path).name.partition(".")[0].partition("-")[0] for part in found}
    splits = sorted(set(stems.values()))
    if split and split not in splits:
        raise _split_needed(folder, split, splits)
    if not split and len([name for name in splits if name in _SPLITS]) > 1:
        raise _split_needed(folder, split, splits)
    chosen = [part for part in found if stems[part] == split] if split else found
    kinds = sorted({part.kind for part in chosen})
    if len(kinds) > 1:
        raise DataError(
            f"holds {' and '.join(kinds)} files", path=str(folder), hint="name one of the files"
        )
    return chosen


def _split_needed(folder: Path, split: str, splits: list[str]) -> DataError:
    problem = f"has no split {split!r}" if split else "has more than one split"
    return DataError(
        f"{problem}; there are {', '.join(splits)}",
        path=str(folder),
        hint=f"name one, such as {folder}::{splits[0]}" if splits else None,
    )


def _listed(path: Path, key: str) -> list[Any]:
    try:
        return list(json.loads(path.read_text("utf-8"))[key])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise DataError(f"has no readable list {key!r}", path=str(path)) from exc
