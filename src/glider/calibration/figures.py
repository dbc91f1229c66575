"""The figures of a calibration, as plain records for terminal, page and gate.

Each has an interval, n, and one sentence on its meaning for the user. An undefined figure gives the
reason.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.random import Generator

from glider.calibration.labelled import LabelledRun
from glider.calibration.truth import Truth
from glider.core.base import Frozen
from glider.judging.readings import AgreeOn
from glider.stats.calibration import (
    LOG_LOSSES,
    CalibrationError,
    calibration_error,
    log_losses,
    reliability,
    squared_errors,
)
from glider.stats.clustered import clustered_mean, clustered_share
from glider.stats.estimates import Estimate, Undefined
from glider.stats.resampling import bootstrap
from glider.stats.selective import Certified, aurc, risk_coverage
from glider.stats.statistic import Bools, Floats, Ints

Unit = Literal["share", "points", ""]


class Finding(Frozen):
    """One number, or the reason why there is none."""

    name: str
    """Stable identifier for programs."""
    title: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    """Number of labelled items behind it."""
    unit: Unit = ""
    """`share`: 0..1, shown in per cent; `points`: the labels' scale."""
    method: str = ""
    undefined: str = ""
    """Reason why there is no value."""
    meaning: str = ""
    """Its meaning for the user, in one sentence."""

    @classmethod
    def of(
        cls,
        estimate: Estimate | Undefined,
        *,
        name: str,
        title: str,
        unit: Unit = "",
        meaning: str = "",
    ) -> "Finding":
        """Build a finding from an estimate."""
        if isinstance(estimate, Undefined):
            return cls(
                name=name,
                title=title,
                value=None,
                n=estimate.n,
                unit=unit,
                undefined=estimate.reason,
                meaning=meaning,
            )
        return cls(
            name=name,
            title=title,
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            n=estimate.n,
            unit=unit,
            method=estimate.method,
            meaning=meaning,
        )


class ReliabilityRow(Frozen):
    """One point of the reliability diagram, for the raw or the calibrated judge."""

    of: Literal["raw", "calibrated"]
    predicted: float
    actual: float | None
    low: float | None
    high: float | None
    n: int


class RiskRow(Frozen):
    """One point of the risk-coverage curve."""

    threshold: float
    coverage: float
    """Share kept of all items asked; failed ones are never kept."""
    risk: float | None
    low: float | None
    high: float | None
    n: int
    """Labelled items among the kept."""


def true_value(
    found: Truth, run: LabelledRun, pass_at: float | None, covariates: Sequence[str] = ()
) -> list[Finding]:
    """The true rate or mean, with and without prediction-powered inference, and the judge's value.

    Args:
        covariates: names of the covariates used with the judge.
    """
    helpers = f"the judge and {', '.join(covariates)}" if covariates else "the judge"
    rate = pass_at is not None
    unit: Unit = "share" if rate else "points"
    what = "pass rate" if rate else "mean score"
    people = "The share that would pass" if rate else "The average score"
    n_all, n = len(run.label), int(run.labelled.sum())
    worth = found.powered.labels_worth
    if n == n_all:
        helped = "Every item is labelled, so the judge adds nothing."
    elif found.powered.estimate == found.powered.classical:
        helped = "The judge's contribution cannot be measured, so only the labels are used."
    elif worth is not None and worth > n + 0.5:
        helped = f"With {helpers}, {n} labels tell as much as {worth:.0f}."
    else:
        helped = "The judge does not help: its scores hardly correlate with the labels."
    return [
        Finding.of(
            found.powered.estimate,
            name="true_rate" if rate else "true_mean",
            title=f"True {what}",
            unit=unit,
            meaning=f"{people} if people judged all {n_all:,} items. {helped}",
        ),
        Finding.of(
            found.powered.classical,
            name="labels_alone",
            title=f"The {what} from the labels alone",
            unit=unit,
            meaning="The same without the judge, from the labelled items alone.",
        ),
        Finding(
            name="judge_says",
            title=f"The {what} the judge gives",
            value=found.judge_says,
            n=int(run.judged.sum()),
            unit=unit,
            method="counted over all judged items",
            meaning="What you would report without labels.",
        ),
    ]


