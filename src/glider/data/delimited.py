"""CSV and TSV: records of quoted cells, and what becomes of a record that is broken.

Where a record breaks off (a quote inside a quoted cell that is not doubled), nobody can say where
the next one begins: the lines that follow may be the rest of its cell. So its first line is lost,
and the records after it are held back until they are sure: a quoted cell is read whole, or the file
ends, before anything is met that is no CSV. What was held back and is not sure is lost as well,
line by line.
"""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import TextIOBase
from typing import Any, Self

from glider.core.errors import BadRecord, DataError
from glider.data.source import Part
from glider.data.values import SAY_ENCODING, Unreadable, excerpt

_ENOUGH = 1000  # records in a row that fit are no accident
_NAN = ("NaN", "nan")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # Excel's first line
_Records = Iterator[tuple[int, dict[str, Any] | BadRecord]]
_Decode = Callable[[str], Any]


def delimited(stream: TextIOBase, part: Part, decode: _Decode) -> _Records:
    """Line and content of every record.

    Args:
        decode: turns a cell into its value; `Unreadable` where a byte is of another encoding.

    Raises:
        DataError: the header cannot be used.
    """
    return _File(stream, part, decode).records()


class _File:
    def __init__(self, stream: TextIOBase, part: Part, decode: _Decode) -> None:
        self._stream, self._part, self._decode = stream, part, decode
        self._kind = part.kind.upper()
        self._separator = "\t" if part.kind == "tsv" else ","
        cell = rf'(?:"[^"]*(?:""[^"]*)*"|[^"{self._separator}\r\n]*)'
        self._clean = re.compile(rf"{cell}(?:{self._separator}{cell})*[\r\n]*")
        self._again: deque[str] = deque()
        """Lines of a broken record, to be read once more as the beginnings of others."""
        self._number = 0
        self._raw: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._stream.readline()
        if not line:
            raise StopIteration
        self._number += 1
        self._raw.append(line)
        return line

    def _cells(self) -> Iterator[list[str] | csv.Error]:
        """Each record, from `self._line` and made of `self._raw`; after an error the next line."""
        reader = csv.reader(self, delimiter=self._separator, strict=True)
        while True:
            self._raw = []
            self._line = self._number + 1
            try:
                # Strict: a quote that is never closed is an error, not a cell of half the file.
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as exc:
                yield exc
                self._again.extendleft(reversed(self._raw[1:]))
                self._number = self._line
                reader = csv.reader(self, delimiter=self._separator, strict=True)
            else:
                if cells:
                    yield cells

    def records(self) -> _Records:
        found = self._cells()
        header = self._header(found)
        if header is None:
            return
        broken: int | None = None
        """Line of the record whose rest may follow."""
        held: list[tuple[int, list[str]]] = []
        for cells in found:
            if broken is None:
                if isinstance(cells, csv.Error):
                    broken = self._line
                    yield broken, self._broken(cells)
                else:
                    yield self._line, header.content(cells) or self._unfit(cells, header)
                continue
            raw = "".join(self._raw)
            if (
                not isinstance(cells, csv.Error)
                and self._clean.fullmatch(raw)
                and header.fit(cells)
            ):
                held.append((self._line, cells))
                if '"' in raw or len(held) >= _ENOUGH:
                    yield from ((line, header.content(own)) for line, own in held)
                    broken, held = None, []
                continue
            first = held[0][0] if held else self._line
            last = self._line if isinstance(cells, csv.Error) else self._number
            held = []
            for line in range(first, last + 1):
                yield line, self._bad(line, f"not read: it may be the rest of line {broken}")
        yield from ((line, header.content(own)) for line, own in held)

    def _header(self, found: Iterator[list[str] | csv.Error]) -> "_Header | None":
        for cells in found:
            raw = "".join(self._raw)
            if said := _SEP_LINE.fullmatch(raw):
                if said[1] != self._separator:
                    raise self._other_separator(said[1], f"its first line is {raw.strip()}")
                continue
            if isinstance(cells, csv.Error):
                other = re.search(r'"[ ]*([;|\t,])[ ]*"', raw)
                if other and other[1] != self._separator:
                    raise self._other_separator(other[1], f"its header is {excerpt(raw)}")
                raise DataError(f"the header is not {self._kind}: {cells}", path=self._part.label)
            for value in map(self._decode, cells):
                if isinstance(value, Unreadable):
                    raise DataError(
                        f"the header {value.why}",
                        path=self._part.label,
                        line=self._line,
                        hint=SAY_ENCODING,
                    )
            header = _Header.of(cells, self._decode)
            other = re.search(r"[;|\t,]", raw)
            if other and len(header.names) == 1 and '"' not in raw:
                raise self._other_separator(other[0], f"it has one column, {header.names[0]!r}")
            if not header.names:
                raise DataError("the header has no name", path=self._part.label, line=self._line)
            return header
        return None

    def _other_separator(self, other: str, because: str) -> DataError:
        wanted, found = (_SEPARATORS.get(sign, repr(sign)) for sign in (self._separator, other))
        named = {",": ".csv", "\t": ".tsv"}.get(other)
        return DataError(
            f"{because}: are the cells separated by {found}? {self._kind} has {wanted}",
            path=self._part.label,
            hint=f"name it {named}" if named else f"save it with {wanted}, or as JSON Lines",
        )

    def _broken(self, error: csv.Error) -> BadRecord:
        problem = f"not {self._kind}: {error}"
        hint = f'{self._kind} writes a quote in a cell as ""'
        if str(error) == "unexpected end of data":
            problem += ": a quote that opens here is never closed"
        if '\\"' in "".join(self._raw):
            problem += "; are quotes escaped by a backslash?"
        return self._bad(self._line, problem, hint)

    def _unfit(self, cells: list[str], header: "_Header") -> BadRecord:
        return self._bad(
            self._line,
            f"{len(cells)} cells where the header has {len(header.names)}, "
            f"near {excerpt(self._separator.join(cells))}",
            "are separators escaped by a backslash? CSV puts such a cell in quotes"
            if f"\\{self._separator}" in "".join(self._raw)
            else None,
        )

    def _bad(self, line: int, problem: str, hint: str | None = None) -> BadRecord:
        return BadRecord(problem, path=self._part.label, line=line, hint=hint)


@dataclass(frozen=True, slots=True)
class _Header:
    """The columns of a file. Those without a name at its end are none; others are passed over."""

    names: tuple[str, ...]
    twice: Mapping[str, Unreadable]
    decode: _Decode

    @classmethod
    def of(cls, cells: Sequence[str], decode: _Decode) -> Self:
        names = [cell.strip() for cell in cells]
        while names and not names[-1]:
            names.pop()
        twice = {name for name in names if name and names.count(name) > 1}
        return cls(
            tuple(names), dict.fromkeys(twice, Unreadable("stands twice in the header")), decode
        )

    def fit(self, cells: Sequence[str]) -> bool:
        """There is a cell for each column, and nothing beside them."""
        n = len(self.names)
        return len(cells) >= n and not any(cell.strip() for cell in cells[n:])

    def content(self, cells: Sequence[str]) -> dict[str, Any]:
        """Column to value; empty where the cells do not fit."""
        if not self.fit(cells):
            return {}
        own = zip(self.names, cells, strict=False)
        values = {name: self._value(cell) for name, cell in own if name}
        return {**values, **self.twice}

    def _value(self, cell: str) -> Any:
        return None if cell in _NAN else cell if cell.isascii() else self.decode(cell)
