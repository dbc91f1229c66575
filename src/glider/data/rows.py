"""Read a user's file row by row: JSON Lines, JSON, CSV, TSV, Parquet, a dataset folder, stdin.

A row that cannot be read is a value, `BadRow`, and the rows after it go on; only a source that
cannot be read at all raises. Nothing is guessed: not an encoding, not a delimiter, not a split.
Memory does not grow with the number of rows, but for `.json`, which is read whole.

`line` counts from 1 and is where the row begins in its file. Files without lines of their own
(`.json`, Parquet, Arrow) count rows instead.
"""

import codecs
import csv
import gzip
import hashlib
import io
import json
import random
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar, cast

from glider.core.errors import BadRecord, DataError, MissingExtra, SetupError, UnknownName

LINE_LIMIT = 50_000_000
"""Longest line of JSON Lines and longest cell of CSV, in characters."""
JSON_LIMIT = 200_000_000
"""Longest `.json`, in characters: it is held in memory whole."""

_BATCH = 256  # rows of Parquet or Arrow turned into Python objects at a time
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
_SAY_ENCODING = "save the file as UTF-8 or name its encoding, such as --encoding cp1252"
_ESCAPED = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of an undecodable byte
# Only these can smuggle in what JSON or UTF-8 does not allow; other rows skip the second look.
_SUSPECT = re.compile(r"NaN|Infinity|\\u[dD]")


@dataclass(frozen=True, slots=True)
class Row:
    """One record of the source."""

    index: int
    """Place among all rows of the source, from 0; bad rows count."""
    line: int
    data: dict[str, Any]
    path: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A place in the source where a record should be and cannot be read."""

    index: int
    line: int
    error: BadRecord


AnyRow = TypeVar("AnyRow", bound=Row | BadRow)
_Records = Iterator[tuple[int, dict[str, Any] | BadRecord]]


@dataclass(frozen=True, slots=True)
class _Part:
    """One file of the source; no path means stdin."""

    kind: str
    path: Path | None
    gzipped: bool = False

    @property
    def label(self) -> str:
        return "stdin" if self.path is None else str(self.path)


class Rows:
    """The rows of a source, read as they are asked for; each iteration reads from the start."""

    def __init__(self, label: str, parts: list[_Part], encoding: str) -> None:
        self.label = label
        self._parts, self._encoding = parts, encoding
        self._spent = False

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row in file order.

        Raises:
            DataError: the source as a whole cannot be read, or holds no row.
        """
        if self._spent:
            raise DataError("can be read only once", path=self.label)
        self._spent = any(part.path is None for part in self._parts)
        index = 0
        for part in self._parts:
            line = 0
            try:
                for line, found in _READERS[part.kind](part, self._encoding):
                    if isinstance(found, BadRecord):
                        yield BadRow(index, line, found)
                    else:
                        yield Row(index, line, found, part.label)
                    index += 1
            except (EOFError, OSError, zlib.error, UnicodeError) as exc:
                error = BadRecord(
                    f"the file is cut off or damaged here, what follows is not read: {exc}",
                    path=part.label,
                    line=line + 1,
                    hint=_SAY_ENCODING if isinstance(exc, UnicodeError) else "write it again",
                )
                yield BadRow(index, line + 1, error)
                index += 1
        if index == 0:
            raise DataError("has no rows", path=self.label)


def open_rows(source: Path | str, *, encoding: str = "utf-8") -> Rows:
    """Open a file, a dataset folder, a split of one (`folder::train`), or "-": JSON Lines on stdin.

    The kind follows from the name: .jsonl, .ndjson, .json, .csv, .tsv (each also with .gz),
    .parquet, .arrow. A folder is what `datasets` wrote with `save_to_disk`, or it holds files of
    one kind, read in the order of their names.

    Raises:
        DataError: not there, of no known kind, or a folder that needs a split.
        UnknownName: no such encoding.
    """
    try:
        "".encode(encoding)
    except LookupError:
        known = ["utf-8", "utf-16", "latin-1", "cp1252", "shift_jis", "gb18030", "euc-kr"]
        raise UnknownName("encoding", encoding, known) from None
    if str(source) == "-":
        return Rows("stdin", [_Part("jsonl", None)], encoding)
    return Rows(str(source), _parts(Path(source)), encoding)


