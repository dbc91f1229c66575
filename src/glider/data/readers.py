"""How each kind of file is read: a `Part` becomes numbered records, good ones and bad.

A record that cannot be read is a `BadRecord` with its line and reason, and the ones after it go
on; a file that cannot be read at all raises DataError. What breaks off in the middle raises
EOFError, OSError, zlib.error or UnicodeError: `Rows` makes a bad row of that. A single value that
cannot be had is an `Unreadable` in its place, so that a column nobody uses fails no row.
"""

import codecs
import csv
import gzip
import io
import json
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, cast

from glider.core.errors import BadRecord, DataError
from glider.data import columnar
from glider.data.delimited import delimited
from glider.data.source import Part
from glider.data.values import SAY_ENCODING, Unreadable, decoded, excerpt, undecoded

LINE_LIMIT = 50_000_000
"""Longest line of JSON Lines and longest cell of CSV, in characters."""
JSON_LIMIT = 200_000_000
"""Longest `.json`, in characters: it is held in memory whole."""

_ESCAPED = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of an undecodable byte
# Only these can smuggle in what UTF-8 does not allow; other rows skip the second look.
_SUSPECT = re.compile(r"\\u[dD]")
_MOST_DIGITS = 4300  # Python turns no longer text into a whole number

_Records = Iterator[tuple[int, dict[str, Any] | BadRecord]]


def records(part: Part, encoding: str, only: Collection[str] | None = None) -> _Records:
    """Number (a line, or a row where the kind has no lines) and content of every record.

    Args:
        only: columns that will be used; of Parquet and Arrow no others are read.

    Raises:
        DataError: the file cannot be read at all.
        MissingExtra: a columnar file, and pyarrow is not installed.
    """
    match part.kind:
        case "parquet":
            return columnar.parquet(part, only)
        case "arrow":
            return columnar.arrow(part, only)
        case "jsonl":
            return _jsonl(part, encoding)
        case "json":
            return _json(part, encoding)
    return _csv(part, encoding)


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
    """The file as text; bytes that do not decode stay in their line, escaped, for `decoded`."""
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
    read = 0
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
                found = _json_line(text.rstrip(), encoding, path=part.label, line=line)
                if not read and isinstance(found, BadRecord) and _goes_on(text.rstrip(), found):
                    raise DataError(
                        f"its first value goes on after line {line}; JSON Lines have one object "
                        "per line",
                        path=part.label,
                        hint="name a JSON list .json; `jq -c .` writes one object per line",
                    )
                read += 1
                yield line, found


def _goes_on(text: str, error: BadRecord) -> bool:
    """The line is the beginning of JSON that is laid out over several lines."""
    cause = error.__cause__
    return (
        isinstance(cause, json.JSONDecodeError)
        and cause.pos >= len(text)
        and text.endswith(("[", "{", ","))
    )


def _json_line(text: str, encoding: str, *, path: str, line: int) -> dict[str, Any] | BadRecord:
    try:
        value = _parsed(text)
    except (ValueError, RecursionError) as exc:
        if not text.isascii() and (byte := _ESCAPED.search(text)):
            problem = f"the line {undecoded(text, byte.start(), encoding)}"
            return BadRecord(problem, path=path, line=line, hint=SAY_ENCODING)
        position = exc.pos if isinstance(exc, json.JSONDecodeError) else 0
        bad = BadRecord(
            f"not JSON at character {position + 1} ({_why(exc)}); expected one JSON object per "
            f"line, near {excerpt(text, position)}",
            path=path,
            line=line,
            hint="a line ends without a comma; a JSON list is named .json"
            if text[position:] == ","
            else None,
        )
        bad.__cause__ = exc
        return bad
    return _object(value, encoding, path=path, line=line, suspect=_is_suspect(text))


def _is_suspect(text: str) -> bool:
    return _SUSPECT.search(text) is not None or (
        not text.isascii() and _ESCAPED.search(text) is not None
    )


def _constant(name: str) -> float | None:
    """NaN is a missing value; Infinity and -Infinity are numbers that JSON does not have."""
    return None if name == "NaN" else float(name)


def _whole(digits: str) -> int | Unreadable:
    if len(digits) <= _MOST_DIGITS:
        return int(digits)
    return Unreadable(f"holds a number of {len(digits)} digits")


_DECODER = json.JSONDecoder(parse_constant=_constant)
_PATIENT = json.JSONDecoder(parse_constant=_constant, parse_int=_whole)


def _parsed(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a whole number with more digits than Python reads
        return _PATIENT.decode(text)


def _object(
    value: Any, encoding: str, *, path: str, line: int, suspect: bool
) -> dict[str, Any] | BadRecord:
    if not isinstance(value, dict):
        shown = excerpt(json.dumps(value, ensure_ascii=True, default=str))
        return BadRecord(
            f"expected one JSON object per row, found {type(value).__name__} {shown}",
            path=path,
            line=line,
        )
    if suspect:
        try:
            return cast(dict[str, Any], decoded(value, encoding))
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
    try:
        values = _parsed(text)
    except (ValueError, RecursionError) as exc:
        if not text.isascii() and (byte := _ESCAPED.search(text)):
            problem = undecoded(text, byte.start(), encoding)
            raise DataError(problem, path=part.label, hint=SAY_ENCODING) from exc
        lines = isinstance(exc, json.JSONDecodeError) and exc.msg == "Extra data"
        raise DataError(
            f"not JSON ({_why(exc)})",
            path=part.label,
            line=exc.lineno if isinstance(exc, json.JSONDecodeError) else 1,
            hint="for one object per line, name the file .jsonl" if lines else None,
        ) from exc
    if isinstance(values, dict) and isinstance(values.get("samples"), list) and "eval" in values:
        values = values["samples"]  # a log of Inspect
    if not isinstance(values, list):
        raise DataError(
            f"expected a list of objects, found {type(values).__name__}", path=part.label
        )
    suspect = _is_suspect(text)
    for number, value in enumerate(values, start=1):
        yield number, _object(value, encoding, path=part.label, line=number, suspect=suspect)


def _csv(part: Part, encoding: str) -> _Records:
    csv.field_size_limit(LINE_LIMIT)
    with _text_of(part, encoding, newline="") as stream:
        yield from delimited(stream, part, lambda cell: decoded(cell, encoding))
