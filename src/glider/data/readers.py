"""How each kind of file is read: a `Part` becomes numbered records, good ones and bad.

A record that cannot be read is a `BadRecord` with its line and reason, and the ones after it go
on; a file that cannot be read at all raises DataError. What breaks off in the middle raises
EOFError, OSError, zlib.error or UnicodeError: `Rows` makes a bad row of that.
"""

import codecs
import csv
import gzip
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast

from glider.core.errors import BadRecord, DataError, MissingExtra
from glider.data.source import Part

LINE_LIMIT = 50_000_000
"""Longest line of JSON Lines and longest cell of CSV, in characters."""
JSON_LIMIT = 200_000_000
"""Longest `.json`, in characters: it is held in memory whole."""

_BATCH = 256  # rows of Parquet or Arrow turned into Python objects at a time
SAY_ENCODING = "save the file as UTF-8 or name its encoding, such as --encoding cp1252"
_ESCAPED = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of an undecodable byte
# Only these can smuggle in what JSON or UTF-8 does not allow; other rows skip the second look.
_SUSPECT = re.compile(r"NaN|Infinity|\\u[dD]")

_Records = Iterator[tuple[int, dict[str, Any] | BadRecord]]


def records(part: Part, encoding: str) -> _Records:
    """Number (a line, or a row where the kind has no lines) and content of every record.

    Raises:
        DataError: the file cannot be read at all.
        MissingExtra: a columnar file, and pyarrow is not installed.
    """
    return _READERS[part.kind](part, encoding)


# Text


@contextmanager
def _bytes_of(part: Part) -> Iterator[io.BufferedReader]:
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
def _text_of(part: Part, encoding: str, *, newline: str = "\n") -> Iterator[io.TextIOWrapper]:
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
    # A byte that did not decode is told as the byte it is, not as what stands for it here.
    shown = repr(text[start : start + 40].strip()).replace("\\udc", "\\x")
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


def _jsonl(part: Part, encoding: str) -> _Records:
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
        return BadRecord(bad, path=path, line=line, hint=SAY_ENCODING)
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


def _json(part: Part, encoding: str) -> _Records:
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
        raise DataError(bad, path=part.label, hint=SAY_ENCODING)
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


def _csv(part: Part, encoding: str) -> _Records:
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
                raise DataError(bad, path=part.label, line=line, hint=SAY_ENCODING)
            if bad:
                yield line, BadRecord(bad, path=part.label, line=line, hint=SAY_ENCODING)
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


def _header(cells: list[str], part: Part) -> list[str]:
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


def _parquet(part: Part, encoding: str) -> _Records:
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


def _arrow(part: Part, encoding: str) -> _Records:
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
