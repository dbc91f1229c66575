"""`glider tail-patch`: which training set helps which development sets, and weights from it."""

import json
from pathlib import Path

import typer

from glider.cli.options import interrupted
from glider.cli.show import say
from glider.core.errors import SetupError

_DATA, _MEASURE, _OUT = "Data and settings", "Measuring", "Output"
_METRICS = ("pearson", "accuracy", "loss")


def tail_patch(
    run: Path = typer.Argument(
        ...,
        metavar="RUN",
        help="Folder of a training, or of one of its checkpoints.",
        show_default=False,
    ),
    data: Path = typer.Option(
        Path("examples"),
        "--data",
        metavar="EXAMPLES",
        help="Folder that `glider data` made.",
        rich_help_panel=_DATA,
    ),
    only: list[str] = typer.Option(
        None, help="A training set; may be given again [all].", rich_help_panel=_DATA
    ),
    steps: int = typer.Option(
        100,
        min=1,
        help="Updates on each set at most, and no more than the recipe's epochs.",
        rich_help_panel=_DATA,
    ),
    changes: list[str] = typer.Option(
        None,
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting of the run's recipe: stages.0.learning_rate=1e-4.",
        rich_help_panel=_DATA,
    ),
    metric: str = typer.Option(
        "pearson", help="pearson, accuracy or loss of the score.", rich_help_panel=_MEASURE
    ),
    per_set: int = typer.Option(
        40, min=2, help="Development examples of each set at most.", rich_help_panel=_MEASURE
    ),
    boost: list[str] = typer.Option(
        None,
        help="A category whose two best sets get the largest weight; may be given again.",
        rich_help_panel=_MEASURE,
    ),
    seed: int = typer.Option(0, help="Of every draw.", rich_help_panel=_MEASURE),
    out: Path = typer.Option(..., "--out", "-o", help="Folder to make.", rich_help_panel=_OUT),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with --out, after the last set.", rich_help_panel=_OUT
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the table as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Train a checkpoint a little further on each set alone, and measure all development sets.

    Writes tail-patch.md, tail-patch.json and mixture.yaml, which `glider data` reads: the same
    mixture with FLAMe's weights. Killed at any moment, it goes on with --resume.
    """
    if metric not in _METRICS:
        raise SetupError(f"--metric is one of {', '.join(_METRICS)}; got {metric!r}")
    from glider.studies import tail_patch as patch

    try:
        found = patch.tail_patch(
            run,
            data=data,
            out=out,
            how=patch.Patch(steps=steps, per_set=per_set, seed=seed),
            metric=metric,  # type: ignore[arg-type]
            only=only or (),
            boost=boost or (),
            changes=changes or (),
            resume=resume,
            say=lambda what: say("", what),
        )
    except KeyboardInterrupt:
        raise interrupted(out) from None
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), ensure_ascii=False, indent=1))
    else:
        print(patch.table(found))
    say("weights:", str(out / "mixture.yaml"))
