"""The judge combined with free covariates: length, chrF, embedding similarity (`--with`).

Human labels fit the weights of the judge's number and the covariates: ridge regression to the score
and, with a pass mark, logistic regression to P(pass) (stats/ridge.py). All figures are
cross-fitted: no cluster is predicted with weights that saw its labels. Three predictors are
compared on the same folds: the judge alone, the covariates alone, and both. For the true rate, the
cross-fitted predictions replace the judge's scores (cross-prediction, Zrnic and Candes
2024), so it is valid for any covariates, useful or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator

from glider.calibration.figures import Finding, Unit, root
from glider.calibration.labelled import LabelledRun
from glider.calibration.maps import N_FOLDS, pass_score
from glider.calibration.truth import truth
from glider.core.base import Frozen
from glider.judging.readings import Readings
from glider.stats.calibration import folds, squared_errors
from glider.stats.clustered import clustered_mean
from glider.stats.estimates import Estimate, Undefined
from glider.stats.ridge import Ridge
from glider.stats.statistic import Bools, Floats, Ints


class Weights(Frozen):
    """A fitted regression as stored in the file; the judge's number is the first feature."""

    mean: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]
    """Weights of the standardized features."""
    intercept: float
    logistic: bool

    @classmethod
    def of(cls, fitted: Ridge) -> Self:
        """Convert to plain numbers."""
        return cls(
            mean=tuple(fitted.mean.tolist()),
            spread=tuple(fitted.spread.tolist()),
            weights=tuple(fitted.weights.tolist()),
            intercept=fitted.intercept,
            logistic=fitted.logistic,
        )

    def at(self, features: Floats) -> Floats:
        """Predict from features of shape (n, F)."""
        fitted = Ridge(
            np.array(self.mean),
            np.array(self.spread),
            np.array(self.weights),
            self.intercept,
            self.logistic,
        )
        return fitted(features)


class Combined(Frozen):
    """The judge and covariates, combined with weights fitted to labels."""

    covariates: tuple[str, ...]
    to_score: Weights
    to_pass: Weights | None = None

    @classmethod
    def fit(cls, run: LabelledRun, pass_at: float | None) -> Self:
        """Fit to every labelled item that was judged."""
        keep = run.labelled & run.judged
        score = Ridge.fit(_features(run, None)[keep], run.label[keep], logistic=False)
        to_pass = None
        if pass_at is not None:
            passes = (run.label[keep] >= pass_at).astype(np.float64)
            to_pass = Weights.of(Ridge.fit(_features(run, pass_at)[keep], passes, logistic=True))
        return cls(covariates=tuple(run.covariates), to_score=Weights.of(score), to_pass=to_pass)

    def score(
        self, reading: Readings, values: Sequence[float], scale: tuple[float, float]
    ) -> float:
        """Predict people's mean score of one item, on their scale."""
        features = np.array([[reading.expected[0], *values]])
        return float(np.clip(self.to_score.at(features)[0], *scale))

    def p_pass(self, reading: Readings, values: Sequence[float], pass_at: float) -> float:
        """Predict the probability that people would pass it."""
        assert self.to_pass is not None
        features = np.array([[pass_score(reading, pass_at)[0], *values]])
        return float(self.to_pass.at(features)[0])


@dataclass(frozen=True, slots=True)
class Weighed:
    """The comparison of the judge, the covariates and both."""

    score: Floats
    """Cross-fitted predictions from both for every item of the run, shape (N,)."""
    findings: tuple[Finding, ...]
    note: str | None
    """Set if the judge adds nothing."""


def weighable(run: LabelledRun, pass_at: float | None) -> str | None:
    """Return why the labels cannot fit weights; None if they can."""
    keep = run.labelled & run.judged
    if len(np.unique(run.cluster[keep])) < 2:
        return "all labels are of one prompt, so no weights can be checked on another"
    target = _target(run, pass_at)[keep]
    if np.ptp(target) == 0:
        return "every label says the same" if pass_at is None else "all labels pass, or all fail"
    return None


