"""Convert the user's rows to the subjects of an audit."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from glider.audit.probe import Subject
from glider.core.criteria import Criterion
from glider.core.errors import CriterionError, GliderError
from glider.core.samples import Sample
from glider.data.clusters import Clusters
from glider.data.columns import Columns, sample_from
from glider.data.labels import label_of, scale_of
from glider.data.own_criteria import criterion_of
from glider.data.rows import BadRow, Row
from glider.data.values import Unfit

_LABEL, _SCALE = "label", "scale"


def subjects(
    rows: Iterable[Row | BadRow],
    columns: Columns,
    criteria: Sequence[Criterion],
    *,
    writers: str = "writers",
    own: Collection[str] = (),
) -> tuple[list[Subject], int]:
    """Return every output (or pair of outputs) of every row under every criterion.

    Args:
        criteria: if empty, each row brings its own and its `label` is the human label under it.
        writers: column with the writer's name, or a list of names for several outputs.
        own: the judge's names in that column.

    Returns:
        The subjects, and the number of rows without a sample.

    Raises:
        GliderError: no row has a sample; gives the reason for the first row.
        DataError: labels of pairs use another scale.
    """
    columns = replace(columns, kept=tuple(dict.fromkeys((*columns.kept, writers))))
    found: list[tuple[int, Subject]] = []
    samples: list[tuple[int, Sample]] = []
    unreadable = 0
    first: GliderError | None = None
    for row in rows:
        try:
            if isinstance(row, BadRow):
                raise row.error
            sample = sample_from(row, columns)
            asked = criteria or [_own(row)]
        except GliderError as exc:
            unreadable += 1
            first = first or exc
            continue
        marks = _own_outputs(sample.metadata.get(writers), len(sample.judged), own)
        samples.append((row.index, sample))
        for criterion in asked:
            gold = None if criteria else _gold(row, sample, criterion)
            found += [(row.index, each) for each in _subjects(sample, criterion, gold, marks)]
    if first is not None and not found:
        raise first
    # Texts that share an input and context are not independent, as for the rows of a run.
    keys = Clusters.of(samples).keys
    shared = [replace(s, shares=str(keys[row]) if row in keys else "") for row, s in found]
    return shared, unreadable


def _own(row: Row) -> Criterion:
    criterion = criterion_of(row)
    if criterion is None:
        raise CriterionError("the row has no criterion")
    return criterion


def _subjects(
    sample: Sample, criterion: Criterion, gold: float | None, marks: tuple[bool, ...]
) -> Iterator[Subject]:
    sample = sample.model_copy(update={"metadata": {}})
    if len(sample.judged) == 1:
        yield Subject(sample=sample, criterion=criterion, gold=gold, own=marks)
        return
    for two in combinations(range(len(sample.judged)), 2):
        kept = [sample.judged[n] for n in two]
        fields = tuple(f for f in sample.fields if f.role != "judged" or f in kept)
        yield Subject(
            sample=Sample(id=sample.id, fields=fields),
            criterion=criterion,
            gold=gold if len(sample.judged) == 2 else None,
            own=tuple(marks[n] for n in two) if marks else (),
        )


def _own_outputs(written: Any, outputs: int, own: Collection[str]) -> tuple[bool, ...]:
    """Return which outputs the judge's model wrote; empty unless known for all of them."""
    names = written if isinstance(written, list) else [written]
    if not own or len(names) != outputs or not all(isinstance(name, str) for name in names):
        return ()
    folded = {name.casefold() for name in own}
    return tuple(name.casefold() in folded for name in names)


def _gold(row: Row, sample: Sample, criterion: Criterion) -> float | None:
    """Return a row's label as 0..1 of its scale; for a pair 0, 0.5 or 1 unchanged."""
    pair = len(sample.judged) == 2
    try:
        label = label_of(row.data.get(_LABEL), pair=pair, path=row.path, line=row.line)
        scale = scale_of(row.data.get(_SCALE))
    except Unfit:
        return None
    if label is None:
        return None
    low, high = float(criterion.rubric.low), float(criterion.rubric.high)
    if len(sample.judged) > 1:
        low, high = 0, 1
    elif scale is not None:
        low, high = scale
    return (label - low) / (high - low) if low <= label <= high and low < high else None