def content_hash_of(source: Path | str) -> str:
    """SHA-256 of what `open_rows` would read, as 64 hexadecimal digits.

    For a file this is what `sha256sum` prints; for a folder it covers the names and contents of
    its data files in order, and nothing else that lies there.

    Raises:
        DataError: as `open_rows`; and stdin, which can be read only once.
    """
    if str(source) == "-":
        raise DataError("can be read only once, so it has no hash beforehand", path="stdin")
    digests = [(part.path, _digest(part.path)) for part in _parts(Path(source)) if part.path]
    if len(digests) == 1 and digests[0][0] == Path(source):
        return digests[0][1]
    listing = "".join(f"{digest}  {path.name}\n" for path, digest in digests)
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def sampled(rows: Iterable[AnyRow], limit: int | None, seed: int | None) -> Iterator[AnyRow]:
    """At most `limit` rows, in file order: the first ones, or with a seed a uniform draw.

    The draw reads all rows and holds `limit` of them; bad rows are drawn like any others. None
    as limit gives every row.

    Raises:
        SetupError: a limit below 1.
    """
    if limit is not None and limit < 1:
        raise SetupError(f"a limit of {limit} leaves no rows", hint="use 1 or more")
    if limit is None or seed is None:
        return islice(rows, limit)
    rng = random.Random(seed)
    held: list[tuple[int, AnyRow]] = []
    for place, row in enumerate(rows):
        if place < limit:
            held.append((place, row))
        elif (slot := rng.randrange(place + 1)) < limit:
            held[slot] = (place, row)
    held.sort(key=lambda pair: pair[0])
    return (row for _, row in held)


def peeked(rows: Iterable[Row | BadRow]) -> tuple[Row | None, Iterator[Row | BadRow]]:
    """The first good row, if one of the first thousand is, and all rows from the start."""
    source = iter(rows)
    read: list[Row | BadRow] = []
    first = None
    for row in islice(source, 1000):
        read.append(row)
        if isinstance(row, Row) and row.data:
            first = row
            break
    return first, chain(read, source)


# Which files


def _parts(source: Path) -> list[_Part]:
    try:
        return _found(source)
    except OSError as exc:  # no permission to look, a name too long
        raise DataError(f"cannot be read: {exc.strerror}", path=str(source)) from exc


def _found(source: Path) -> list[_Part]:
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
            hint="rename the file, or give JSON Lines on stdin as -",
        )
    return [part]


def _part(path: Path) -> _Part | None:
    name = path.name.lower()
    gzipped = name.endswith(".gz")
    kind = _KINDS.get(Path(name.removesuffix(".gz")).suffix)
    if kind is None or (gzipped and kind not in _GZIPPED):
        return None
    return _Part(kind, path, gzipped)


def _not_there(path: Path) -> DataError:
    if not path.parent.is_dir():
        return DataError(f"is not there, nor is the folder {path.parent}", path=str(path))
    near = get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()])
    meant = f"did you mean {' or '.join(near)}?" if near else None
    return DataError("is not there", path=str(path), hint=meant)


def _folder_parts(folder: Path, split: str) -> list[_Part]:
    if (folder / "dataset_dict.json").is_file():
        splits = _listed(folder / "dataset_dict.json", "splits")
        if split not in splits:
            raise _split_needed(folder, split, [str(name) for name in splits])
        return _parts(folder / split)
    if (folder / "state.json").is_file():
        if split:
            raise DataError("is one data set without splits", path=str(folder))
        entries = _listed(folder / "state.json", "_data_files")
        names = [str(entry["filename"]) for entry in entries if "filename" in entry]
        for name in names:
            if not (folder / name).is_file():
                raise DataError(f"lists {name}, which is not there", path=str(folder))
        return [_Part("arrow", folder / name) for name in names]
    return _loose_parts(folder, split)


def _loose_parts(folder: Path, split: str) -> list[_Part]:
    """The layout of the Hugging Face hub: data files in the folder, or in its `data` folder."""
    found: list[_Part] = []
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


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as exc:
        raise DataError(f"cannot be read: {exc.strerror}", path=str(path)) from exc


# Text


@contextmanager
def _bytes_of(part: _Part) -> Iterator[io.BufferedReader]:
    if part.path is None:
        yield cast(io.BufferedReader, sys.stdin.buffer)
        return
    try:
        stream = part.path.open("rb")
    except OSError as exc:
        raise DataError(f"cannot be read: {exc.strerror}", path=part.label) from exc
    with stream:
        head = stream.peek(2)[:2]
        if part.gzipped and head and head != b"\x1f\x8b":
            raise DataError("is named .gz and is not gzip", path=part.label)
        if not part.gzipped:
            if head == b"\x1f\x8b":
                raise DataError("is gzip", path=part.label, hint="add .gz to its name")
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as unzipped:
            yield cast(io.BufferedReader, unzipped)


