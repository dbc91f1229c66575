"""Labelled records in Glider's format: one JSON object per line.

`input`, `context`, `reference` and `output` (or two `outputs`) are the texts; `criterion`,
`rubric` and `scale` define the criterion if the set does not; `label` is the gold label: a number
on `scale`, or for a pair 0, 1 or 0.5. `annotators` holds individual ratings, `meta.spans` has
highlights as positions in `output`, and `rationale` is the human-written reason. Any table that
`data.rows` can open is accepted.

A record without a usable label gives no item. Nothing is repaired: labels outside their scale,
duplicate ids and highlights outside the text are left out and counted. A pair with a label other
than 0, 0.5 and 1 makes the whole file invalid, because its pairs use another scale.

A user's own file may use the column names of other tools for its texts (`data.presets`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glider.core.base import content_hash
from glider.core.criteria import Criterion
from glider.core.errors import BadRecord, CriterionError, DataError, SetupError
from glider.core.judgments import Span
from glider.core.samples import Sample
from glider.data.clusters import ALONE, Clusters
from glider.data.columns import Columns, sample_from, start_of, value_at
from glider.data.labels import label_of, scale_of
from glider.data.own_criteria import criterion_of
from glider.data.presets import PRESETS, columns_for, use_of
from glider.data.rows import BadRow, Row, open_rows, peeked
from glider.data.values import Unfit
from glider.gold.items import OWN, Item, LoadedSet, Notes
from glider.gold.source import open_labels

if TYPE_CHECKING:
    from glider.gold.sets import LabelledSet

SHARED = "input and context"
"""Value of `cluster` that means: cluster like the rows of a run (`data/clusters.py`)."""
_LONGEST_KEY = 64
_USED = (
    "label", "criterion", "rubric", "scale", "annotators", "rationale", "lang", "meta", "kind",
    "source", "label_source", "weight",
)  # fmt: skip
"""Columns of a labelled record other than its texts."""
OUTSIDE_SCALE = "a label outside its scale"
"""Text in a set's notes if labels were left out for this reason."""


Shape = Callable[[Mapping[str, Any]], list[dict[str, Any]]]
"""Converts a row in another tool's columns to records in this format."""


def read(
    labelled: "LabelledSet",
    path: Path,
    *,
    shape: Shape | None = None,
    rows: Iterable[Row | BadRow] | None = None,
) -> LoadedSet:
    """Read the items of a file in order, with notes on irregularities.

    Args:
        shape: converts rows in other columns (`gold.foreign`).
        rows: rows of several files; default: the rows of `path`.

    Raises:
        DataError: the file is unreadable, or its pairs have labels on another scale.
    """
    rows = open_labels(path) if rows is None else rows
    columns, unused = PRESETS["record"], ""
    if labelled.family == OWN and shape is None:
        first, rows = peeked(rows)
        columns, unused = _own_columns(first, labelled)
    columns = replace(
        columns,
        fields={name: at for name, at in columns.fields.items() if name not in labelled.hidden},
        kept=(),
    )
    notes = Notes()
    items: list[Item] = []
    asked: dict[str, Criterion | None] = {}
    seen: set[tuple[str, str]] = set()
    for row in _shaped(rows, shape):
        try:
            if isinstance(row, BadRow):
                raise row.error
            part = key_at(row.data, labelled.part) if labelled.part else labelled.name
            if part is None:
                raise Unfit(f"no {labelled.part} to tell its part")
            if part not in asked:
                asked[part] = labelled.asked(part)
            item = _item(row, labelled, part, asked[part], columns, notes)
            name = (item.sample.id, item.criterion.name)
            if name in seen:
                raise Unfit("an id used before under the same criterion")
            seen.add(name)
            items.append(item)
        except (Unfit, BadRecord, CriterionError) as exc:
            place = f":{row.line}: "
            notes.add(f"left out, {str(exc).partition(place)[2] or exc}", row.line)
    told = (*([unused] if unused else []), *notes.sentences())
    if labelled.cluster in (SHARED, ALONE):
        items, note = _clustered(items, labelled.cluster)
        told = (*told, note) if note else told
    return LoadedSet(_apart_by_scale(items), told)


