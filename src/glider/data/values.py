"""What one cell of a user's file holds, and how it is written where it is used.

Readers give JSON's types and `Decimal`. A missing value is None, and so is NaN. What cannot be had
(bytes of another encoding, a binary that is no text, one of two columns of one name) is an
`Unreadable`: the row fails only where it is asked for.
"""

import json
import math
import re
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")
_FIRST_BYTE, _LAST_BYTE = "\udc80", "\udcff"  # what surrogateescape makes of an undecodable byte

SAY_ENCODING = "save the file as UTF-8 or name its encoding, such as --encoding cp1252"


class Unfit(ValueError):
    """The row is no sample, or a value cannot be what it is asked to be; says why."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands where a value should be that cannot be had."""

    why: str
    """Follows the name of the column: "holds ...", "stands ..."."""


NOT_READ = Unreadable("was not read")
"""In a column that nobody asked for."""


def text_of(value: Any) -> str:
    """A value as the text that a judge reads: text as it is, the rest as compact JSON.

    Raises:
        Unfit: it is, or holds, something `Unreadable`, or is nested too deeply.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, date | time | Decimal):
        return str(value)
    try:
        return json.dumps(_plain(value, strict=True), ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise Unfit("is nested too deeply") from None


def number_of(value: Any) -> float | None:
    """A label as a number; None where there is none (null, blank, NaN).

    Raises:
        Unfit: it is something else, or infinite.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str | int | float | Decimal):
        raise Unfit("is no number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise Unfit("is no number") from None
    if math.isinf(number):
        raise Unfit("is no finite number")
    return None if math.isnan(number) else number


def stored(value: Any) -> Any:
    """A value as JSON holds it, for what is kept beside a sample; never fails."""
    try:
        return _plain(value, strict=False)
    except RecursionError:
        return "(nested too deeply)"


def _plain(value: Any, *, strict: bool) -> Any:
    match value:
        case str() | bool() | int() | None:
            return value
        case float():
            return None if math.isnan(value) else str(value) if math.isinf(value) else value
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {str(key): _plain(own, strict=strict) for key, own in value.items()}
        case list() | tuple():
            return [_plain(own, strict=strict) for own in value]
        case date() | time():
            return str(value)
        case Unreadable():
            if strict:
                raise Unfit(value.why)
            return f"({value.why})"
    if strict:
        raise Unfit(f"holds a value of type {type(value).__name__}")
    return str(value)


def decoded(value: Any, encoding: str) -> Any:
    """The value with an `Unreadable` in place of each text that is not all characters."""
    match value:
        case str():
            match = None if value.isascii() else _HALF.search(value)
            if match is None:
                return value
            return Unreadable(f"{undecoded(value, match.start(), encoding)}; {SAY_ENCODING}")
        case dict():
            return {printable(key): decoded(own, encoding) for key, own in value.items()}
        case list():
            return [decoded(own, encoding) for own in value]
    return value


def undecoded(text: str, place: int, encoding: str) -> str:
    """What is wrong at `place`: a byte that did not decode, or half a character."""
    if _FIRST_BYTE <= text[place] <= _LAST_BYTE:
        what = f"byte 0x{ord(text[place]) - 0xDC00:02x} at character {place + 1}"
        return f"holds {what}, which is not {encoding}, near {excerpt(text, place)}"
    return f"holds {text[place]!r} at character {place + 1}, which is half a character"


def printable(name: str) -> str:
    """A column's name as any terminal shows it."""
    return name.encode("utf-8", "backslashreplace").decode()


def excerpt(text: str, position: int = 0) -> str:
    """At most 60 characters around a position, printable in any terminal."""
    start = max(0, position - 20)
    # A byte that did not decode is told as the byte it is, not as what stands for it here.
    shown = repr(text[start : start + 40].strip()).replace("\\udc", "\\x")
    return shown if len(shown) <= 60 else shown[:56] + "..." + shown[-1]
