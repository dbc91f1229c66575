"""An opened user file: its rows, the columns that are used, and those that are not."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from glider.core.errors import SetupError
from glider.data.columns import Columns
from glider.data.presets import Use, columns_for, parse_maps, use_of
from glider.data.rows import BadRow, Row, open_rows, peeked
from glider.data.settings import RowSettings

OWN_CRITERION = ("criterion", "rubric", "scale", "label")
"""Columns of a row that brings its own criterion, and what people said under it."""


@dataclass(frozen=True, slots=True)
class Table:
    """What is read of a file."""

    columns: Columns
    rows: Iterator[Row | BadRow]
    use: Use | None
    """Of the first row's columns; None where no row can be read."""

    @property
    def unused(self) -> str:
        """What is used and what is not, as a sentence; empty where all is."""
        return str(self.use) if self.use is not None and self.use.unused else ""


def open_table(path: str, how: RowSettings, also: Collection[str] = ()) -> Table:
    """Open a file and settle its columns by its first row.

    Args:
        path: a file, a dataset folder, `folder::split`, or "-" for standard input.
        also: further columns that will be used; of Parquet and Arrow no others are read.

    Raises:
        DataError: no row can be read, and nothing else says what to judge.
        SetupError: no preset fits and nothing says what to judge.
        UnknownName: no such preset, no such encoding.
    """
    source = open_rows(path, encoding=how.encoding)
    first, rows = peeked(source)
    try:
        columns = columns_for(
            first.data if first else (),
            preset=how.preset,
            maps=parse_maps(how.maps),
            judged=how.judged,
        )
    except SetupError:
        if first is None and isinstance(row := next(rows, None), BadRow):
            raise row.error from None
        raise
    if source.is_columnar:
        rows = iter(open_rows(path, only=columns.read() | {*also}))
    return Table(columns, rows, use_of(first.data, columns, also) if first else None)
