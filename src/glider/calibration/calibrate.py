"""`glider calibrate`, `glider apply` and `glider plan-labels` as functions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from glider.calibration.labelled import LabelledRun
from glider.calibration.model import Applied, Calibration, CalibrationSettings
from glider.calibration.plan import LabelPlan, plan
from glider.calibration.settings import LabelSettings, scale_of
from glider.core.errors import SetupError
from glider.core.judgments import Comparison, Failure, Judgment
from glider.data.covariates import covariate_names


def labelled_run(
    run: str | Path, labels: LabelSettings | None = None, covariates: Sequence[str] = ()
) -> LabelledRun:
    """Read a run together with human labels of some of its items, and covariates if asked for.

    Raises:
        DataError: labels that cannot be used, with the first of their ids.
        SetupError: several criteria or judges, nothing judged.
        RunError: there is no run.
    """
    labels = labels or LabelSettings()
    return LabelledRun.load(
        Path(run),
        labels=labels.labels,
        maps=labels.maps,
        encoding=labels.encoding,
        criterion=labels.criterion,
        scale=None if labels.scale is None else scale_of(labels.scale),
        cluster=labels.cluster,
        covariates=covariate_names(covariates),
    )


def calibrate(
    run: str | Path,
    *,
    labels: LabelSettings | None = None,
    settings: CalibrationSettings | None = None,
) -> Calibration:
    """Estimate the true rate or mean, fit a map to the people's scale, and certify a threshold.

    Args:
        run: folder of a run, some items of which people labelled.
        labels: where the labels are; the run's own rows if not given.
        settings: pass mark, guarantee, calibration map, covariates.

    Returns:
        The calibration; `save` writes it, `apply` applies it to further judgments.

    Raises:
        DataError: fewer than 20 labels, or labels that cannot be used.
        SetupError: settings that do not fit the judge or the rubric.
        RunError: there is no run.
    """
    settings = settings or CalibrationSettings()
    return Calibration.of(labelled_run(run, labels, settings.covariates), settings)


@dataclass(frozen=True, slots=True)
class AppliedOutcome:
    """An outcome of a run and what a calibration says about it."""

    row: int
    outcome: Judgment | Failure | Comparison
    applied: Applied


def apply_calibration(
    calibration: str | Path | Calibration, run: str | Path
) -> Iterator[AppliedOutcome]:
    """Apply a calibration to a run, outcome by outcome in the order of its journal.

    Args:
        calibration: one, or the file that holds it.
        run: folder of a run by the same judge, under the same criterion.

    Raises:
        DataError: the file is not a calibration.
        SetupError: the run has another judge or criterion.
        RunError: there is no run.
    """
    learnt = calibration
    if not isinstance(learnt, Calibration):
        learnt = Calibration.load(Path(learnt))
    for row, outcome, applied in learnt.over(Path(run)):
        yield AppliedOutcome(row, outcome, applied)


def plan_labels(
    width: float,
    *,
    run: str | Path | None = None,
    labels: LabelSettings | None = None,
    pass_at: float | None = None,
    items: int | None = None,
    spread: float | None = None,
) -> LabelPlan:
    """How many human labels an interval of this width needs, with the judge and without.

    Args:
        width: half-width of the 95 % interval: as a share for a pass rate, otherwise in units of
            the labels.
        run: folder of a run with some labels (a pilot); if not given, a table over correlations.
        labels: where the pilot's labels are.
        pass_at: lowest label that passes: plan for a pass rate, not a mean score.
        items: without a run, number of items in the whole set.
        spread: standard deviation of the labels, if known better than from a pilot.

    Raises:
        SetupError: an impossible width or spread, or a pilot that is too small.
    """
    if run is None and labels not in (None, LabelSettings()):
        raise SetupError("labels need a run: give the run's folder first")
    if run is not None and items is not None:
        raise SetupError("--items is for planning without a run; a run has its own number")
    pilot = None if run is None else labelled_run(run, labels)
    return plan(width, run=pilot, pass_at=pass_at, total=items, spread=spread)
