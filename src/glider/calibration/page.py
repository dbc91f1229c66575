"""Write a calibration as one HTML page: every figure in words, then two charts."""

from glider.calibration.model import Calibration
from glider.calibration.words import value_text
from glider.pages.charts import Chart, reliability_chart, risk_chart
from glider.pages.page import render
from glider.pages.svg import Bin, Kept
from glider.pages.words import count, date


def page(found: Calibration) -> str:
    """The whole page."""
    return render(
        "calibration/page.html",
        title="How far to trust this judge's scores",
        facts=_facts(found),
        found=found,
        value_text=value_text,
        drawn=_charts(found),
    )


def _charts(found: Calibration) -> list[Chart]:
    """Reliability, and risk against coverage; charts without data are left out."""
    passing = found.pass_at is not None
    of = "calibrated" if any(row.of == "calibrated" for row in found.reliability) else "raw"
    bins = [
        Bin(predicted=row.predicted, observed=row.actual, low=row.low, high=row.high, n=row.n)
        for row in found.reliability
        if row.of == of and row.actual is not None and row.low is not None and row.high is not None
    ]
    kept = {
        row.threshold: Kept(coverage=row.coverage, risk=row.risk, low=row.low, high=row.high)
        for row in found.risk_coverage
        if row.risk is not None
    }
    drawn = []
    if bins:
        drawn.append(
            reliability_chart(
                bins,
                scale=(0.0, 1.0) if passing else found.scale,
                across=("probability of passing" if passing else "score") + f", {of}",
                up="share that people pass" if passing else "people's mean label",
            )
        )
    if kept:
        chosen = None if found.threshold is None else kept.get(found.threshold)
        drawn.append(risk_chart(list(kept.values()), bound=found.settings.alpha, chosen=chosen))
    return drawn


def _facts(found: Calibration) -> dict[str, str]:
    counts, (low, high) = found.counts, found.scale
    mark = "" if found.pass_at is None else f"; {found.pass_at:g} and above pass"
    return {
        "Judge": found.judge,
        "Criterion": found.criterion,
        "Labels": f"{count(counts.labelled)} of {count(counts.asked)} items, "
        f"{low:g} to {high:g}{mark}",
        "Failed": count(counts.failed) if counts.failed else "none",
        "Map": found.maps.method,
        "Date": date(found.made_at),
    }
