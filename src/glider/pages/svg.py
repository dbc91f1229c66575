"""Charts as inline SVG from plain numbers: nothing is computed here that a reader would quote.

Every function is pure and gives HTML that needs `style.css`, no script and no
request. Colours are the page's own variables, so light, dark and print follow. An interval and a
forest plot stretch with the page by percentages, so their words keep their size on a phone; the
square charts are drawn on a field 320 units wide, about one unit to a pixel there.

Labels may be other people's text; they are escaped here. Numbers must be finite.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Literal

from markupsafe import Markup

from glider.pages.words import number, short

Scale = tuple[float, float]
Kind = Literal["judge", "baseline", "people"]

MOST_POINTS = 2000
"""Dots of a scatter: more would hide each other and weigh the page down."""

_GROUPS = {"judge": "Judges", "baseline": "Baselines", "people": "People"}
_WIDTH, _LEFT, _RIGHT, _TOP = 320.0, 54.0, 10.0, 10.0
_SIDE = _WIDTH - _LEFT - _RIGHT
_LETTER = 6.5
"""About as wide as a letter of a soft label is, on the square field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One line of a forest plot."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    kind: Kind = "judge"
    note: str = ""
    """Said where there is no value: why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Items whose predictions lie close together."""

    predicted: float
    """Mean of the predictions."""
    observed: float
    """Mean of what was observed."""
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is left if the judge may leave out what it doubts most."""

    coverage: float
    """Share kept, 0..1."""
    risk: float
    """Mean loss among the kept."""
    low: float | None = None
    high: float | None = None


# Intervals --------------------------------------------------------------------------------------


def interval(
    value: float,
    low: float | None,
    high: float | None,
    scale: Scale,
    *,
    label: str,
    reference: float | None = None,
    kind: Kind = "judge",
) -> Markup:
    """A point with its interval on a line, as wide as its container and 24 pixels high.

    Args:
        low: end of the interval; None where only the point is known.
        label: the same in words, for those who do not see it.
        reference: a value to compare with, as an upright line.
    """
    parts = [f'<svg class="interval {kind}" role="img"><title>{escape(label)}</title>']
    parts.append('<line class="rail" x1="0" x2="100%" y1="12" y2="12"/>')
    if reference is not None:
        at = _percent(reference, scale)
        parts.append(f'<line class="reference" x1="{at}" x2="{at}" y1="0" y2="24"/>')
    if low is not None and high is not None:
        left, right = _percent(low, scale), _percent(high, scale)
        parts.append(f'<line class="reach" x1="{left}" x2="{right}" y1="12" y2="12"/>')
        parts += [f'<line class="end" x1="{x}" x2="{x}" y1="8" y2="16"/>' for x in (left, right)]
    parts.append(f'<circle class="point" cx="{_percent(value, scale)}" cy="12" r="4.5"/></svg>')
    return Markup("".join(parts))


def forest(
    rows: Sequence[ForestRow],
    *,
    title: str,
    scale: Scale | None = None,
    reference: float | None = None,
    reference_label: str = "",
    first: str = "System",
    headings: bool = True,
) -> Markup:
    """Figures of one metric under each other on one scale: a table that reads well aloud.

    Args:
        rows: in the order to show.
        scale: ends of the axis; by default so wide that every interval fits.
        reference: a value to compare with, as an upright line through all rows.
        first: heading of the labels.
        headings: say above each kind what it is, where there are several.
    """
    known = [v for r in rows for v in (r.value, r.low, r.high) if v is not None]
    if reference is not None:
        known.append(reference)
    ticks = _ticks(min(known), max(known)) if known and scale is None else _ticks(*scale or (0, 1))
    axis = scale or (min(ticks[0], *known), max(ticks[-1], *known)) if known else (0.0, 1.0)
    several = headings and len({row.kind for row in rows}) > 1
    bodies = []
    for kind, group in groupby(rows, key=lambda row: row.kind):
        head = f'<tr class="kind"><th scope="rowgroup" colspan="4">{_GROUPS[kind]}</th></tr>'
        lines = "".join(_forest_row(row, axis, reference) for row in group)
        bodies.append(f"<tbody>{head if several else ''}{lines}</tbody>")
    marks = "".join(
        f'<text x="{_percent(tick, axis)}" y="14">{short(tick)}</text>' for tick in ticks
    )
    note = f"{escape(reference_label)} at {short(reference)}" if reference is not None else ""
    return Markup(
        f'<div class="forest-room"><table class="forest"><caption>{escape(title)}</caption>'
        "<thead><tr>"
        f'<th scope="col">{escape(first)}</th>'
        '<th scope="col"><span class="unseen-label">Drawn</span></th>'
        '<th scope="col">Figure <small>95&nbsp;% interval</small></th><th scope="col">n</th></tr>'
        f'</thead>{"".join(bodies)}<tfoot><tr><td>{note}</td><td><svg class="axis-marks" '
        f'aria-hidden="true">{marks}</svg></td><td></td><td></td></tr></tfoot></table></div>'
    )


def _forest_row(row: ForestRow, axis: Scale, reference: float | None) -> str:
    name = f'<th scope="row" dir="auto">{escape(row.label)}</th>'
    if row.value is None:
        return (
            f'<tr class="{row.kind}">{name}<td class="why-not" colspan="2">{escape(row.note)}</td>'
            f"<td>{row.n:,}</td></tr>"
        )
    said = number(row.value)
    reach = ""
    if row.low is not None and row.high is not None:
        reach = f"{number(row.low)} to {number(row.high)}"
    label = f"{row.label}: {said}" + (f", 95 % interval {reach}" if reach else "")
    drawn = interval(
        row.value, row.low, row.high, axis, label=label, reference=reference, kind=row.kind
    )
    return (
        f'<tr class="{row.kind}">{name}<td class="drawn">{drawn}</td>'
        f'<td class="figure"><b>{said}</b> <small>{reach}</small></td><td>{row.n:,}</td></tr>'
    )


# Squares ----------------------------------------------------------------------------------------


def confusion(counts: Sequence[Sequence[int]], labels: Sequence[str], *, title: str) -> Markup:
    """How often the judge (across) gave each level where people (down, lowest last) gave another.

    Cells are shaded by their share of the row: the full rows of rare levels stay readable.

    Args:
        counts: `counts[gold][judge]`, both in the order of `labels`, lowest first.
    """
    # Words on the left push the field to the right, as far as it goes.
    left = min(max(_LEFT, 30 + _LETTER * max(map(len, labels), default=0)), 100.0)
    field = _WIDTH - left - _RIGHT
    side = field / max(len(labels), 1)
    height = _TOP + field + 40
    parts = [_open(title, height)]
    for row, given in enumerate(counts):
        y = _TOP + (len(labels) - 1 - row) * side
        total = sum(given)
        for column, n in enumerate(given):
            x = left + column * side
            share = n / total if total else 0.0
            same = " same" if row == column else ""
            said = f"people {labels[row]}, judge {labels[column]}: {n:,} of {total:,}"
            parts.append(
                f'<g><title>{escape(said)}</title><rect class="empty{same}" x="{x + 1:.1f}" '
                f'y="{y + 1:.1f}" width="{side - 2:.1f}" height="{side - 2:.1f}" rx="2"/>'
                f'<rect class="heat" x="{x + 1:.1f}" y="{y + 1:.1f}" width="{side - 2:.1f}" '
                f'height="{side - 2:.1f}" rx="2" fill-opacity="{0.6 * share:.2f}"/>'
            )
            if n:
                parts.append(
                    f'<text class="mid" x="{x + side / 2:.1f}" y="{y + side / 2 + 4:.1f}">{n:,}'
                    "</text>"
                )
            parts.append("</g>")
    for place, label in enumerate(labels):
        x = left + (place + 0.5) * side
        y = _TOP + field - (place + 0.5) * side + 4
        below, beside = _cut_to(label, side), _cut_to(label, left - 30)
        parts.append(
            f'<text class="mid soft" x="{x:.1f}" y="{_TOP + field + 16:.1f}">{below}</text>'
        )
        parts.append(f'<text class="end soft" x="{left - 6:.1f}" y="{y:.1f}">{beside}</text>')
    parts += _names("judge", "people", height, left)
    return Markup("".join((*parts, "</svg>")))


def reliability(
    bins: Sequence[Bin],
    *,
    title: str,
    scale: Scale = (0.0, 1.0),
    across: str = "judge's probability",
    up: str = "share that was right",
) -> Markup:
    """Predicted against observed, with intervals; on the diagonal both agree.

    The bars below show how many items stand behind each point.
    """
    height = _TOP + _SIDE + 88
    place = _Frame(scale, scale)
    parts = [_open(title, height), *place.grid(down=36)]
    parts.append(
        f'<line class="reference" x1="{place.x(scale[0])}" y1="{place.y(scale[0])}" '
        f'x2="{place.x(scale[1])}" y2="{place.y(scale[1])}"/>'
    )
    most = max((b.n for b in bins), default=1)
    base = _TOP + _SIDE + 36
    for each in bins:
        x = place.x(each.predicted)
        said = (
            f"predicted {number(each.predicted)}, observed {number(each.observed)} "
            f"({number(each.low)} to {number(each.high)}), n = {each.n:,}"
        )
        tall = max(30 * each.n / most, 1)
        parts.append(
            f'<g><title>{escape(said)}</title><line class="reach" x1="{x}" x2="{x}" '
            f'y1="{place.y(each.low)}" y2="{place.y(each.high)}"/>'
            f'<circle class="point" cx="{x}" cy="{place.y(each.observed)}" r="4.5"/>'
            f'<rect class="bar" x="{x - 5:.1f}" y="{base - tall:.1f}" width="10" '
            f'height="{tall:.1f}"/></g>'
        )
    parts.append(
        f'<line class="axis-line" x1="{_LEFT}" x2="{_LEFT + _SIDE}" y1="{base}" y2="{base}"/>'
    )
    parts.append(f'<text class="end soft" x="{_LEFT - 6}" y="{base - 10}">items</text>')
    parts += _names(across, up, height)
    return Markup("".join((*parts, "</svg>")))


def risk_coverage(
    curve: Sequence[Kept],
    *,
    title: str,
    up: str = "share wrong among the kept",
    bound: float | None = None,
    chosen: Kept | None = None,
) -> Markup:
    """Loss among the kept items against the share kept; falling to the left is what one hopes for.

    Args:
        curve: by rising coverage; intervals, where given, are drawn as a band.
        bound: the highest loss that is allowed, as a line.
        chosen: the point where the threshold stands.
    """
    tops = [value for k in curve for value in (k.risk, k.high) if value is not None]
    tops += [value for value in (bound, chosen.risk if chosen else None) if value is not None]
    ticks = _ticks(0.0, max(tops, default=1.0) or 1.0)
    height = _TOP + _SIDE + 46
    place = _Frame((0.0, 1.0), (0.0, max(ticks[-1], *tops) if tops else 1.0))
    parts = [_open(title, height), *place.grid()]
    banded = [
        (k.coverage, k.low, k.high) for k in curve if k.low is not None and k.high is not None
    ]
    if banded:
        there = [f"{place.x(c)},{place.y(high)}" for c, _, high in banded]
        back = [f"{place.x(c)},{place.y(low)}" for c, low, _ in reversed(banded)]
        parts.append(f'<polygon class="band" points="{" ".join(there + back)}"/>')
    line = " ".join(f"{place.x(k.coverage)},{place.y(k.risk)}" for k in curve)
    parts.append(f'<polyline class="curve" points="{line}"/>')
    if bound is not None:
        y = place.y(bound)
        parts.append(
            f'<line class="reference" x1="{_LEFT}" x2="{_LEFT + _SIDE}" y1="{y}" y2="{y}"/>'
            f'<text class="soft" x="{_LEFT + 4}" y="{y - 5:.1f}">allowed: {number(bound)}</text>'
        )
    if chosen is not None:
        said = f"kept {chosen.coverage:.0%}, loss {number(chosen.risk)}"
        parts.append(
            f'<g><title>{said}</title><circle class="point" cx="{place.x(chosen.coverage)}" '
            f'cy="{place.y(chosen.risk)}" r="5"/></g>'
        )
    parts += _names("share kept", up, height)
    return Markup("".join((*parts, "</svg>")))


def scatter(
    gold: Sequence[float],
    score: Sequence[float],
    *,
    title: str,
    scale: Scale,
    seed: int = 0,
    most: int = MOST_POINTS,
) -> Markup:
    """Human label across, judge's score up, one dot an item, jittered so that all show.

    Beyond `most` items a random sample of them is drawn; `scatter_note` says so. The jitter is at
    most 1.5 % of the scale and the same for the same seed.
    """
    rng = random.Random(seed)
    shown: Iterable[int] = range(len(gold))
    if len(gold) > most:
        shown = rng.sample(range(len(gold)), most)
    height = _TOP + _SIDE + 46
    place = _Frame(scale, scale, margin=0.03)
    parts = [_open(title, height), *place.grid()]
    parts.append(
        f'<line class="reference" x1="{place.x(scale[0])}" y1="{place.y(scale[0])}" '
        f'x2="{place.x(scale[1])}" y2="{place.y(scale[1])}"/>'
    )
    dots = []
    for n in shown:
        # A dot is a line of no length with round ends: a tenth of the bytes of a circle.
        dots.append(
            f"M{place.x(gold[n]) + rng.uniform(-1, 1) * 0.015 * _SIDE:.1f} "
            f"{place.y(score[n]) + rng.uniform(-1, 1) * 0.015 * _SIDE:.1f}h0"
        )
    crowd = min(1.0, max(0.25, 12 / math.sqrt(max(len(dots), 1))))
    parts.append(f'<path class="dots" stroke-opacity="{crowd:.2f}" d="{"".join(dots)}"/>')
    parts += _names("people", "judge", height)
    return Markup("".join((*parts, "</svg>")))


def scatter_note(n: int, most: int = MOST_POINTS) -> str:
    """How much of `n` items a scatter shows."""
    said = f"{n:,} items" if n <= most else f"{most:,} of {n:,} items, drawn at random"
    return f"{said}, jittered so that equal ones show."


# Parts ------------------------------------------------------------------------------------------


class _Frame:
    """Where values stand in the square field."""

    def __init__(self, across: Scale, up: Scale, margin: float = 0.0) -> None:
        self.across, self.up, self.margin = across, up, margin

    def x(self, value: float) -> float:
        return round(_LEFT + _SIDE * self._share(value, self.across), 1)

    def y(self, value: float) -> float:
        return round(_TOP + _SIDE * (1 - self._share(value, self.up)), 1)

    def _share(self, value: float, scale: Scale) -> float:
        low, high = scale
        share = (min(max(value, low), high) - low) / (high - low)
        return self.margin + share * (1 - 2 * self.margin)

    def grid(self, down: float = 0.0) -> Iterable[str]:
        """Lines and numbers of both axes; those across stand `down` units lower."""
        bottom = _TOP + _SIDE
        for tick in _ticks(*self.across):
            if self.across[0] <= tick <= self.across[1]:
                x = self.x(tick)
                yield f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP}" y2="{bottom}"/>'
                at = bottom + down + 16
                yield f'<text class="mid soft" x="{x}" y="{at}">{short(tick)}</text>'
        for tick in _ticks(*self.up):
            if self.up[0] <= tick <= self.up[1]:
                y = self.y(tick)
                yield f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _SIDE}" y1="{y}" y2="{y}"/>'
                at = y + 4
                yield f'<text class="end soft" x="{_LEFT - 6}" y="{at:.1f}">{short(tick)}</text>'


def _open(title: str, height: float) -> str:
    return (
        f'<svg class="square" role="img" viewBox="0 0 {_WIDTH:g} {height:g}">'
        f"<title>{escape(title)}</title>"
    )


def _names(across: str, up: str, height: float, left: float = _LEFT) -> Iterable[str]:
    field = _WIDTH - left - _RIGHT
    x, y = left + field / 2, _TOP + field / 2
    yield f'<text class="mid" x="{x:.1f}" y="{height - 8:.1f}">{escape(across)}</text>'
    yield f'<text class="mid" transform="translate(11 {y:.1f}) rotate(-90)">{escape(up)}</text>'


def _cut_to(label: str, width: float) -> str:
    """As much of a label as finds room, escaped."""
    most = max(int(width / _LETTER), 2)
    return escape(label if len(label) <= most else label[: most - 1] + "…")


def _percent(value: float, scale: Scale) -> str:
    low, high = scale
    share = (min(max(value, low), high) - low) / (high - low)
    return f"{100 * share:.2f}%"


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers from at or below `low` to at or above `high`."""
    if not high > low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, last + 1)]
