"""`glider plan-labels`: how many human labels an interval of a given width needs."""

from pathlib import Path

import typer

from glider.calibration.settings import LabelSettings
from glider.cli.calibrate import needs_bench
from glider.cli.flags import from_flags
from glider.cli.show import print_json


@from_flags
def plan_labels(
    run: Path = typer.Argument(
        None, metavar="RUN", help="Folder of a run with some labels (a pilot)."
    ),
    width: float = typer.Option(
        0.05,
        help="Half-width of the 95 % interval: 0.05 is 5 percentage points of a pass rate, or 0.05 "
        "levels of a mean score.",
    ),
    *,
    labels: LabelSettings,
    pass_at: float = typer.Option(
        None, help="Lowest label that passes: plan for the pass rate, not the mean score."
    ),
    items: int = typer.Option(None, min=1, help="Without a run: number of items in the whole set."),
    spread: float = typer.Option(
        None,
        help="Standard deviation of the labels [from the pilot]. Without a run: of the scores, or "
        "with --pass-at of pass (1) and fail (0) [0.5, the largest possible].",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the plan as JSON."),
) -> None:
    """Say how many human labels a pass rate or mean score needs for this interval."""
    needs_bench("glider plan-labels")
    from glider.calibration.calibrate import plan_labels as run_plan
    from glider.calibration.words import plan_text

    found = run_plan(width, run=run, labels=labels, pass_at=pass_at, items=items, spread=spread)
    if as_json:
        print_json(found.model_dump(mode="json"), indent=1)
    else:
        print(plan_text(found))
