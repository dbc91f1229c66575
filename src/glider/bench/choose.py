"""Which sets a word means: a name, a kind, a family, a YAML file, or a person's own labels.

A file of labelled records in the judgements format is a set by itself: what is asked comes from its
records, or from a criterion given beside it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from glider.core.criteria import Criterion
from glider.core.errors import DataError, SetupError, UnknownName
from glider.data.rows import Row, open_rows, peeked
from glider.gold.judgements import SHARED, key_at
from glider.gold.sets import OWN, Kind, LabelledSet, Question, known, load_set, own_name

DATA_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
_METRICS: dict[Kind, tuple[str, ...]] = {
    "graded": ("pearson", "spearman", "kendall", "mae"),
    "classes": ("balanced_accuracy", "accuracy", "macro_f1", "mcc"),
    "pairs": ("accuracy_single", "accuracy_both", "accuracy_averaged", "flip_rate"),
}
_MOST_CLASSES = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    """A set, and the folder its data is looked for in."""

    labelled: LabelledSet
    folder: Path | None

    @property
    def is_there(self) -> bool:
        """Its data is in the folder."""
        name = self.labelled.data.partition("::")[0]
        return self.folder is not None and (self.folder / name).exists()


def choose(
    words: Sequence[str],
    folder: Path | None,
    *,
    criterion: Criterion | None = None,
    cluster: str | None = None,
) -> list[Chosen]:
    """The sets meant by `words`, each once, in that order.

    Args:
        words: `all`; a kind (`pairs`); a family (`summaries`); names; YAML files; data files.
        folder: where the data of all but a person's own files lies.
        criterion: what is asked of records in a person's own file.
        cluster: column that records of a person's own file share; see `own_set`.

    Raises:
        UnknownName: with near names.
        SetupError: a file that is no set.
        DataError: a data file that cannot be read.
    """
    found: dict[str, Chosen] = {}
    for word in words:
        for chosen in _meant(word, folder, criterion, cluster):
            found.setdefault(chosen.labelled.name, chosen)
    return list(found.values())


def _meant(
    word: str, folder: Path | None, criterion: Criterion | None, cluster: str | None
) -> list[Chosen]:
    path = Path(word)
    if path.name.removesuffix(".gz").endswith(DATA_SUFFIXES):
        return [Chosen(own_set(path, criterion, cluster=cluster), path.parent)]
    if word in known() or word.endswith((".yaml", ".yml")):
        return [Chosen(load_set(word), folder)]
    every = [load_set(name) for name in known()]
    wanted = word.casefold().replace("-", " ")
    by_word = [
        labelled
        for labelled in every
        if wanted in ("all", labelled.kind, labelled.family.casefold().replace("-", " "))
    ]
    if not by_word:
        families = {labelled.family for labelled in every}
        raise UnknownName(
            "labelled set", word, [*known(), *families, *get_args(Kind), "all"],
            hint="`glider bench --list` shows them; a file of your own ends in .jsonl, .csv, ...",
        )  # fmt: skip
    return [Chosen(labelled, folder) for labelled in by_word]


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
    if isinstance(first.data.get("outputs"), list | tuple):
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
