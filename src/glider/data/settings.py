"""How the rows of a file are read, as one value."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from glider.core.errors import SetupError
from glider.core.settings import Flag

if TYPE_CHECKING:
    from glider.data.columns import Columns
    from glider.data.rows import BadRow, Row

_DATA = "Data"


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which rows of a file are read, and what their columns mean."""

    maps: Annotated[
        tuple[str, ...], Flag("FIELD=COLUMN, e.g. output=answer.", _DATA, ("--map",))
    ] = ()
    judged: Annotated[
        tuple[str, ...], Flag("Field to judge in place of output; may be given again.", _DATA)
    ] = ()
    preset: Annotated[
        str | None, Flag("Column names of another tool; guessed if not given.", _DATA)
    ] = None
    encoding: Annotated[str, Flag("Encoding of text files.", _DATA)] = "utf-8"
    limit: Annotated[int | None, Flag("Judge this many rows.", _DATA, min=1)] = None
    seed: Annotated[
        int | None, Flag("Draws the rows of --limit at random; without it, the first ones.", _DATA)
    ] = None

    def recorded(self) -> dict[str, Any]:
        """What decides which questions are asked, for the manifest."""
        return dict(json.loads(json.dumps(asdict(self))))


def open_table(path: str, how: DataSettings) -> "tuple[Columns, Iterator[Row | BadRow]]":
    """The columns to read and all rows from the start.

    Args:
        path: a file, a dataset folder, or "-" for standard input.

    Raises:
        DataError: no row can be read, and nothing else says what to judge.
        SetupError: no preset fits and nothing says what to judge.
    """
    from glider.data.columns import columns_for, parse_maps
    from glider.data.rows import BadRow, open_rows, peeked

    first, rows = peeked(open_rows(path, encoding=how.encoding))
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
    return columns, rows
