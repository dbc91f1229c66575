"""Write a run's outcomes as one file: JSON Lines, or a CSV table for spreadsheets."""

import csv
import io
from pathlib import Path
from typing import Any

from glider.core.judgments import Comparison, Failure, Judgment
from glider.store.atomic import replacing, write_json_lines
from glider.store.run import outcomes
from glider.store.targets import check_target

SUFFIXES = (".jsonl", ".csv")
_COLUMNS = (
    "row", "sample_id", "criterion", "kind", "score", "expected", "doubt", "reasoning",
    "highlights", "preferred", "p_first", "flipped", "stage", "code", "message", "judge",
)  # fmt: skip


def as_plain(row: int, outcome: Judgment | Failure | Comparison) -> dict[str, Any]:
    """One outcome as plain data, with its row."""
    return {"row": row} | outcome.model_dump(mode="json")


def write_outcomes(run: Path, path: Path) -> None:
    """Write every outcome of a run into one file, completely or not at all, in UTF-8.

    Args:
        run: folder of the run.
        path: a name that ends in .jsonl or .csv.

    Raises:
        SetupError: its name ends in neither, or it is a file of the run.
        RunError: it cannot be written; what stood there before still does.
    """
    check_target(path, closed=[run], suffixes=SUFFIXES)
    if path.suffix.lower() == ".jsonl":
        write_json_lines(path, (as_plain(row, outcome) for row, outcome in outcomes(run)))
        return
    with replacing(path) as file:
        # With its mark at the front, spreadsheets read the table as UTF-8.
        text = io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")
        table = csv.DictWriter(text, _COLUMNS)
        table.writeheader()
        for row, outcome in outcomes(run):
            table.writerow(_cells(row, outcome))
        text.detach()


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
