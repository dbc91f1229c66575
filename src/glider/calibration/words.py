"""Write a calibration and a label plan as plain text: each figure and what it means."""

import textwrap

from glider.calibration.figures import Finding
from glider.calibration.model import Calibration
from glider.calibration.plan import LabelPlan

_WIDTH = 92


def calibration_text(found: Calibration) -> str:
    """The whole calibration, in a dozen short paragraphs."""
    counts = found.counts
    low, high = found.scale
    mark = "" if found.pass_at is None else f"; {found.pass_at:g} and above pass"
    lines = [
        f"judge      {found.judge}",
        f"criterion  {found.criterion}, labels from {low:g} to {high:g}{mark}",
        f"labels     {counts.labelled:,} human labels ({counts.labelled_judged:,} on judged "
        f"items, {counts.clusters:,} prompts or documents) in a set of {counts.asked:,} items",
        f"map        {_map(found)}",
    ]
    if found.combined is not None:
        lines.append(f"weighed    the judge with {', '.join(found.combined.covariates)}")
    if found.notes:
        lines += ["", *(_wrapped(note, "! ", "  ") for note in found.notes)]
    for finding in found.findings:
        lines += ["", finding_text(finding)]
    return "\n".join(lines)


def finding_text(finding: Finding) -> str:
    """Title and value, then what it means."""
    return f"{finding.title}: {value_text(finding)}\n" + _wrapped(finding.meaning, "   ", "   ")


def value_text(finding: Finding) -> str:
    """The number with its interval and n, or the reason why there is none."""
    if finding.value is None:
        return f"undefined ({finding.undefined})"
    value = _number(finding.value, finding.unit)
    if finding.low is None or finding.high is None:
        return value
    low, high = _number(finding.low, finding.unit), _number(finding.high, finding.unit)
    return f"{value} [{low}, {high}]  n={finding.n:,}"


def _number(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:.2f}" if unit == "points" else f"{value:.3f}"


def _map(found: Calibration) -> str:
    how = " (the best on labels it was not fitted to)" if found.settings.method == "auto" else ""
    match found.maps.method:
        case "none":
            return f"none: the judge's own numbers are used{how}"
        case "isotonic":
            return f"isotonic: fitted to the labels, rising with the judge's score{how}"
        case _:
            heat = found.maps.temperature
            assert heat is not None
            sure = "too sure" if heat > 1 else "not sure enough"
            return f"temperature {heat:.2f}: the judge is {sure} of its levels{how}"


def _wrapped(text: str, first: str, rest: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=rest)


def plan_text(found: LabelPlan) -> str:
    """The table, its inputs and how to read it."""
    what = "pass rate" if found.rate else "mean score"
    rests = (
        f"Measured on {found.pilot} labelled items: standard deviation {found.spread:.2f}."
        if found.pilot
        else f"Without a pilot: the labels' standard deviation is assumed to be {found.spread:.2f}."
    )
    size = "" if found.total is None else f" The whole set has {found.total:,} items."
    head = ["half-width", *found.columns]
    body = [
        [f"± {_number(row.width, 'share') if found.rate else f'{row.width:g}'}"]
        + ["more than the set has" if n is None else f"{n:,}" for n in row.labels]
        for row in found.rows
    ]
    widths = [max(len(line[n]) for line in [head, *body]) for n in range(len(head))]
    table = [
        "  ".join(
            cell.ljust(w) if n == 0 else cell.rjust(w)
            for n, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in [head, *body]
    ]
    lines = [f"Labels needed for the true {what}, 95 % interval", "", *table, ""]
    lines.append(_wrapped(rests + size, "", ""))
    lines += [_wrapped(note, "", "") for note in found.notes]
    told = (
        "Draw the items to label at random from the whole set, those the judge failed on included."
    )
    if found.pilot:
        told += " The cautious column uses the lowest correlation within the pilot's interval."
    else:
        told += " Correlation is between the judge's scores and people's; a pilot measures it."
    lines.append(_wrapped(told, "", ""))
    return "\n".join(lines)
