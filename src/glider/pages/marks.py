"""A text with its highlights marked, as HTML; the same marks as `report.js` draws in a run's page.

Offsets are code points, as everywhere. Where highlights overlap the text is cut at every border,
so no mark is nested in another.
"""

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from glider.core.judgments import Highlight, Span


def marked(text: str, field: str, highlights: Sequence[Highlight]) -> Markup:
    """The text of `field`, escaped, with every highlight that lies in it, numbered from 1."""
    found = [
        (n, highlight.match, span)
        for n, highlight in enumerate(highlights, start=1)
        for span in highlight.spans
        if span.field == field and span.start < span.end <= len(text)
    ]
    borders = {0, len(text), *(b for _, _, span in found for b in (span.start, span.end))}
    pieces = Markup()
    for start, end in pairwise(sorted(borders)):
        here = [(n, match, span) for n, match, span in found if _covers(span, start, end)]
        if not here:
            pieces += escape(text[start:end])
            continue
        kinds = ["folded"] if all(match == "folded" for _, match, _ in here) else []
        kinds += ["many"] if len(here) > 1 else []
        begins = [str(n) for n, _, span in here if span.start == start]
        pieces += Markup("<mark{}{}>{}</mark>").format(
            Markup(' class="{}"').format(" ".join(kinds)) if kinds else "",
            Markup(' data-n="{}"').format(" ".join(begins)) if begins else "",
            text[start:end],
        )
    return pieces


def excerpt(text: str, field: str, highlights: Sequence[Highlight], most: int) -> Markup:
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
    return Markup('{}<span class="cutline">{:,} more characters are not shown.</span>').format(
        marked(text[:most], field, kept), len(text) - most
    )


def _covers(span: Span, start: int, end: int) -> bool:
    return span.start <= start and end <= span.end