def rows_of_files(labelled: "LabelledSet", folder: Path) -> Iterable[Row | BadRow]:
    """Return the rows of all files of a set that names them.

    Raises:
        DataError: none of the files exists.
    """
    files = sorted({file for pattern in labelled.files for file in folder.glob(pattern)})
    if not files:
        raise DataError(
            f"set {labelled.name!r}: the folder has no {' or '.join(labelled.files)}",
            path=str(folder),
        )
    return chain.from_iterable(map(open_rows, files))


def _own_columns(first: Row | None, labelled: "LabelledSet") -> tuple[Columns, str]:
    """Find the columns of a user's own file, and describe what is not used."""
    data = first.data if first is not None else {}
    try:
        columns = columns_for(data)
    except SetupError:
        columns = PRESETS["record"]
    also = {start_of(path) for path in (labelled.part, labelled.cluster, labelled.group) if path}
    use = replace(use_of(data, columns, {*_USED, *also}), advice="")
    return columns, str(use) if use.unused else ""


def _clustered(items: Sequence[Item], by: str) -> tuple[list[Item], str]:
    """Cluster items like the rows of a run; return them with a note on the clusters."""
    places: dict[str, int] = {}
    rows = [places.setdefault(item.sample.content_id, len(places)) for item in items]
    samples = ((row, item.sample) for row, item in zip(rows, items, strict=True))
    clusters = Clusters.of(samples, ALONE if by == ALONE else None)
    codes = clusters.codes(list(range(len(items))) if by == ALONE else rows)
    # Lists of held-out clusters refer to these names, so derive them from texts, not positions.
    names: dict[int, str] = {}
    for item, code in zip(items, codes, strict=True):
        alone = by == ALONE or clusters.note
        names.setdefault(code, item.sample.id if alone else _shared_name(item.sample))
    found = [replace(i, cluster=names[code]) for i, code in zip(items, codes, strict=True)]
    return found, clusters.note


def _shared_name(sample: Sample) -> str:
    """Name a cluster: by its input if that is short and the only text; else by a hash."""
    shared = [field for field in sample.fields if field.role in ("input", "context")]
    if len(shared) == 1 and shared[0].role == "input":
        return _key(shared[0].text)
    return content_hash([field.text for field in shared]) if shared else sample.id


def _apart_by_scale(items: Sequence[Item]) -> list[Item]:
    """Split each part whose records have different scales into one part per scale."""
    scales: dict[str, set[tuple[float, float]]] = {}
    for item in items:
        scales.setdefault(item.part, set()).add(item.scale)
    return [
        replace(item, part=f"{item.part} ({item.scale[0]:g} to {item.scale[1]:g})")
        if len(scales[item.part]) > 1
        else item
        for item in items
    ]


def _shaped(rows: Iterable[Row | BadRow], shape: Shape | None) -> Iterator[Row | BadRow]:
    for row in rows:
        if isinstance(row, BadRow) or shape is None:
            yield row
            continue
        records = shape(row.data)
        for data in records:
            yield replace(row, data=data)
        if not records:
            error = BadRecord("no text with a label", path=row.path, line=row.line)
            yield BadRow(index=row.index, line=row.line, error=error)


def key_at(data: Mapping[str, Any], path: str) -> str | None:
    """Return the value of a column or path as a short grouping key; None if it is empty."""
    value = value_at(data, path)
    return _key("" if value is None else str(value)) or None


def group_at(data: Mapping[str, Any], labelled: "LabelledSet") -> str:
    """Return the subset of a record; empty if it is in none."""
    value = value_at(data, labelled.group) if labelled.group else None
    return "" if value is None else _key(labelled.subset(str(value).strip()))


def _key(text: str) -> str:
    if len(text) > _LONGEST_KEY:  # a whole document
        return content_hash(text)
    return text.strip()


def number(value: Any) -> float:
    """Convert a label to a number.

    Raises:
        Unfit: the label is missing or not a number.
    """
    return _given(value, pair=False)


