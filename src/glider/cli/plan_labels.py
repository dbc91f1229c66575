"""`glider plan-labels`: how many human labels a wanted width needs."""

from pathlib import Path

import typer

from glider.calibration.settings import LabelSettings
from glider.cli.calibrate import needs_bench
from glider.cli.flags import from_flags
from glider.cli.show import print_json


@from_flags
def plan_labels(
    run: Path = typer.Argument(
        None, metavar="RUN", help="Folder of a run with some labels: a pilot."
    ),
    width: float = typer.Option(
        0.05,
        help="How far the 95 % interval may reach to either side: 0.05 is 5 points of a pass rate, "
        "or 0.05 levels of a mean score.",
    ),
    *,
    labels: LabelSettings,
    pass_at: float = typer.Option(
        None, help="Labels from here on pass: the true pass rate is wanted, not the mean score."
    ),
    items: int = typer.Option(None, min=1, help="Without a run: items in the whole set."),
    spread: float = typer.Option(
        None,
        help="Standard deviation of the labels [a pilot's]. Without a run: of a mean score, or "
        "with --pass-at of passes and fails; a pass rate at its worst, 0.5, if not given.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the plan as JSON."),
) -> None:
    """How many labels are needed to know the true pass rate or mean score this well?"""
    needs_bench("glider plan-labels")
    from glider.calibration.calibrate import plan_labels as run_plan
    from glider.calibration.words import plan_text

    found = run_plan(width, run=run, labels=labels, pass_at=pass_at, items=items, spread=spread)
    if as_json:
        print_json(found.model_dump(mode="json"), indent=1)
    else:
        print(plan_text(found))
