"""The labelled data beside the checkout: which of its files hold records of the one format.

The folder also holds collections with fields of their own (`tests` of a program, `docs` to rank).
What a file is, its first record says.
"""

import gzip
import json
from functools import cache
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"
with_data = pytest.mark.skipif(not DATA.is_dir(), reason="the labelled data is not here")

_RECORD = {
    "id", "source", "kind", "input", "context", "reference", "criterion", "rubric", "scale",
    "label", "annotators", "rationale", "lang", "meta",
}  # fmt: skip


@cache
def record_files() -> list[Path]:
    """The files whose records have every field of the format, and a text or two to judge."""
    return [path for path in sorted(DATA.glob("*.jsonl.gz")) if _is_record(_first(path))]


def _first(path: Path) -> dict:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return json.loads(next(stream))


def _is_record(row: dict) -> bool:
    return row.keys() >= _RECORD and bool(row.keys() & {"output", "outputs"})
