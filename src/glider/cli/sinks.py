"""Where outcomes are written as they come: JSON lines, or a CSV table for spreadsheets."""

import csv
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from glider.core.errors import SetupError
from glider.core.judgments import Comparison, Failure, Judgment

_COLUMNS = (
    "row", "sample_id", "criterion", "kind", "score", "expected", "doubt", "reasoning",
    "highlights", "preferred", "p_first", "flipped", "stage", "code", "message", "judge",
)  # fmt: skip


def as_json(row: int, outcome: Judgment | Failure | Comparison) -> str:
    """One outcome as one line of JSON."""
    return json.dumps({"row": row} | outcome.model_dump(mode="json"), ensure_ascii=False)


class Sink:
    """A file of outcomes; its name says which kind."""

    def __init__(self, path: Path) -> None:
        """Begin the file anew.

        Raises:
            SetupError: it cannot be written, or is of neither kind.
        """
        if path.suffix not in (".jsonl", ".csv"):
            raise SetupError(f"--out writes .jsonl or .csv, not {path.name!r}")
        try:
            # With its mark at the front, spreadsheets read the table as UTF-8.
            encoding = "utf-8-sig" if path.suffix == ".csv" else "utf-8"
            self._file: TextIO = path.open("w", encoding=encoding, newline="")
        except OSError as exc:
            raise SetupError(f"cannot write {path}: {exc.strerror}") from exc
        self._table = csv.DictWriter(self._file, _COLUMNS) if path.suffix == ".csv" else None
        if self._table is not None:
            self._table.writeheader()

    def write(self, row: int, outcome: Judgment | Failure | Comparison) -> None:
        """Add one outcome."""
        if self._table is None:
            self._file.write(as_json(row, outcome) + "\n")
        else:
            self._table.writerow(_cells(row, outcome))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _cells(row: int, outcome: Judgment | Failure | Comparison) -> dict[str, Any]:
    known = {name: getattr(outcome, name, None) for name in _COLUMNS}
    if isinstance(outcome, Judgment):
        known["highlights"] = "\n".join(h.phrase for h in outcome.highlights)
    # A cell that begins like a formula is run by spreadsheets: judged text is other people's.
    return known | {"row": row} | {
        name: "'" + value
        for name, value in known.items()
        if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    }  # fmt: skip
