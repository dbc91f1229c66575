"""`glider calibrate`: what a judge's scores are worth, from human labels on some items of a run."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from glider.cli.show import print_json, say
from glider.core.errors import MissingExtra, SetupError
from glider.store.atomic import write_whole
from glider.store.targets import check_target, run_files

if TYPE_CHECKING:
    from glider.calibration.labelled import LabelledRun

_LABELS, _ASK, _OUT = "Labels", "What to promise", "Output"


def calibrate(
    run: Path = typer.Argument(..., metavar="RUN", help="Folder of a run."),
    labels: str = typer.Option(
        None,
        help="File with the columns id and label; the run's own labels if not given.",
        rich_help_panel=_LABELS,
    ),
    map: list[str] = typer.Option(
        None, "--map", help="id=COLUMN or label=COLUMN.", rich_help_panel=_LABELS
    ),
    encoding: str = typer.Option("utf-8", help="Encoding of text files.", rich_help_panel=_LABELS),
    scale: str = typer.Option(
        None, help="LOW:HIGH of the labels, if not the rubric's.", rich_help_panel=_LABELS
    ),
    cluster: str = typer.Option(
        None,
        help="Field or column shared by items that are not independent [same input and context]; "
        "none: all are independent.",
        rich_help_panel=_LABELS,
    ),
    criterion: str = typer.Option(
        None, "--criterion", "-c", help="Where the run has several.", rich_help_panel=_LABELS
    ),
    pass_at: float = typer.Option(None, help="Labels from here on pass.", rich_help_panel=_ASK),
    agree_on: str = typer.Option(
        None,
        help="What counts as agreement: pass (same side of the mark), level (the same level), near "
        "(at most one level off).",
        rich_help_panel=_ASK,
    ),
    alpha: float = typer.Option(
        0.1, help="Largest share of disagreement among what is kept.", rich_help_panel=_ASK
    ),
    delta: float = typer.Option(0.05, help="Chance that this promise fails.", rich_help_panel=_ASK),
    method: str = typer.Option(
        "auto", help="auto, isotonic, temperature, none.", rich_help_panel=_ASK
    ),
    seed: int = typer.Option(0, help="Of folds and resamples.", rich_help_panel=_ASK),
    out: Path = typer.Option(
        None, "--out", "-o", help="File to write [RUN/calibration.json].", rich_help_panel=_OUT
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the calibration as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Compare a run with people's labels: the true rate, a map, a threshold to rely on.

    Writes a file that can be applied to further judgments of the same judge and criterion.
    """
    # The page is written beside the calibration, under the same name.
    for place in (out, out.with_suffix(".html")) if out is not None else ():
        check_target(place, reads=[labels, *run_files(run)])
    needs_bench("glider calibrate")
    from pydantic import ValidationError

    from glider.calibration.model import Calibration, CalibrationSettings
    from glider.calibration.page import page
    from glider.calibration.words import calibration_text

    try:
        settings = CalibrationSettings.model_validate(
            {
                "method": method,
                "pass_at": pass_at,
                "agree_on": agree_on,
                "alpha": alpha,
                "delta": delta,
                "seed": seed,
            }
        )
    except ValidationError as exc:
        first = exc.errors()[0]
        flag = str(first["loc"][0]).replace("_", "-")
        raise SetupError(f"--{flag}: {first['msg']}") from exc
    found = Calibration.of(load(run, labels, map, encoding, criterion, scale, cluster), settings)
    target = out or run / ("calibration.json" if criterion is None else _named(criterion))
    found.save(target)
    if as_json:
        print_json(found.model_dump(mode="json"), indent=1)
    else:
        print(calibration_text(found))
    shown = target.with_suffix(".html")
    write_whole(shown, page(found))
    say("\ncalibration:", f"{target}   page: {shown}")


def load(
    run: Path,
    labels: str | None,
    maps: list[str] | None,
    encoding: str,
    criterion: str | None,
    scale: str | None,
    cluster: str | None,
) -> "LabelledRun":
    """The run with its labels, from the flags that `calibrate` and `plan-labels` share."""
    from glider.calibration.labelled import LabelledRun

    return LabelledRun.load(
        run,
        labels=labels,
        maps=tuple(maps or ()),
        encoding=encoding,
        criterion=criterion,
        scale=_scale(scale),
        cluster=cluster,
    )


def needs_bench(feature: str) -> None:
    """Say what to install, if the statistics are not there.

    Raises:
        MissingExtra: with the install line.
    """
    if find_spec("scipy") is None:
        raise MissingExtra(feature, "bench")


def _named(criterion: str) -> str:
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in criterion)
    return f"calibration-{plain}.json"


def _scale(written: str | None) -> tuple[float, float] | None:
    if written is None:
        return None
    try:
        low, high = (float(end) for end in written.split(":"))
    except ValueError:
        raise SetupError(f"--scale takes LOW:HIGH, such as 0:100, not {written!r}") from None
    if not low < high:
        raise SetupError(f"--scale {written}: the first number must be the lower one")
    return low, high