def _given(value: Any, *, pair: bool, row: Row | None = None) -> float:
    try:
        place = (row.path, row.line) if row is not None else ("", None)
        label = label_of(value, pair=pair, path=place[0], line=place[1])
    except Unfit as exc:
        raise Unfit(f"a label that {exc}") from None
    if label is None:
        raise Unfit("no label")
    return label


def _item(
    row: Row,
    labelled: "LabelledSet",
    part: str,
    asked: Criterion | None,
    columns: Columns,
    notes: Notes,
) -> Item:
    data = row.data
    label = data.get("label")
    number(label)  # skip the rest of a record without a label
    sample = sample_from(row, columns)
    pair = len(sample.judged) == 2
    gold = _given(label, pair=pair and labelled.kind == "pairs", row=row)
    if pair is not (labelled.kind == "pairs"):
        raise Unfit("two outputs in a set that has no pairs" if pair else "not two outputs")
    criterion = asked or criterion_of(row)
    if criterion is None:
        raise Unfit("no criterion, and the set has no question for its part")
    scale = _scale(data, criterion, pair)
    if not scale[0] <= gold <= scale[1]:
        raise Unfit(OUTSIDE_SCALE)
    by_column = labelled.cluster and labelled.cluster not in (SHARED, ALONE)
    cluster = key_at(data, labelled.cluster) if by_column else None
    if by_column and cluster is None:
        notes.add(f"no {labelled.cluster}, so a cluster of its own", row.line)
    reason = data.get("rationale")
    return Item(
        sample=sample,
        criterion=criterion,
        gold=gold,
        scale=scale,
        part=part,
        cluster=cluster or sample.id,
        ratings=_ratings(data.get("annotators"), scale, notes, row.line),
        spans=() if pair else _spans(value_at(data, "meta.spans"), sample, notes, row.line),
        reason=reason.strip() or None if isinstance(reason, str) else None,
        lang=_language(data.get("lang"), notes, row.line) or labelled.languages[0],
        group=group_at(data, labelled),
    )


def _scale(data: Mapping[str, Any], criterion: Criterion, pair: bool) -> tuple[float, float]:
    if pair:
        return 0.0, 1.0
    own = scale_of(data.get("scale"))
    return own or (float(criterion.rubric.low), float(criterion.rubric.high))


def _ratings(values: Any, scale: tuple[float, float], notes: Notes, line: int) -> tuple[float, ...]:
    """Read individual ratings if there were several annotators.

    A list of lists has a row per sentence and a column per annotator; an annotator's overall rating
    is the mean of the column.
    """
    if not values:
        return ()
    try:
        if all(isinstance(value, list) for value in values):
            people = zip(*values, strict=True)
            ratings = tuple(sum(map(float, own)) / len(own) for own in people)
        else:
            ratings = tuple(map(float, values))
        if not all(scale[0] <= rating <= scale[1] for rating in ratings):
            raise ValueError
    except (TypeError, ValueError):
        notes.add("single ratings that are no numbers on the scale, not used", line)
        return ()
    return ratings if len(ratings) > 1 else ()


def _language(value: Any, notes: Notes, line: int) -> str | None:
    if value is None or isinstance(value, str):
        return value
    notes.add("a language that is no text, not used", line)
    return None


def _spans(values: Any, sample: Sample, notes: Notes, line: int) -> tuple[Span, ...]:
    """Read highlights in order, without duplicates."""
    (output,) = sample.judged
    found: set[tuple[int, int]] = set()
    if values and not isinstance(values, list | tuple):
        notes.add("highlights that are no list, not used", line)
        return ()
    for value in values or ():
        match value:
            case {"start": int(start), "end": int(end)} if 0 <= start < end <= len(output.text):
                found.add((start, end))
            case {"start": int(), "end": int()}:
                notes.add("a highlight outside the output, not used", line)
            case _:
                notes.add("a highlight without a place in the output, not used", line)
    return tuple(Span(field=output.name, start=start, end=end) for start, end in sorted(found))