@contextmanager
def _text_of(part: _Part, encoding: str, *, newline: str = "\n") -> Iterator[io.TextIOWrapper]:
    """The file as text; bytes that do not decode stay in their line, escaped, for `_undecoded`."""
    with _bytes_of(part) as stream:
        if codecs.lookup(encoding).name == "utf-8":
            encoding = "utf-8-sig"
            head = stream.peek(4)[:4]
            if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                named = "utf-32" if head == codecs.BOM_UTF32_LE else "utf-16"
                raise DataError(
                    f"is {named.upper()}, not UTF-8", path=part.label, hint=f"--encoding {named}"
                )
        text = io.TextIOWrapper(
            stream, encoding=encoding, errors="surrogateescape", newline=newline
        )
        try:
            yield text
        finally:
            text.detach()  # stdin is not ours to close


def _undecoded(text: str, encoding: str) -> str | None:
    """What is wrong where a byte is not of the encoding."""
    match = None if text.isascii() else _ESCAPED.search(text)
    if match is None:
        return None
    byte, place = ord(match[0]) - 0xDC00, match.start()
    return (
        f"byte 0x{byte:02x} at character {place + 1} is not {encoding}, "
        f"near {_excerpt(text, place)}"
    )


def _excerpt(text: str, position: int = 0) -> str:
    """At most 60 characters around a position, printable in any terminal."""
    start = max(0, position - 20)
    shown = repr(text[start : start + 40].strip())
    return shown if len(shown) <= 60 else shown[:56] + "..." + shown[-1]


def _lines(stream: io.TextIOWrapper) -> Iterator[tuple[int, str | None]]:
    """Number and text of every line; None for one that is too long, which is not kept."""
    number = 0
    while text := stream.readline(LINE_LIMIT + 1):
        number += 1
        if len(text) <= LINE_LIMIT or text.endswith("\n"):
            yield number, text
            continue
        while (rest := stream.readline(1 << 20)) and not rest.endswith("\n"):
            pass
        yield number, None


def _jsonl(part: _Part, encoding: str) -> _Records:
    with _text_of(part, encoding) as stream:
        for line, text in _lines(stream):
            if text is None:
                yield (
                    line,
                    BadRecord(
                        f"the line is longer than {LINE_LIMIT // 1_000_000} million characters",
                        path=part.label,
                        line=line,
                        hint="expected one JSON object per line",
                    ),
                )
            elif not text.isspace():
                yield line, _json_line(text.rstrip(), encoding, path=part.label, line=line)


def _json_line(text: str, encoding: str, *, path: str, line: int) -> dict[str, Any] | BadRecord:
    if bad := _undecoded(text, encoding):
        return BadRecord(bad, path=path, line=line, hint=_SAY_ENCODING)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        position = exc.pos if isinstance(exc, json.JSONDecodeError) else 0
        return BadRecord(
            f"not JSON at character {position + 1} ({_why(exc)}); expected one JSON object per "
            f"line, near {_excerpt(text, position)}",
            path=path,
            line=line,
        )
    return _object(value, path=path, line=line, suspect=_SUSPECT.search(text) is not None)


def _object(value: Any, *, path: str, line: int, suspect: bool) -> dict[str, Any] | BadRecord:
    if not isinstance(value, dict):
        shown = _excerpt(json.dumps(value, ensure_ascii=True))
        return BadRecord(
            f"expected one JSON object per row, found {type(value).__name__} {shown}",
            path=path,
            line=line,
        )
    if suspect:
        try:
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except UnicodeEncodeError as exc:
            half = ascii(exc.object[exc.start])
            return BadRecord(f"{half} is half a character", path=path, line=line)
        except ValueError:
            return BadRecord(
                "NaN and Infinity are not JSON", path=path, line=line, hint="write null"
            )
        except RecursionError as exc:
            return BadRecord(_why(exc), path=path, line=line)
    return value


def _why(exc: Exception) -> str:
    if isinstance(exc, RecursionError):
        return "nested too deeply"
    return exc.msg if isinstance(exc, json.JSONDecodeError) else str(exc).partition(";")[0]