def agreement(run: LabelledRun, agree_on: AgreeOn, pass_at: float | None) -> list[Finding]:
    """How often judge and people agree, and whether the judge is lenient or strict."""
    labelled = run.labelled
    agrees = np.zeros(len(run.label), np.bool_)
    labels = run.label[run.judged]
    known = run.both
    differ = np.ones(len(labels), np.bool_)
    differ[known] = run.readings.only(known).disagree(labels[known], agree_on, pass_at)
    agrees[run.judged] = ~differ
    how = {
        "pass": "is on the same side of the pass mark as that of people",
        "level": "is the level nearest to that of people",
        "near": "is at most one level from that of people",
    }[agree_on]
    width = run.scale[1] - run.scale[0]
    lean = clustered_mean(
        run.readings.expected[known] - labels[known],
        run.cluster[run.judged][known],
        scale=(-width, width),
    )
    return [
        Finding.of(
            clustered_share(agrees[labelled], run.cluster[labelled]),
            name="agreement",
            title="Agreement with people",
            unit="share",
            meaning=f"How often the judge's answer {how}. A failed judgment is a disagreement.",
        ),
        Finding.of(
            lean,
            name="lean",
            title="The judge minus people",
            unit="points",
            meaning=_leaning(lean),
        ),
    ]


def _leaning(lean: Estimate | Undefined) -> str:
    if isinstance(lean, Undefined):
        return "Whether the judge is too lenient or too strict is not known."
    if lean.low > 0:
        return "The judge is too lenient: it scores higher than people do."
    if lean.high < 0:
        return "The judge is too strict: it scores lower than people do."
    return "The judge is neither significantly too lenient nor too strict."


def errors(
    raw: Floats,
    mapped: Floats,
    actual: Floats,
    clusters: Ints,
    *,
    by: Floats,
    event: bool,
    scale: tuple[float, float],
    rng: Generator,
) -> list[Finding]:
    """Errors of predictions, raw and calibrated (out of fold).

    `by` is the judge's own score: it decides the bins of both. `scale` is the scale of the
    prediction.
    """
    findings = []
    for word, predicted in (("raw", raw), ("calibrated", mapped)):
        off = clustered_mean(
            squared_errors(predicted, actual), clusters, scale=(0.0, (scale[1] - scale[0]) ** 2)
        )
        if event:
            findings.append(
                Finding.of(
                    off,
                    name=f"brier_{word}",
                    title=f"Brier score, {word}",
                    meaning="Squared error of the pass probability: 0 is perfect, 0.25 is chance.",
                )
            )
            findings.append(
                Finding.of(
                    clustered_mean(log_losses(predicted, actual), clusters, scale=LOG_LOSSES),
                    name=f"log_loss_{word}",
                    title=f"Log loss, {word}",
                    meaning="Like Brier, but punishes confident errors more: 0 is "
                    "perfect, 0.69 is a "
                    "coin.",
                )
            )
        else:
            findings.append(
                Finding.of(
                    root(off),
                    name=f"typical_error_{word}",
                    title=f"Typical error, {word}",
                    unit="points",
                    meaning="How far the score usually is from that of people (root mean "
                    "square error).",
                )
            )
        found = calibration_error(predicted, actual, clusters, rng=rng, by=by)
        findings.append(_ece(found, word, event))
    return findings


def root(squared: Estimate | Undefined) -> Estimate | Undefined:
    """Square root of a mean square, with its interval."""
    if isinstance(squared, Undefined):
        return squared
    low, value, high = (float(np.sqrt(x)) for x in (squared.low, squared.value, squared.high))
    return Estimate(value, low, high, squared.n, squared.skipped, squared.method)


