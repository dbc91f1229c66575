"""A text with its highlights marked, as HTML; the same marks as `report.js` draws in a run's page.

Offsets are code points, as everywhere. Where highlights overlap the text is cut at every border,
so no mark is nested in another.
"""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from glider.core.judgments import Highlight, Span


def marked(text: str, field: str, highlights: Sequence[Highlight]) -> str:
    """The text of `field`, escaped, with every highlight that lies in it, numbered from 1."""
    found = [
        (n, highlight.match, span)
        for n, highlight in enumerate(highlights, start=1)
        for span in highlight.spans
        if span.field == field and span.start < span.end <= len(text)
    ]
    borders = {0, len(text), *(b for _, _, span in found for b in (span.start, span.end))}
    points = sorted(borders)
    pieces = []
    for start, end in pairwise(points):
        here = [(n, match, span) for n, match, span in found if _covers(span, start, end)]
        piece = escape(text[start:end])
        if here:
            folded = "folded" if all(match == "folded" for _, match, _ in here) else ""
            many = "many" if len(here) > 1 else ""
            kind = " ".join(filter(None, (folded, many)))
            begins = " ".join(str(n) for n, _, span in here if span.start == start)
            piece = (
                "<mark"
                + (f' class="{kind}"' if kind else "")
                + (f' data-n="{begins}"' if begins else "")
                + f">{piece}</mark>"
            )
        pieces.append(piece)
    return "".join(pieces)


def excerpt(text: str, field: str, highlights: Sequence[Highlight], most: int) -> str:
    """The beginning of a long text, marked; says how much is left out."""
    if len(text) <= most:
        return marked(text, field, highlights)
    kept = tuple(
        Highlight(
            phrase=highlight.phrase,
            match=highlight.match,
            spans=tuple(
                Span(field=span.field, start=span.start, end=min(span.end, most))
                for span in highlight.spans
                if span.start < most
            ),
        )
        for highlight in highlights
    )
    rest = len(text) - most
    return (
        marked(text[:most], field, kept)
        + f'<span class="cutline">{rest:,} more characters are not shown.</span>'
    )


def _covers(span: Span, start: int, end: int) -> bool:
    return span.start <= start and end <= span.end
