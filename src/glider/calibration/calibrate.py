"""From labels on some items of a run to what its judge is worth: the calibration's use cases.

What `glider calibrate`, `glider apply` and `glider plan-labels` do.
"""

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
    """A run beside what people said of some of its items, and covariates that were asked for.

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
    """The true rate or mean, a map to people's scale, and a threshold to rely on.

    Args:
        run: folder of a run, some items of which people labelled.
        labels: where the labels are; in the run's own rows if not given.
        settings: the pass mark, what is promised, which map, which covariates.

    Returns:
        What was learnt; `save` keeps it, `apply` puts it on further judgments.

    Raises:
        DataError: fewer than 20 labels, or labels that cannot be used.
        SetupError: settings that do not fit the judge or the rubric.
        RunError: there is no run.
    """
    settings = settings or CalibrationSettings()
    return Calibration.of(labelled_run(run, labels, settings.covariates), settings)


@dataclass(frozen=True, slots=True)
class AppliedOutcome:
    """An outcome of a run with what a calibration says of it."""

    row: int
    outcome: Judgment | Failure | Comparison
    applied: Applied


def apply_calibration(
    calibration: str | Path | Calibration, run: str | Path
) -> Iterator[AppliedOutcome]:
    """A calibration put on a run, outcome by outcome in the order of its journal.

    Args:
        calibration: one, or the file that holds it.
        run: folder of a run by the same judge, under the same criterion.

    Raises:
        DataError: the file is no calibration.
        SetupError: the run is of another judge or criterion.
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
    """How many human labels a wanted width of interval needs, with the judge's help and without.

    Args:
        width: how far the 95 % interval may reach to either side: in shares of a pass rate, else
            in units of the labels.
        run: folder of a run with some labels, a pilot; a table over correlations if not given.
        labels: where the pilot's labels are.
        pass_at: labels from here on pass: a pass rate is wanted, not a mean score.
        items: without a run, items in the whole set.
        spread: standard deviation of the labels, where it is known better than from a pilot.

    Raises:
        SetupError: a width or spread that there cannot be, or a pilot too small to tell anything.
    """
    if run is None and labels not in (None, LabelSettings()):
        raise SetupError("labels without a run: give the run's folder first")
    if run is not None and items is not None:
        raise SetupError("--items is for planning without a run; the run tells its own")
    pilot = None if run is None else labelled_run(run, labels)
    return plan(width, run=pilot, pass_at=pass_at, total=items, spread=spread)