def _json(part: _Part, encoding: str) -> _Records:
    with _text_of(part, encoding) as stream:
        text = stream.read(JSON_LIMIT + 1)
    if len(text) > JSON_LIMIT:
        raise DataError(
            f"is over {JSON_LIMIT // 1_000_000} MB, too large to be held whole",
            path=part.label,
            hint="write it as JSON Lines (.jsonl), one object per line",
        )
    if not text.strip():
        return
    if bad := _undecoded(text, encoding):
        raise DataError(bad, path=part.label, hint=_SAY_ENCODING)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as exc:
        lines = isinstance(exc, json.JSONDecodeError) and exc.msg == "Extra data"
        raise DataError(
            f"not JSON ({_why(exc)})",
            path=part.label,
            line=exc.lineno if isinstance(exc, json.JSONDecodeError) else 1,
            hint="for one object per line, name the file .jsonl" if lines else None,
        ) from exc
    if not isinstance(values, list):
        raise DataError(
            f"expected a list of objects, found {type(values).__name__}", path=part.label
        )
    suspect = _SUSPECT.search(text) is not None
    for number, value in enumerate(values, start=1):
        yield number, _object(value, path=part.label, line=number, suspect=suspect)


def _csv(part: _Part, encoding: str) -> _Records:
    csv.field_size_limit(LINE_LIMIT)
    with _text_of(part, encoding, newline="") as stream:
        # Strict: a quote that is never closed is an error, not a cell with half the file in it.
        reader = csv.reader(stream, delimiter="\t" if part.kind == "tsv" else ",", strict=True)
        header: list[str] = []
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as exc:
                if not header:
                    raise DataError(
                        f"the header is not {part.kind.upper()}: {exc}", path=part.label
                    ) from exc
                problem = f"not {part.kind.upper()}: {exc}"
                yield line, BadRecord(problem, path=part.label, line=line)
                continue
            if not cells:
                continue
            bad = _undecoded("\n".join(cells), encoding)
            if bad and not header:
                raise DataError(bad, path=part.label, line=line, hint=_SAY_ENCODING)
            if bad:
                yield line, BadRecord(bad, path=part.label, line=line, hint=_SAY_ENCODING)
            elif not header:
                header = _header(cells, part)
            elif len(cells) != len(header):
                yield (
                    line,
                    BadRecord(
                        f"{len(cells)} cells where the header has {len(header)}, "
                        f"near {_excerpt(','.join(cells))}",
                        path=part.label,
                        line=line,
                    ),
                )
            else:
                yield line, dict(zip(header, cells, strict=True))


def _header(cells: list[str], part: _Part) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the header has {', '.join(map(repr, twice))} twice", path=part.label)
    return names


# Columnar files


def _pyarrow(module: str, feature: str) -> Any:
    try:
        return import_module(module)
    except ImportError as exc:
        raise MissingExtra(feature, "data") from exc


def _parquet(part: _Part, encoding: str) -> _Records:
    pa = _pyarrow("pyarrow", "reading Parquet")
    parquet = _pyarrow("pyarrow.parquet", "reading Parquet")
    try:
        # Buffered, else a column of a row group is fetched whole.
        file = parquet.ParquetFile(part.path, buffer_size=1 << 20, pre_buffer=False)
    except (pa.ArrowException, OSError) as exc:
        raise DataError(f"is not readable as Parquet: {_first(exc)}", path=part.label) from exc
    with file:
        # One group at a time and no threads: a million rows in 100 groups then peak at 95 MB, ten
        # thousand at 87; asked for in one go the million peak at 152 MB (pyarrow 26).
        batches = (
            batch
            for group in range(file.num_row_groups)
            for batch in file.iter_batches(_BATCH, row_groups=[group], use_threads=False)
        )
        yield from _numbered(batches, pa)


def _arrow(part: _Part, encoding: str) -> _Records:
    pa = _pyarrow("pyarrow", "reading a saved data set")
    try:
        source = pa.OSFile(part.label)
    except OSError as exc:
        raise DataError(f"cannot be read: {exc.strerror}", path=part.label) from exc
    with source:
        try:
            stream = pa.ipc.open_stream(source)
        except pa.ArrowException as exc:
            raise DataError(f"is no Arrow stream: {_first(exc)}", path=part.label) from exc
        slices = (
            batch.slice(start, _BATCH)
            for batch in stream
            for start in range(0, batch.num_rows, _BATCH)
        )
        yield from _numbered(slices, pa)


def _numbered(batches: Iterable[Any], pa: Any) -> _Records:
    row = 0
    try:
        for batch in batches:
            for data in batch.to_pylist():
                row += 1
                yield row, data
    except pa.ArrowException as exc:
        raise EOFError(_first(exc)) from exc


def _first(exc: Exception) -> str:
    return str(exc).partition("\n")[0]


_READERS = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "tsv": _csv,
    "parquet": _parquet,
    "arrow": _arrow,
}
