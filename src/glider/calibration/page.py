"""A calibration as one HTML page: every number in words, then the two charts behind them."""

from datetime import datetime
from html import escape

from glider.calibration.figures import Finding
from glider.calibration.model import Calibration
from glider.calibration.words import value_text
from glider.pages.calibration_charts import calibration_charts
from glider.pages.shell import shell
from glider.pages.svg import Bin, Kept

_CSS = """\
.findings{display:grid;gap:1.4rem 3rem;margin:0;
 grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr))}
.findings dt{font-weight:600}
.findings dd{margin:.15rem 0 0}
.findings .value{font-variant-numeric:tabular-nums}
.findings .meaning{color:var(--soft)}
.notes{max-width:46rem}
"""


def page(found: Calibration) -> str:
    """The whole page."""
    notes = "".join(f"<li>{escape(note)}</li>" for note in found.notes)
    said = "".join(map(_finding, found.findings))
    of = "calibrated" if any(row.of == "calibrated" for row in found.reliability) else "raw"
    bins = [
        Bin(predicted=row.predicted, observed=row.actual, low=row.low, high=row.high, n=row.n)
        for row in found.reliability
        if row.of == of and row.actual is not None and row.low is not None and row.high is not None
    ]
    curve = [
        Kept(coverage=row.coverage, risk=row.risk, low=row.low, high=row.high)
        for row in found.risk_coverage
        if row.risk is not None
    ]
    chosen = next(
        (
            Kept(coverage=row.coverage, risk=row.risk, low=row.low, high=row.high)
            for row in found.risk_coverage
            if row.threshold == found.threshold and row.risk is not None
        ),
        None,
    )
    passing = found.pass_at is not None
    charts = calibration_charts(
        bins,
        curve,
        scale=(0.0, 1.0) if passing else found.scale,
        across=("probability of passing" if passing else "score") + f", {of}",
        up="share that people pass" if passing else "people's mean label",
        bound=found.settings.alpha,
        chosen=chosen,
    )
    body = (
        (f'<section class="notes"><h2>Mind</h2><ul>{notes}</ul></section>' if notes else "")
        + f'<section><h2>What was found</h2><dl class="findings">{said}</dl></section>'
        + (f"<section><h2>Behind it</h2>{charts}</section>" if charts else "")
    )
    return shell("What this judge's numbers are worth", body, facts=_facts(found), css=_CSS)


def _finding(finding: Finding) -> str:
    return (
        f'<div><dt>{escape(finding.title)}: <span class="value">{escape(value_text(finding))}'
        f'</span></dt><dd class="meaning">{escape(finding.meaning)}</dd></div>'
    )


def _facts(found: Calibration) -> dict[str, str]:
    counts, (low, high) = found.counts, found.scale
    when = datetime.fromisoformat(found.made_at)
    mark = "" if found.pass_at is None else f"; {found.pass_at:g} and above pass"
    return {
        "Judge": found.judge,
        "Criterion": found.criterion,
        "Labels": f"{counts.labelled:,} of {counts.asked:,} items, {low:g} to {high:g}{mark}",
        "Failed": f"{counts.failed:,}" if counts.failed else "none",
        "Map": found.maps.method,
        "Date": f"{when.day} {when:%B %Y}",
    }
