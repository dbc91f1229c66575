"""Read a user's file row by row: JSON Lines, JSON, CSV, TSV, Parquet, a dataset folder, stdin.

A row that cannot be read is a value, `BadRow`, and the rows after it go on; only a source that
cannot be read at all raises. A value that cannot be had is an `Unreadable` (`data.values`), which
fails a row only where it is used. Nothing is guessed: not an encoding, not a delimiter, not a
split. Memory does not grow with the number of rows, but for `.json`, which is read whole.

`line` counts from 1 and is where the row begins in its file. Files without lines of their own
(`.json`, Parquet, Arrow) count rows instead.
"""

import hashlib
import random
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from glider.core.errors import BadRecord, DataError, SetupError, UnknownName
from glider.data.readers import records
from glider.data.source import Part, parts_of
from glider.data.values import SAY_ENCODING


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


class Rows:
    """The rows of a source, read as they are asked for; each iteration reads from the start."""

    def __init__(
        self, label: str, parts: list[Part], encoding: str, only: Collection[str] | None = None
    ) -> None:
        self.label = label
        self._parts, self._encoding, self._only = parts, encoding, only
        self._spent = False

    @property
    def is_columnar(self) -> bool:
        """Parquet or Arrow: columns can be read one by one."""
        return any(part.kind in ("parquet", "arrow") for part in self._parts)

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
                for line, found in records(part, self._encoding, self._only):
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
                    hint=SAY_ENCODING if isinstance(exc, UnicodeError) else "write it again",
                )
                yield BadRow(index, line + 1, error)
                index += 1
        if index == 0:
            raise DataError("has no rows", path=self.label)


def open_rows(
    source: Path | str, *, encoding: str = "utf-8", only: Collection[str] | None = None
) -> Rows:
    """Open a file, a dataset folder, a split of one (`folder::train`), or "-": JSON Lines on stdin.

    The kind follows from the name: .jsonl, .ndjson, .json, .csv, .tsv (each also with .gz),
    .parquet, .arrow. A folder is what `datasets` wrote with `save_to_disk`, or it holds files of
    one kind, read in the order of their names.

    Args:
        only: columns that will be used: of Parquet and Arrow no others are read, and a row says
            of them that they were not.

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
        return Rows("stdin", [Part("jsonl", None)], encoding, only)
    return Rows(str(source), parts_of(Path(source)), encoding, only)


def content_hash_of(source: Path | str) -> str:
    """SHA-256 of what `open_rows` would read, as 64 hexadecimal digits.

    For a file this is what `sha256sum` prints; for a folder it covers the names and contents of
    its data files in order, and nothing else that lies there.

    Raises:
        DataError: as `open_rows`; and stdin, which can be read only once.
    """
    if str(source) == "-":
        raise DataError("can be read only once, so it has no hash beforehand", path="stdin")
    digests = [(part.path, _digest(part.path)) for part in parts_of(Path(source)) if part.path]
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


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as exc:
        raise DataError(f"cannot be read: {exc.strerror}", path=str(path)) from exc
