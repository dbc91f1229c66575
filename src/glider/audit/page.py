"""An audit as one HTML page: a headline, then every probe with its numbers drawn and in words."""

import re
from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.resources import files

from glider.audit.probe import Unit
from glider.audit.results import (
    VERDICTS,
    Audit,
    Finding,
    ProbeReport,
    Verdict,
    headline,
    remedy,
    span,
    spoken,
)
from glider.pages import svg
from glider.pages.shell import shell
from glider.report.figures_html import coverage, failure_title

_CLASS: dict[Verdict, str] = {"fail": "bad", "unsure": "warn", "pass": "good"}
_CODE = re.compile(r"`([^`]+)`")
_NARROWEST = 0.25
"""Half the width of the axis of shifts, at least."""


def page(audit: Audit) -> str:
    """The whole page."""
    body = (
        f'<section class="came-to"><p class="lead">{escape(headline(audit))}</p>'
        f"{_lost(audit)}"
        f'<nav class="tally" aria-label="Probes">{"".join(map(_link, audit.probes))}</nav>'
        "</section>"
        '<section aria-labelledby="h-probes"><h2 id="h-probes">Probes</h2>'
        '<p class="aside">Each probe asks the same thing twice, with one difference that should '
        "not matter. The point is what was measured, the line through it the 95&nbsp;% interval, "
        "the dashed line what a judge without this bias would show, and the shaded part "
        '<span class="key"></span> what is allowed. A number goes <em>too far</em> only if its '
        "whole interval lies outside. Shifts are in shares of the scale: on a scale of five "
        "levels, 0.25 is one level.</p>"
        '<table class="probes"><thead><tr><th scope="col" class="what">Measured</th>'
        '<th scope="col" class="drawn">Drawn</th><th scope="col" class="figure">Figure '
        '<small>95&nbsp;% interval</small></th><th scope="col" class="items">n</th>'
        '<th scope="col" class="verdict">Verdict</th></tr></thead>'
        f"{''.join(map(_probe, audit.probes))}</table></section>"
    )
    css = files("glider.audit").joinpath("page.css").read_text("utf-8")
    return shell("Audit of a judge", body, facts=_facts(audit), css=css, colophon=_settings(audit))


def _facts(audit: Audit) -> dict[str, str]:
    when = datetime.fromisoformat(audit.made_at)
    return {
        "Judge": audit.judge,
        "Data": audit.data,
        "Criteria": ", ".join(audit.criteria),
        "Samples": f"{audit.samples:,}",
        "Judgments": f"{audit.asked:,}",
        "Coverage": coverage(audit.judged, audit.asked),
        "Date": f"{when.day} {when:%B %Y}",
    }


def _settings(audit: Audit) -> str:
    said = ", ".join(f"{key} {value}" for key, value in audit.settings.items())
    return f'<p dir="auto">{escape(said)}</p>' if said else ""


def _lost(audit: Audit) -> str:
    """What could not be judged or read, which no number may hide."""
    said = []
    if audit.failures:
        reasons = "; ".join(
            f"{failure_title(key)} ({count:,})" for key, count in audit.failures.items()
        )
        said.append(
            f"{audit.asked - audit.judged:,} of {audit.asked:,} judgments failed: {reasons}."
        )
    said += audit.notes
    return f'<p class="notice">{escape(" ".join(said))}</p>' if said else ""


def _link(probe: ProbeReport) -> str:
    return f'<a href="#{escape(probe.name)}">{escape(probe.title)}{_pill(probe.verdict)}</a>'


def _pill(verdict: Verdict) -> str:
    return f'<span class="answer {_CLASS.get(verdict, "")}">{VERDICTS[verdict]}</span>'


def _probe(probe: ProbeReport) -> str:
    advice = ""
    if remedy(probe):
        advice = (
            '<tr class="advice"><td colspan="5"><p><b>What to do.</b> '
            f"{_html(remedy(probe))}</p></td></tr>"
        )
    known = [finding for finding in probe.findings if finding.value is not None]
    drawn_before: set[Unit] = set()
    lines = []
    for finding in probe.findings:
        lines.append(_finding(finding, known, ends=finding.unit not in drawn_before))
        if finding.value is not None:
            drawn_before.add(finding.unit)
    return (
        f'<tbody><tr class="probe"><th scope="rowgroup" colspan="5"><h3 id="{escape(probe.name)}">'
        f"{escape(probe.title)}</h3>{_pill(probe.verdict)}<p>{escape(probe.asks)}</p></th></tr>"
        f"{''.join(lines)}{advice}</tbody>"
    )


def _finding(found: Finding, known: Sequence[Finding], *, ends: bool) -> str:
    name = f'<th scope="row" class="what">{escape(found.title)}'
    if found.value is None:
        return (
            f'<tr class="finding">{name}</th><td class="why-not" colspan="4">'
            f"{_html(_sentence(found.undefined))}</td></tr>"
        )
    counted = f"{found.n:,}"
    if found.judged < found.asked:
        counted += f"<br><small>{coverage(found.judged, found.asked)} judged</small>"
    verdict = _pill(found.verdict) if found.verdict != "shown" else ""
    return (
        f'<tr class="finding">{name}<small>{escape(found.means)}</small></th>'
        f'<td class="drawn">{_drawn(found, known, ends=ends)}</td>'
        f'<td class="figure"><b>{spoken(found.value, found.unit)}</b> '
        f"<small>{span(found)}</small></td>"
        f'<td class="items">{counted}</td><td class="verdict">{verdict}</td></tr>'
    )


def _drawn(found: Finding, known: Sequence[Finding], *, ends: bool) -> str:
    low, high = _axis(found.unit, known)
    allowed = ""
    if found.bound is not None:
        start = low if found.side == "above" else max(found.neutral - found.bound, low)
        stop = min(found.neutral + found.bound, high)
        left, width = 100 * (start - low) / (high - low), 100 * (stop - start) / (high - low)
        allowed = f'<span class="allowed" style="left:{left:.2f}%;width:{width:.2f}%"></span>'
    assert found.value is not None
    label = f"{found.title}: {spoken(found.value, found.unit)}, 95 % interval {span(found)}"
    bar = svg.interval(
        found.value, found.low, found.high, (low, high), label=label, reference=found.neutral
    )
    marks = ""
    if ends:
        marks = (
            f'<span class="ends" aria-hidden="true"><span>{spoken(low, found.unit)}</span>'
            f"<span>{spoken(high, found.unit)}</span></span>"
        )
    return f'<span class="lane">{allowed}{bar}{marks}</span>'


def _axis(unit: Unit, known: Sequence[Finding]) -> tuple[float, float]:
    """One axis for all numbers of a unit in a probe."""
    if unit == "share":
        return 0.0, 1.0
    if unit == "correlation":
        return -1.0, 1.0
    ends = [abs(end) for f in known if f.unit == unit for end in (f.low, f.high) if end is not None]
    half = max(_NARROWEST, *ends)
    # To the next quarter, so that the axis has round ends.
    half = min(1.0, -(-half // 0.25) * 0.25)
    return -half, half


def _html(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
