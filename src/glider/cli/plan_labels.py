"""`glider plan-labels`: how many human labels a wanted width needs."""

from pathlib import Path

import typer

from glider.cli.calibrate import load, needs_bench
from glider.cli.show import print_json
from glider.core.errors import SetupError


def plan_labels(
    run: Path = typer.Argument(
        None, metavar="RUN", help="Folder of a run with some labels: a pilot."
    ),
    width: float = typer.Option(
        0.05,
        help="How far the 95 % interval may reach to either side: 0.05 is 5 points of a pass rate, "
        "or 0.05 levels of a mean score.",
    ),
    labels: str = typer.Option(None, help="File with the columns id and label."),
    map: list[str] = typer.Option(None, "--map", help="id=COLUMN or label=COLUMN."),
    encoding: str = typer.Option("utf-8", help="Encoding of text files."),
    scale: str = typer.Option(None, help="LOW:HIGH of the labels, if not the rubric's."),
    cluster: str = typer.Option(None, help="As in `glider calibrate`."),
    criterion: str = typer.Option(None, "--criterion", "-c", help="Where the run has several."),
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
    from glider.calibration.plan import plan
    from glider.calibration.words import plan_text

    if run is None and any(v is not None for v in (labels, map or None, scale, cluster, criterion)):
        raise SetupError("labels without a run: give the run's folder first")
    if run is not None and items is not None:
        raise SetupError("--items is for planning without a run; the run tells its own")
    pilot = load(run, labels, map, encoding, criterion, scale, cluster) if run else None
    found = plan(width, run=pilot, pass_at=pass_at, total=items, spread=spread)
    if as_json:
        print_json(found.model_dump(mode="json"), indent=1)
    else:
        print(plan_text(found))
