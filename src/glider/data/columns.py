"""Rows into samples: which column is which field.

A source column may be a path: `docs[0].text`, `messages[-1].content`. A column really called so
comes first. An input, context or reference that is null, blank or (in a preset) not there is left
out of the sample; a judged text must be there, and may be empty. A list of messages is written
turn by turn, other values that are no text as compact JSON; nothing else is filled in.

A column that no field comes from is not looked at, so what it holds can fail no row.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

from pydantic import ValidationError

from glider.core.base import content_hash, first_problem
from glider.core.errors import BadRecord
from glider.core.samples import Field, Role, Sample
from glider.data.conversations import is_talk, talk_of, written
from glider.data.rows import Row
from glider.data.values import Unfit, Unreadable, printable, stored, text_of

_ROLES: dict[str, Role] = {"input": "input", "context": "context", "reference": "reference"}
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of a row become which fields of a sample."""

    fields: Mapping[str, tuple[str, ...]]
    """Field name to the columns it may come from; the first that is there counts."""
    judged: tuple[str, ...] = ("output",)
    outputs: str | None = None
    """A column with a list of texts to compare; where a row has it, `output` is not asked for."""
    id: str = "id"
    mapped: frozenset[str] = frozenset()
    """Fields and parts the user mapped: their column must be there."""
    kept: tuple[str, ...] = ()
    """Columns copied to the sample's metadata."""
    reshape: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    """Makes `id`, `input`, `output`, ... of a row that has them in another shape; what the user
    mapped is read from the row itself."""
    reshaped: tuple[str, ...] = ()
    """Columns that `reshape` looks at."""

    def sources(self) -> Iterator[tuple[str, str]]:
        """(field, column or path) pairs: what is looked at in a row; no field of a reshaped one."""
        named = {**self.fields, "id": (self.id,)}
        if self.outputs is not None:
            named["outputs"] = (self.outputs,)
        for name, columns in named.items():
            if self.reshape is None or name in self.mapped:
                yield from ((name, column) for column in columns)
        yield from (("", column) for column in self.reshaped)

    def read(self) -> frozenset[str]:
        """Every column that may be looked at, and of a path its beginning."""
        found = {column for _, column in self.sources()} | {*self.kept}
        return frozenset(found | {start_of(column) for column in found})


def sample_from(row: Row, columns: Columns) -> Sample:
    """The sample a row holds.

    The id is the id column's, or else a hash of the texts.

    Raises:
        BadRecord: a column is missing or holds something that is no text.
    """
    try:
        return _sample(row.data, columns)
    except Unfit as exc:
        raise BadRecord(str(exc), path=row.path, line=row.line) from exc
    except ValidationError as exc:
        raise BadRecord(first_problem(exc).what, path=row.path, line=row.line) from exc


def _sample(data: Mapping[str, Any], columns: Columns) -> Sample:
    shaped = columns.reshape(data) if columns.reshape else data

    def value_of(name: str, sources: Sequence[str], *, needed: bool) -> Any:
        """What the first column that is there holds; None where none is and none is needed."""
        row = data if name in columns.mapped else shaped
        for source in sources:
            value, missing = _look_up(row, source)
            if missing is None and value is not None and value == value:  # NaN is no value
                return value
        if needed and missing is not None:
            raise Unfit(missing())
        return None

    compared: Any = None
    if columns.outputs is not None:
        compared = value_of("outputs", [columns.outputs], needed="outputs" in columns.mapped)
    judged = {name: columns.fields[name] for name in columns.judged if compared is None}
    shown: list[Field] = []
    for name, sources in columns.fields.items():
        if name in columns.judged:
            continue
        value = value_of(name, sources, needed=name in columns.mapped)
        text = "" if value is None else _text(name, value)
        if text.strip():
            shown.append(Field(name=name, text=text, role=_ROLES.get(name, "other")))
    for name, sources in judged.items():
        value = value_of(name, sources, needed=True)
        if value is None:
            raise Unfit(f"{name!r} is null, and there is nothing else to judge")
        shown.append(Field(name=name, text=_text(name, value), role="judged"))
    if compared is not None:
        shown += _compared(compared, shaped, columns)
    own_id = value_of("id", [columns.id], needed="id" in columns.mapped)
    named = "" if own_id is None else _text("id", own_id).strip()
    return Sample(
        id=named or content_hash([part.model_dump() for part in shown]),
        fields=tuple(shown),
        metadata={name: stored(data[name]) for name in columns.kept if name in data},
    )


def _compared(values: Any, row: Mapping[str, Any], columns: Columns) -> list[Field]:
    if row.get("output") is not None and "output" in columns.fields:
        raise Unfit(
            "there is an 'output' and there are 'outputs': one to judge, or some to compare?"
        )
    if not isinstance(values, list) or len(values) < 2:
        raise Unfit("'outputs' must be a list of two or more texts to compare")
    if any(value is None for value in values):
        raise Unfit("one of the 'outputs' is null")
    texts = [_text(f"output {number}", value) for number, value in enumerate(values, start=1)]
    return [
        Field(name=f"output {number}", text=text, role="judged")
        for number, text in enumerate(texts, start=1)
    ]


# Looking up and writing out


def _look_up(row: Mapping[str, Any], source: str) -> tuple[Any, Callable[[], str] | None]:
    """The value a path leads to; or None, and what says what is missing on the way.

    Most columns may be missing, so the sentence is only made when it is needed.
    """
    if source in row:
        return row[source], None
    place, walked = 0, ""
    value: Any = row
    while place < len(source):
        step = _STEP.match(source, place)
        if step is None:
            return None, partial(no_column, source, row)
        name, index = step[1], step[2]
        if isinstance(value, Unreadable):
            return None, f"{walked!r} {value.why}".__str__
        if name is not None:
            if not isinstance(value, Mapping):
                return None, f"{walked!r} holds no named values, so no {source!r}".__str__
            if name not in value:
                return None, partial(no_column, name, value, inside=walked)
            value = value[name]
        else:
            if not isinstance(value, list) or not -len(value) <= int(index) < len(value):
                size = f"{len(value)} values" if isinstance(value, list) else "no list"
                return None, f"{walked!r} holds {size}, so there is no {source!r}".__str__
            value = value[int(index)]
        place = step.end()
        walked = source[:place]
    return value, None


def value_at(data: Mapping[str, Any], path: str) -> Any:
    """What a column or path (`meta.subset`) holds; None where it leads nowhere."""
    return _look_up(data, path)[0]


def no_column(name: str, row: Mapping[str, Any], *, inside: str = "") -> str:
    """That a column is not there, which are, and which may be meant."""
    names = [printable(str(key)) for key in row]
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return (
        f"no column {name!r}"
        + (f" in {inside!r}" if inside else "")
        + f"; there are {listed or 'none'}"
        + (f"; did you mean {near[0]!r}?" if near else "")
    )


def start_of(path: str) -> str:
    """The column in which a path begins: `meta` of `meta.subset`, `docs` of `docs[0]`."""
    step = _STEP.match(path)
    return step[1] if step is not None and step[1] is not None else path


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name == "context" and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return "\n\n".join(value)
    if is_talk(value):
        return written(talk_of(value, name))
    try:
        return text_of(value)
    except Unfit as exc:
        raise Unfit(f"{name!r} {exc}") from None
