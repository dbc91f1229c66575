"""Parquet files and Arrow streams, batch by batch: only the columns asked for, in JSON's types.

Arrow has types that Python cannot hold (a date of the year 10000, a timestamp of nanoseconds) or
JSON does not have. They become text where they are times, numbers where they are decimals; bytes
are text if they are UTF-8. Nothing here needs more than pyarrow.
"""

import math
import re
from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from importlib import import_module
from typing import Any

from glider.core.errors import BadRecord, DataError, MissingExtra
from glider.data.source import Part
from glider.data.values import NOT_READ, Unreadable

_BATCH = 256  # rows turned into Python objects at a time
_NO_FRACTION = re.compile(r"\.0+(?!\d)")
_UNITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}

_Records = Iterator[tuple[int, dict[str, Any] | BadRecord]]


def parquet(part: Part, only: Collection[str] | None) -> _Records:
    """Number and content of each row of a Parquet file; see `readers.records`."""
    pa = _pyarrow("pyarrow", "reading Parquet")
    module = _pyarrow("pyarrow.parquet", "reading Parquet")
    try:
        # Buffered, else a column of a row group is fetched whole.
        file = module.ParquetFile(part.path, buffer_size=1 << 20, pre_buffer=False)
    except (pa.ArrowException, OSError) as exc:
        raise DataError(f"is not readable as Parquet: {_first(exc)}", path=part.label) from exc
    with file:
        names = file.schema_arrow.names
        asked = [name for name in names if only is None or name in only]
        # One group at a time and no threads: a million rows in 100 groups then peak at 95 MB, ten
        # thousand at 87; asked for in one go the million peak at 152 MB (pyarrow 26).
        batches = (
            batch
            for group in range(file.num_row_groups)
            for batch in file.iter_batches(
                _BATCH, row_groups=[group], columns=asked, use_threads=False
            )
        )
        yield from _numbered(batches, names, pa)


def arrow(part: Part, only: Collection[str] | None) -> _Records:
    """Number and content of each row of an Arrow stream; see `readers.records`."""
    pa = _pyarrow("pyarrow", "reading a saved data set")
    try:
        source = pa.OSFile(part.label)
    except OSError as exc:
        raise DataError(f"cannot be read: {exc.strerror}", path=part.label) from exc
    with source:
        try:
            stream = pa.ipc.open_stream(source)
        except pa.ArrowException as exc:
            raise DataError(f"is no Arrow stream: {_first(exc)}", path=part.label) from exc
        names = stream.schema.names
        places = [n for n, name in enumerate(names) if only is None or name in only]
        slices = (
            batch.select(places).slice(start, _BATCH)
            for batch in stream
            for start in range(0, batch.num_rows, _BATCH)
        )
        yield from _numbered(slices, names, pa)


def _pyarrow(module: str, feature: str) -> Any:
    try:
        return import_module(module)
    except ImportError as exc:
        raise MissingExtra(feature, "data") from exc


def _numbered(batches: Iterable[Any], names: list[str], pa: Any) -> _Records:
    unread: dict[str, Any] = dict.fromkeys(names, NOT_READ)
    twice = {
        name: Unreadable("stands twice among the columns")
        for name in names
        if names.count(name) > 1
    }
    row = 0
    try:
        for batch in batches:
            columns = {
                name: _values(batch.column(place), pa)
                for place, name in enumerate(batch.schema.names)
            }
            for place in range(batch.num_rows):
                row += 1
                own = {name: values[place] for name, values in columns.items()}
                yield row, {name: own.get(name, value) for name, value in unread.items()} | twice
    except pa.ArrowException as exc:
        raise EOFError(_first(exc)) from exc


def _first(exc: Exception) -> str:
    return str(exc).partition("\n")[0]


# From Arrow's types to JSON's


