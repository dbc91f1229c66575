"""A user's own file of labels as a set: Glider's records, or another project's columns."""

from collections.abc import Iterable
from pathlib import Path

from glider.core.criteria import Criterion
from glider.core.errors import DataError, SetupError
from glider.data.library import load_criterion
from glider.data.rows import Row, open_rows, peeked
from glider.gold.foreign import foreign_set, guess
from glider.gold.records import SHARED, key_at
from glider.gold.sets import OWN, Kind, LabelledSet, Question, own_name

_DATA_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
_METRICS: dict[Kind, tuple[str, ...]] = {
    "graded": ("pearson", "spearman", "kendall", "mae"),
    "classes": ("balanced_accuracy", "accuracy", "macro_f1", "mcc"),
    "pairs": ("accuracy_single", "accuracy_both", "accuracy_averaged", "flip_rate"),
}
_MOST_CLASSES = 3


def is_data(path: Path) -> bool:
    """The name is that of a file of records."""
    return path.name.removesuffix(".gz").endswith(_DATA_SUFFIXES)


def own_labels(
    path: Path, *, preset: str | None = None, criterion: str | None = None
) -> LabelledSet:
    """A person's own file of labels as a set.

    Args:
        preset: whose columns it has; told by their names if not given.
        criterion: name or file of what was asked, where the records do not say.

    Raises:
        DataError: not there, not readable, or without records.
        SetupError: nothing says what was asked.
        UnknownName: no such preset, no such criterion.
    """
    first, _ = peeked(open_rows(path))
    if first is None:
        raise DataError("no records", path=str(path))
    columns = preset or guess(first.data) or "record"
    if columns in ("record", "judgements"):  # what 0.1 called it
        return own_set(path, load_criterion(criterion) if criterion else None)
    return foreign_set(columns, path)


def own_set(
    path: Path, criterion: Criterion | None = None, *, cluster: str | None = None
) -> LabelledSet:
    """A person's own labelled file as a set.

    Pairs are told by two `outputs`, classes by at most three different labels; figures are split by
    the criterion's name where the records have one. Clusters are those of a run: records of one
    input and context belong together, unless all have the same.

    Args:
        cluster: column (or path) that records share which are not independent, in its place;
            `none`: all are independent.

    Raises:
        DataError: not there, not readable, or without labelled records.
    """
    first, rows = peeked(open_rows(path))
    if first is None:
        raise DataError("no records", path=str(path))
    data = [row.data for row in rows if isinstance(row, Row)]
    kind: Kind = "graded"
    if isinstance(first.data.get("outputs"), list | tuple) or {"chosen", "rejected"} <= {
        *first.data
    }:
        kind = "pairs"
    elif len({str(record.get("label")) for record in data} - {"None", ""}) <= _MOST_CLASSES:
        kind = "classes"
    if criterion is None and "criterion" not in first.data:
        raise SetupError(
            f"{path.name}: its records do not say what was asked",
            hint="--criterion NAME or a YAML file; or a `criterion` and a `rubric` in each record",
        )
    questions = {}
    if criterion is not None:
        questions["*"] = Question(
            question=criterion.question, levels=criterion.rubric, title=criterion.heading
        )
    return LabelledSet(
        name=own_name(path),
        title=path.name,
        data=path.name,
        kind=kind,
        family=OWN,
        labels_by="not told",
        licence="not told",
        use="licence",
        cluster=cluster or SHARED,
        part="criterion.name" if criterion is None and _has(data, "criterion.name") else "",
        metrics=_METRICS[kind],
        questions=questions,
    )


def _has(data: Iterable[dict[str, object]], path: str) -> bool:
    return any(key_at(record, path) is not None for record in data)
