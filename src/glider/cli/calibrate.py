"""`glider calibrate`: how far to trust a judge's scores, from human labels on part of a run."""

from importlib.util import find_spec
from pathlib import Path

import typer

from glider.calibration.settings import LabelSettings
from glider.cli.flags import from_flags
from glider.cli.show import print_json, say
from glider.core.base import first_problem
from glider.core.errors import MissingExtra, SetupError
from glider.store.atomic import write_whole
from glider.store.targets import check_target, run_files

_ASK, _OUT = "Guarantee", "Output"


@from_flags
def calibrate(
    run: Path = typer.Argument(..., metavar="RUN", help="Folder of a run."),
    *,
    labels: LabelSettings,
    pass_at: float = typer.Option(None, help="Lowest label that passes.", rich_help_panel=_ASK),
    agree_on: str = typer.Option(
        None,
        help="What counts as agreement: pass (same side of --pass-at), level (same level), near "
        "(at most one level apart).",
        rich_help_panel=_ASK,
    ),
    alpha: float = typer.Option(
        0.1,
        help="Highest allowed rate of disagreement among the judgments that are kept.",
        rich_help_panel=_ASK,
    ),
    delta: float = typer.Option(
        0.05, help="Allowed probability that the guarantee fails.", rich_help_panel=_ASK
    ),
    method: str = typer.Option(
        "auto", help="Calibration map: auto, isotonic, temperature, none.", rich_help_panel=_ASK
    ),
    covariates: list[str] = typer.Option(
        None,
        "--with",
        metavar="NAME[,NAME...]",
        help="Weigh the judge against what is free: length, chrf, embedding, rouge_l.",
        rich_help_panel=_ASK,
    ),
    seed: int = typer.Option(0, help="Seed for folds and resamples.", rich_help_panel=_ASK),
    out: Path = typer.Option(
        None, "--out", "-o", help="File to write [RUN/calibration.json].", rich_help_panel=_OUT
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the calibration as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Compare a run with human labels: the true rate, calibrated scores, a threshold to trust.

    Writes a file that `glider apply` uses on further runs of the same judge and criterion.
    """
    # The page goes next to the calibration file, under the same name.
    for place in (out, out.with_suffix(".html")) if out is not None else ():
        check_target(place, reads=[labels.labels, *run_files(run)])
    needs_bench("glider calibrate")
    from pydantic import ValidationError

    from glider.calibration.calibrate import calibrate as run_calibrate
    from glider.calibration.model import CalibrationSettings
    from glider.calibration.page import page
    from glider.calibration.words import calibration_text
    from glider.data.covariates import covariate_names

    try:
        settings = CalibrationSettings.model_validate(
            {
                "method": method,
                "pass_at": pass_at,
                "agree_on": agree_on,
                "alpha": alpha,
                "delta": delta,
                "seed": seed,
                "covariates": covariate_names(covariates or ()),
            }
        )
    except ValidationError as exc:
        problem = first_problem(exc)
        flag = problem.where.partition(".")[0].replace("_", "-")
        raise SetupError(f"--{flag}: {problem.what}") from exc
    found = run_calibrate(run, labels=labels, settings=settings)
    target = out or run / _named(labels.criterion)
    found.save(target)
    if as_json:
        print_json(found.as_json(), indent=1)
    else:
        print(calibration_text(found))
    shown = target.with_suffix(".html")
    write_whole(shown, page(found))
    say("\ncalibration:", f"{target}   page: {shown}")


def needs_bench(feature: str) -> None:
    """Raise if the statistics packages are not installed.

    Raises:
    MissingExtra: with the install line.
    """
    if find_spec("scipy") is None:
        raise MissingExtra(feature, "bench")


def _named(criterion: str | None) -> str:
    if criterion is None:
        return "calibration.json"
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in criterion)
    return f"calibration-{plain}.json"
