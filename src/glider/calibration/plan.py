"""The number of labels an interval of a given width needs, with a judge and without.

A pilot (a run with some labels) gives the spread of the labels and their correlation with the
judge; since a pilot is small, the table also has the lower end of that correlation's interval.
Without a pilot the table covers a range of correlations; it plans a mean score if only
the spread of its labels is given, else a pass rate, with the worst-case spread.
"""

from typing import NamedTuple

import numpy as np

from glider.calibration.labelled import LabelledRun
from glider.core.base import Frozen
from glider.core.errors import SetupError
from glider.stats.clustered import codes, design_effect, intraclass_correlation
from glider.stats.prediction_powered import labels_needed

_CORRELATIONS = (0.3, 0.5, 0.7, 0.9)
_FEWEST = 10
_RATE_AT_WORST = 0.5
"""Standard deviation of a pass rate of one half, the largest possible."""


class JudgeHelp(NamedTuple):
    """A judge with this correlation."""

    name: str
    correlation: float


class PlannedWidth(Frozen):
    """Labels needed for one width."""

    width: float
    """Half-width of the interval."""
    labels: tuple[int | None, ...]
    """One number for each column of the plan; None if the whole set is not enough."""


class LabelPlan(Frozen):
    """The table and its inputs."""

    columns: tuple[str, ...]
    correlations: tuple[float, ...]
    rows: tuple[PlannedWidth, ...]
    spread: float
    """Standard deviation of the labels."""
    design: float
    """Design effect: how many times fewer independent items the labels are worth."""
    total: int | None
    """Items in the whole set."""
    pilot: int
    """Number of pilot labels; 0 without a pilot."""
    rate: bool
    notes: tuple[str, ...]


def plan(
    width: float,
    *,
    run: LabelledRun | None = None,
    pass_at: float | None = None,
    total: int | None = None,
    spread: float | None = None,
) -> LabelPlan:
    """Plan labels for an interval with half-width `width`.

    Args:
        width: as a share for a pass rate, otherwise in units of the labels.
        run: a pilot; the table runs over correlations if not given.
        pass_at: labels from here on pass; without a run it only says that a rate is meant.
        total: items in the whole set, if there is no run.
        spread: standard deviation of the labels, of a pass rate of passes and fails; from the
            pilot, or 0.5 (a pass rate at its worst) if not given.

    Raises:
        SetupError: a width or spread that there cannot be, or a pilot too small to tell anything.
    """
    if not width > 0:
        raise SetupError(f"--width must be above 0, not {width:g}")
    columns = [JudgeHelp("no judge", 0.0)]
    design, n, rate, notes = 1.0, 0, pass_at is not None or spread is None, []
    if run is not None:
        pass_at = run.scale[1] if pass_at is None and len(run.levels) == 2 else pass_at
        rate = pass_at is not None
        _check_spread(spread, rate, run.scale)
        total = len(run.label)
        n = int(run.both.sum())
        if n < _FEWEST:
            raise SetupError(
                f"a pilot of {n} labels on judged items is too small; at least "
                f"{_FEWEST} are needed",
                hint="without a run: glider plan-labels --width " + f"{width:g}",
            )
        measured = _measure(run, pass_at)
        columns += measured.judges
        design, spread = measured.design, measured.spread if spread is None else spread
        notes += measured.notes
    else:
        columns += [JudgeHelp(f"correlation {r:g}", r) for r in _CORRELATIONS]
        _check_spread(spread, rate)
        if spread is None:
            spread = _RATE_AT_WORST
            notes.append("This is a pass rate of about a half; --spread is for a mean score.")
    rows = tuple(
        PlannedWidth(
            width=wanted,
            labels=tuple(
                labels_needed(
                    wanted, spread=spread, correlation=c.correlation, total=total, design=design
                )
                for c in columns
            ),
        )
        for wanted in (2 * width, width, width / 2)
    )
    return LabelPlan(
        columns=tuple(c.name for c in columns),
        correlations=tuple(c.correlation for c in columns),
        rows=rows,
        spread=spread,
        design=design,
        total=total,
        pilot=n,
        rate=rate,
        notes=tuple(notes),
    )


def _check_spread(
    spread: float | None, rate: bool, scale: tuple[float, float] | None = None
) -> None:
    if spread is None:
        return
    if not spread > 0:
        raise SetupError(f"--spread must be above 0, not {spread:g}")
    if rate and spread > _RATE_AT_WORST:
        raise SetupError(
            f"--spread {spread:g}: the standard deviation of pass and fail "
            f"is at most {_RATE_AT_WORST:g}",
            hint="for a mean score leave out --pass-at",
        )
    if scale is not None and not rate and spread > (scale[1] - scale[0]) / 2:
        low, high = scale
        raise SetupError(
            f"--spread {spread:g}: the standard deviation of labels from "
            f"{low:g} to {high:g} is at most "
            f"{(high - low) / 2:g}"
        )


class _Pilot(NamedTuple):
    judges: list[JudgeHelp]
    spread: float
    design: float
    notes: list[str]


def _measure(run: LabelledRun, pass_at: float | None) -> _Pilot:
    readings, labels = run.readings.only(run.both), run.label[run.judged][run.both]
    clusters = run.cluster[run.judged][run.both]
    if pass_at is None:
        said, value = readings.expected, labels
    else:
        said, value = readings.p_pass(pass_at), (labels >= pass_at).astype(np.float64)
    if np.ptp(value) == 0:
        raise SetupError(
            "every label of the pilot is the same, so their spread is not known",
            hint="label more items, or plan without a run",
        )
    n_groups = codes(clusters)[1]
    spread = float(value.std(ddof=1))
    # A failed item gets no help: the judge's mean stands in for its score.
    covered = float(run.judged.mean())
    design = design_effect(intraclass_correlation(value, clusters), clusters)
    notes = [f"Labels of one prompt are correlated: {design:.2f} of them tell as much as one."]
    judges = []
    if np.ptp(said) == 0:
        notes.append("The judge gives every labelled item the same score and is of no help.")
    else:
        r = float(np.corrcoef(said, value)[0, 1])
        # Fisher's z, with the number of clusters instead of items.
        reach = 1.96 / np.sqrt(max(n_groups - 3, 1))
        cautious = max(0.0, float(np.tanh(np.arctanh(min(abs(r), 0.999)) - reach)))
        judges = [
            JudgeHelp(f"this judge (r {r:.2f})", abs(r) * np.sqrt(covered)),
            JudgeHelp(f"cautious (r {cautious:.2f})", cautious * np.sqrt(covered)),
        ]
    return _Pilot(judges, spread, design, notes if design > 1.05 else notes[1:])
