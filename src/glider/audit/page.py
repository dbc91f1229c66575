"""Write an audit as one HTML page: a headline, then every probe's figures, as charts and text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from glider.audit.probe import Unit
from glider.audit.results import (
    VERDICTS,
    Audit,
    ProbeFinding,
    ProbeReport,
    Verdict,
    headline,
    remedy,
    span,
    spoken,
)
from glider.pages import svg
from glider.pages.page import render
from glider.pages.words import count, coverage, date
from glider.report.failures import failure_title

_KINDS: Mapping[Verdict, str] = {"fail": "bad", "unsure": "warn", "pass": "good"}
"""CSS class of each verdict's pill."""
_NARROWEST = 0.25
"""Minimum half-width of the axis of shifts."""


@dataclass(frozen=True, slots=True)
class _Lane:
    """One number on its axis."""

    drawing: Markup
    allowed: tuple[str, str] | None
    """Left edge and width of the allowed range, in per cent of the axis."""
    ends: tuple[str, str] | None
    """Labels of the axis ends, shown once for each unit of a probe."""


def page(audit: Audit) -> str:
    """The whole page."""
    return render(
        "audit/page.html",
        title="Audit of a judge",
        facts=_facts(audit),
        audit=audit,
        headline=headline(audit),
        lost=list(_lost(audit)),
        lanes={key: lane for probe in audit.probes for key, lane in _lanes(probe)},
        kinds=_KINDS,
        verdicts=VERDICTS,
        remedy=remedy,
        span=span,
        spoken=spoken,
    )


def _facts(audit: Audit) -> dict[str, str]:
    return {
        "Judge": audit.judge,
        "Data": audit.data,
        "Criteria": ", ".join(audit.criteria),
        "Samples": count(audit.samples),
        "Judgments": count(audit.asked),
        "Coverage": coverage(audit.judged, audit.asked),
        "Date": date(audit.made_at),
    }


def _lost(audit: Audit) -> Iterator[str]:
    """Yield what could not be judged or read, which no number may hide."""
    if audit.failures:
        reasons = "; ".join(f"{failure_title(key)} ({n:,})" for key, n in audit.failures.items())
        lost = audit.asked - audit.judged
        yield f"{lost:,} of {audit.asked:,} judgments failed: {reasons}."
    yield from audit.notes


def _lanes(probe: ProbeReport) -> Iterator[tuple[str, _Lane]]:
    known = [finding for finding in probe.findings if finding.value is not None]
    drawn: set[Unit] = set()
    for finding in known:
        yield finding.key, _lane(finding, known, ends=finding.unit not in drawn)
        drawn.add(finding.unit)


def _lane(found: ProbeFinding, known: Sequence[ProbeFinding], *, ends: bool) -> _Lane:
    low, high = _axis(found.unit, known)
    allowed = None
    if found.bound is not None:
        start = low if found.side == "above" else max(found.neutral - found.bound, low)
        stop = min(found.neutral + found.bound, high)
        left, width = 100 * (start - low) / (high - low), 100 * (stop - start) / (high - low)
        allowed = f"{left:.2f}", f"{width:.2f}"
    assert found.value is not None
    label = f"{found.title}: {spoken(found.value, found.unit)}, 95 % interval {span(found)}"
    drawing = svg.interval(
        found.value, found.low, found.high, (low, high), label=label, reference=found.neutral
    )
    words = (spoken(low, found.unit), spoken(high, found.unit)) if ends else None
    return _Lane(drawing, allowed, words)


def _axis(unit: Unit, known: Sequence[ProbeFinding]) -> tuple[float, float]:
    """Return one axis for all numbers of a unit in a probe."""
    if unit == "share":
        return 0.0, 1.0
    if unit == "correlation":
        return -1.0, 1.0
    ends = [abs(end) for f in known if f.unit == unit for end in (f.low, f.high) if end is not None]
    half = max(_NARROWEST, *ends)
    # Round to the next quarter, so that the axis has round ends.
    half = min(1.0, -(-half // 0.25) * 0.25)
    return -half, half