def weigh(run: LabelledRun, pass_at: float | None, rng: Generator) -> Weighed:
    """Compare the judge, the covariates and both, each out of fold."""
    features, target = _features(run, pass_at), _target(run, pass_at)
    fold = _folds(run, rng)
    rate = pass_at is not None
    columns = {"judge": [0], "covariates": list(range(1, features.shape[1]))}
    columns["both"] = columns["judge"] + columns["covariates"]
    predicted = {
        who: _predicted(features[:, chosen], target, run, fold, rate)
        for who, chosen in columns.items()
    }
    both = run.labelled & run.judged
    names, findings = ", ".join(run.covariates), []
    scale = (0.0, 1.0) if rate else run.scale
    title = "Brier score" if rate else "Typical error"
    unit: Unit = "" if rate else "points"
    errors = {who: squared_errors(p[both], target[both]) for who, p in predicted.items()}
    for who, called in (
        ("judge", "the judge alone"),
        ("covariates", f"{names} alone"),
        ("both", f"the judge and {names}"),
    ):
        off = clustered_mean(
            errors[who], run.cluster[both], scale=(0.0, (scale[1] - scale[0]) ** 2)
        )
        findings.append(
            Finding.of(
                off if rate else root(off),
                name=f"weighed_error_{who}",
                title=f"{title}, {called}",
                unit=unit,
                meaning="Weighed by the labels of other prompts, smaller is better.",
            )
        )
    spread = float(target[both].var())
    gains = {}
    for who, title, meaning in (
        ("judge", f"What {names} add to the judge", "the covariates explain beyond the judge"),
        ("covariates", f"What the judge adds to {names}", "the judge explains beyond {names}"),
    ):
        gain = clustered_mean((errors[who] - errors["both"]) / spread, run.cluster[both])
        gains[who] = gain
        findings.append(
            Finding.of(
                gain,
                name=f"gain_over_{who}",
                title=title,
                unit="share",
                meaning=f"Share of the spread of people's labels that "
                f"{meaning.format(names=names)}. " + _verdict(gain, who, names),
            )
        )
    for who, called in (("judge", "the judge alone"), ("covariates", f"{names} alone")):
        score = run_score(run, pass_at) if who == "judge" else predicted[who]
        found = truth(run, pass_at, score=score).powered
        findings.append(
            Finding.of(
                found.estimate,
                name=f"true_{'rate' if rate else 'mean'}_{who}",
                title=f"True {'pass rate' if rate else 'mean score'} with {called}",
                unit="share" if rate else "points",
                meaning="The same as the first figure with less to help the labels.",
            )
        )
    return Weighed(predicted["both"], tuple(findings), _nothing(gains["covariates"], names))


def run_score(run: LabelledRun, pass_at: float | None) -> Floats:
    """The judge's number for each item, its mean where it failed, shape (N,)."""
    said = run.readings.expected if pass_at is None else run.readings.p_pass(pass_at)
    score = np.full(len(run.label), said.mean())
    score[run.judged] = said
    return score


def _features(run: LabelledRun, pass_at: float | None) -> Floats:
    """The judge's number, then the covariates: shape (N, 1 + C); NaN where unknown."""
    judge = np.full(len(run.label), np.nan)
    readings = run.readings
    judge[run.judged] = readings.expected if pass_at is None else pass_score(readings, pass_at)
    return np.column_stack([judge, *run.covariates.values()])


def _target(run: LabelledRun, pass_at: float | None) -> Floats:
    return run.label if pass_at is None else (run.label >= pass_at).astype(np.float64)


def _folds(run: LabelledRun, rng: Generator) -> Ints:
    """Return a fold for each item whose cluster has labels, -1 for the others; shape (N,)."""
    labelled = run.labelled
    by_cluster = dict(
        zip(
            run.cluster[labelled].tolist(),
            folds(run.cluster[labelled], N_FOLDS, rng).tolist(),
            strict=True,
        )
    )
    return np.array([by_cluster.get(c, -1) for c in run.cluster.tolist()], np.int64)


def _predicted(
    features: Floats, target: Floats, run: LabelledRun, fold: Ints, rate: bool
) -> Floats:
    """Predict every item with weights that saw no label of its cluster; else average over folds."""
    learnt: Bools = run.labelled & run.judged
    low, high = (0.0, 1.0) if rate else run.scale
    whole = target[learnt].mean()
    found = np.zeros(len(target))
    others = fold < 0
    n_folds = int(fold.max()) + 1
    for number in range(n_folds):
        train = learnt & (fold != number)
        # With one class only, the mean is all that can be estimated.
        if not train.any() or np.ptp(target[train]) == 0:
            said = np.full(len(target), target[train].mean() if train.any() else whole)
        else:
            said = Ridge.fit(features[train], target[train], logistic=rate)(features)
        said = np.clip(said, low, high)
        found[fold == number] = said[fold == number]
        found[others] += said[others] / n_folds
    return found


def _verdict(gain: Estimate | Undefined, over: str, names: str) -> str:
    if isinstance(gain, Undefined):
        return "It cannot be measured with these labels."
    what = names if over == "judge" else "The judge"
    if gain.low > 0:
        return f"{what[:1].upper()}{what[1:]} tell{'' if over == 'judge' else 's'} something more."
    return "The interval holds 0: these labels show no gain."


def _nothing(gain: Estimate | Undefined, names: str) -> str | None:
    if isinstance(gain, Estimate) and gain.low > 0:
        return None
    return (
        f"The judge adds nothing that these labels can show to {names}, which cost nothing. Label "
        "more items, or do without the judge."
    )