def _values(array: Any, pa: Any) -> list[Any]:
    """Every value of an array, None where it is null."""
    types, kind = pa.types, array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _values(array.storage, pa) if kind.extension_name != "arrow.uuid" else _each(array)
    if types.is_dictionary(kind):
        return _values(array.dictionary_decode(), pa)
    if types.is_floating(kind):
        return [None if v is None or math.isnan(v) else float(v) for v in array.to_pylist()]
    if types.is_timestamp(kind):
        return _times(array, pa)
    if types.is_duration(kind):
        numbers = array.cast(pa.int64()).to_pylist()
        return [None if v is None else _seconds(v, kind.unit) for v in numbers]
    if types.is_date(kind) or types.is_time(kind):
        return _written(array, pa)
    if types.is_struct(kind):
        return _structs(array, pa)
    if types.is_map(kind):
        return _maps(array, pa)
    if _is_list(kind, types):
        return _lists(array, pa)
    return _each(array)


def _each(array: Any) -> list[Any]:
    """Value by value, for types that Python has."""
    try:
        values = array.to_pylist()
    except (ValueError, OverflowError, ImportError, NotImplementedError):
        values = [_or_unreadable(one) for one in array]
    return [_known(value) for value in values]


def _or_unreadable(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as exc:
        return _no_text(exc.object)
    except (ValueError, OverflowError, ImportError, NotImplementedError):
        return Unreadable(f"holds a value of type {scalar.type}")


def _known(value: Any) -> Any:
    match value:
        case None | str() | bool() | int() | Decimal() | Unreadable():
            return value
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return _no_text(value)
        case (int(months), int(days), int(nanoseconds)):  # an interval
            return f"{months} months {days} days {_seconds(nanoseconds, 'ns')}"
        case float():
            return None if math.isnan(value) else value
    return str(value)


def _no_text(value: bytes) -> Unreadable:
    return Unreadable(f"holds {len(value)} bytes that are no UTF-8 text")


def _written(array: Any, pa: Any) -> list[Any]:
    """Times as Arrow writes them; Python's have no year 10000 and no nanoseconds."""
    return [
        Unreadable("holds a time that is out of range")
        if text is not None and text.startswith("<")
        else text and _NO_FRACTION.sub("", text)
        for text in array.cast(pa.string()).to_pylist()
    ]


def _times(array: Any, pa: Any) -> list[Any]:
    try:
        return _written(array, pa)
    except pa.ArrowInvalid:  # a time zone that this machine does not know
        utc = _written(array.cast(pa.timestamp(array.type.unit)), pa)
        return [f"{text}Z" if isinstance(text, str) else text for text in utc]


def _seconds(number: int, unit: str) -> str:
    digits = _UNITS[unit]
    return f"{Decimal(number).scaleb(-digits).normalize():f} s"


def _structs(array: Any, pa: Any) -> list[Any]:
    names = [array.type.field(n).name for n in range(array.type.num_fields)]
    parts = [_values(part, pa) for part in array.flatten()]
    return [
        {name: part[place] for name, part in zip(names, parts, strict=True)} if there else None
        for place, there in enumerate(array.is_valid().to_pylist())
    ]


def _is_list(kind: Any, types: Any) -> bool:
    checks = ("list", "large_list", "fixed_size_list", "list_view", "large_list_view")
    return any(getattr(types, f"is_{name}", bool)(kind) for name in checks)


def _lists(array: Any, pa: Any) -> list[Any]:
    lengths = import_module("pyarrow.compute").list_value_length(array).to_pylist()
    return _cut(_values(array.flatten(), pa), lengths)


def _cut(values: list[Any], lengths: list[int | None]) -> list[Any]:
    found: list[Any] = []
    start = 0
    for length in lengths:
        found.append(None if length is None else values[start : start + length])
        start += length or 0
    return found


def _maps(array: Any, pa: Any) -> list[Any]:
    """An object where the keys are texts that differ, else a list of [key, value]."""
    offsets = array.offsets.to_pylist()
    first, last = offsets[0], offsets[-1]
    keys = _values(array.keys.slice(first, last - first), pa)
    items = _values(array.items.slice(first, last - first), pa)
    found: list[Any] = []
    for place, there in enumerate(array.is_valid().to_pylist()):
        span = slice(offsets[place] - first, offsets[place + 1] - first)
        pairs = list(zip(keys[span], items[span], strict=True))
        texts = {key for key, _ in pairs if isinstance(key, str)}
        named = len(texts) == len(pairs)
        found.append((dict(pairs) if named else [list(p) for p in pairs]) if there else None)
    return found
