"""Where labels come from: a file of records, or a run that people have reviewed.

Every command that reads a user's own labels opens them here, so a reviewed run can be given
wherever a file of labels can.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

from glider.data.rows import BadRow, Row, open_rows

_DATA_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")


def is_labels(path: Path) -> bool:
    """Whether a name is that of a file of records, a folder of such files, or a run's folder."""
    return _is_data(path) or is_run(path) or (path.is_dir() and any(map(_is_data, path.iterdir())))


def _is_data(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(_DATA_SUFFIXES)


def is_run(path: Path) -> bool:
    """Whether a path is the folder of a run, which people may have reviewed."""
    return (path / "manifest.json").is_file() and (path / "journal.jsonl").is_file()


def open_labels(
    path: Path, *, encoding: str = "utf-8", only: Collection[str] | None = None
) -> Iterable[Row | BadRow]:
    """Open labelled records, as `open_rows`; of a run, the answers of its review.

    Args:
        encoding: of a text file.
        only: columns that will be used, of Parquet and Arrow.

    Raises:
        DataError: as `open_rows`, or nobody has answered.
        RunError: the run has no review, or it is damaged.
    """
    if is_run(path):
        from glider.review.records import labelled_rows

        return labelled_rows(path)
    return open_rows(path, encoding=encoding, only=only)