def _ece(found: CalibrationError, word: str, event: bool) -> Finding:
    told = f"{found.by_chance:.3f} by chance alone, up to {found.by_chance_high:.3f}"
    verdict = (
        "so this judge is miscalibrated"
        if found.value > found.by_chance_high
        else "so no miscalibration is shown"
    )
    return Finding(
        name=f"ece_{word}",
        title=f"Calibration error (ECE), {word}",
        value=found.value,
        n=found.n,
        unit="" if event else "points",
        method=f"{found.n_bins} bins of equal mass; no interval, since noise counts as error",
        meaning="Mean distance between predictions and labels. With these "
        f"labels a perfectly calibrated judge shows {told}, {verdict}.",
    )


def diagram(
    raw: Floats,
    mapped: Floats,
    actual: Floats,
    clusters: Ints,
    *,
    by: Floats,
    scale: tuple[float, float],
) -> tuple[ReliabilityRow, ...]:
    """Points of the reliability diagram."""
    rows: list[ReliabilityRow] = []
    series: tuple[tuple[Literal["raw", "calibrated"], Floats], ...] = (
        ("raw", raw),
        ("calibrated", mapped),
    )
    for word, predicted in series:
        for point in reliability(predicted, actual, clusters, by=by, scale=scale):
            mean, low, high = _ends(point.actual)
            rows.append(
                ReliabilityRow(
                    of=word,
                    predicted=point.predicted,
                    actual=mean,
                    low=low,
                    high=high,
                    n=point.actual.n,
                )
            )
    return tuple(rows)


def curve(
    confidence: Floats, differ: Bools, clusters: Ints, everyone: Floats, n_asked: int
) -> tuple[RiskRow, ...]:
    """Points of the risk-coverage curve; coverage is of all items asked."""
    rows = []
    for point in risk_coverage(confidence, differ, clusters, everyone):
        risk, low, high = _ends(point.risk)
        rows.append(
            RiskRow(
                threshold=point.threshold,
                coverage=point.kept * len(everyone) / n_asked,
                risk=risk,
                low=low,
                high=high,
                n=point.risk.n,
            )
        )
    return tuple(rows)


def _ends(figure: Estimate | Undefined) -> tuple[float | None, float | None, float | None]:
    if isinstance(figure, Undefined):
        return None, None, None
    return figure.value, figure.low, figure.high


def selection(
    found: Certified | Undefined,
    *,
    alpha: float,
    delta: float,
    n_judged: int,
    n_asked: int,
) -> list[Finding]:
    """The certified threshold, and how many items it keeps."""
    promise = (
        f"Among the kept judgments, judge and people disagree on at "
        f"most {alpha:.0%}; this holds with "
        f"{1 - delta:.0%} confidence."
    )
    if isinstance(found, Undefined):
        return [
            Finding.of(
                found,
                name="threshold",
                title="Threshold of confidence",
                meaning="No judgment can be kept under this guarantee: review every item, weaken "
                "the guarantee (--alpha), or use a better judge.",
            )
        ]
    n_kept = round(found.kept * n_judged)
    return [
        Finding(
            name="threshold",
            title="Threshold of confidence",
            value=found.threshold,
            n=found.labelled,
            method="fixed-sequence test, exact binomial bound",
            meaning=f"{promise} Observed among labelled items that are kept: {found.disagreed} of "
            f"{found.labelled}.",
        ),
        Finding(
            name="kept",
            title="Kept",
            value=n_kept / n_asked,
            n=n_asked,
            unit="share",
            method="counted over the whole set",
            meaning=f"{n_kept:,} of {n_asked:,} items need no human review; the "
            f"others, and all failed "
            "ones, do.",
        ),
    ]


def ranking(confidence: Floats, differ: Bools, clusters: Ints, rng: Generator) -> Finding:
    """Whether the judge's confidence predicts its errors."""
    wrong = differ.astype(np.float64)
    found = bootstrap(lambda w: aurc(confidence, wrong, w), clusters, rng=rng)
    return Finding.of(
        found,
        name="aurc",
        title="Risk averaged over all coverages (AURC)",
        meaning=f"0 is best; a judge with uninformative confidence would have {wrong.mean():.3f}.",
    )
