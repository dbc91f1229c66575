"""A user's own labels as a set: Glider's records, another project's columns, a reviewed run."""

from collections.abc import Iterable
from pathlib import Path

from glider.core.criteria import Criterion
from glider.core.errors import DataError, SetupError
from glider.data.library import load_criterion
from glider.data.rows import Row, peeked
from glider.gold.foreign import foreign_set, guess
from glider.gold.records import SHARED, key_at
from glider.gold.sets import OWN, Kind, LabelledSet, Question, own_name
from glider.gold.source import is_run, open_labels

_METRICS: dict[Kind, tuple[str, ...]] = {
    "graded": ("pearson", "spearman", "kendall", "mae"),
    "classes": ("balanced_accuracy", "accuracy", "macro_f1", "mcc"),
    "pairs": ("accuracy_single", "accuracy_both", "accuracy_averaged", "flip_rate"),
}
_MOST_CLASSES = 3


def own_labels(
    path: Path, *, preset: str | None = None, criterion: str | None = None
) -> LabelledSet:
    """Load a user's own labels, a file or a reviewed run, as a set.

    Args:
        preset: column preset; detected from the column names by default.
        criterion: name or file of the criterion, if the records have none.

    Raises:
        DataError: the file is missing, unreadable, or without records.
        SetupError: there is no criterion.
        UnknownName: there is no such preset or criterion.
    """
    first, _ = peeked(open_labels(path))
    if first is None:
        raise DataError("no records", path=str(path))
    columns = preset or guess(first.data) or "record"
    if columns in ("record", "judgements"):  # the name used by 0.1
        return own_set(path, load_criterion(criterion) if criterion else None)
    return foreign_set(columns, path)


def own_set(
    path: Path, criterion: Criterion | None = None, *, cluster: str | None = None
) -> LabelledSet:
    """Make a set of a user's own labels, a file or a reviewed run.

    Two `outputs` mark pairs, and at most three distinct labels mark classes. Metrics are split by
    the criterion's name if the records have one. Clusters are formed as in a run: records with the
    same input and context share a cluster, unless all records have the same.

    Args:
        cluster: column (or path) to cluster by instead, with equal values for dependent records;
            `none`: all records are independent.

    Raises:
        DataError: the file is missing, unreadable, or without labelled records.
    """
    first, rows = peeked(open_labels(path))
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
        title=path.absolute().name,
        data=path.name,
        kind=kind,
        family=OWN,
        labels_by="glider review" if is_run(path) else "not told",
        licence="not told",
        use="licence",
        cluster=cluster or SHARED,
        part="criterion.name" if criterion is None and _has(data, "criterion.name") else "",
        metrics=_METRICS[kind],
        questions=questions,
    )


def _has(data: Iterable[dict[str, object]], path: str) -> bool:
    return any(key_at(record, path) is not None for record in data)
