"""How numbers, dates and short texts are written on every page."""

import hashlib
import math
import re
from datetime import datetime

from markupsafe import Markup, escape

_BRIEF = 180
"""Code points of a text that is shown in one line."""
_CODE = re.compile(r"`([^`]+)`")
_BRACED = re.compile(r"\{(\w+)\}")
MINUS = "\N{MINUS SIGN}"


def number(value: float) -> str:
    """Two decimals below 20, one up to 1,000, none beyond; a true minus; never -0."""
    digits = 2 if abs(value) < 20 else 1 if abs(value) < 1000 else 0
    text = f"{value:,.{digits}f}"
    if not text.strip("-0.,"):
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def signed(value: float) -> str:
    """A difference: always with its sign."""
    return ("+" if value > 0 else "") + number(value)


def short(value: float) -> str:
    """A round number of a scale, as it is."""
    return f"{value:,.10g}".replace("-", MINUS)


def count(value: int) -> str:
    """A count, its thousands parted by commas."""
    return f"{value:,}"


def percent(share: float) -> str:
    """A share as a whole percentage."""
    return f"{100 * share:.0f}\N{NBSP}%"


def coverage(judged: int, asked: int) -> str:
    """Judged over asked, rounded down: 100 % is said only when nothing failed."""
    return f"{math.floor(1000 * judged / asked) / 10:.1f}\N{NBSP}%" if asked else "unknown"


def share_of(part: int, total: int) -> str:
    """A whole percentage; never 0 for something, nor 100 for less than all."""
    if not total:
        return "\N{EN DASH}"
    share = 100 * part / total
    if 0 < share < 1:
        return "<1\N{NBSP}%"
    if 99 < share < 100:
        return ">99\N{NBSP}%"
    return f"{share:.0f}\N{NBSP}%"


def p_value(p: float | None) -> str:
    """A p-value with three decimals."""
    if p is None:
        return "none"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def date(stamp: str, *, time: bool = False) -> str:
    """An ISO time as people write it; as it is where it is none."""
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    day = f"{when.day} {when:%B %Y}"
    return f"{day}, {when:%H:%M} {when.tzname() or ''}".strip() if time else day


def slug(name: str) -> str:
    """A fragment for any name, and a valid one."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:10]


def brief(text: str, most: int = _BRIEF) -> str:
    """The beginning of a text, in one line."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def sentence(text: str) -> str:
    """A clause as a sentence of its own."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def coded(text: str) -> Markup:
    """Plain text whose `backticked` parts are code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def braced(question: str) -> Markup:
    """A question whose {fields} are set off."""
    return Markup(_BRACED.sub(r"<b>\1</b>", str(escape(question.strip()))))
