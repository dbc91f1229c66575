"""`glider apply`: a calibration put on a run, score by score, with what may stand unseen."""

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

import typer

from glider.cli.calibrate import needs_bench
from glider.cli.show import say
from glider.core.errors import SetupError


def apply(
    calibration: Path = typer.Argument(
        ...,
        metavar="CALIBRATION",
        help="File that `glider calibrate` wrote.",
        show_default=False,
    ),
    run: Path = typer.Argument(
        ...,
        metavar="RUN",
        help="Folder of a run by the same judge, under the same criterion.",
        show_default=False,
    ),
    out: Path = typer.Option(None, "--out", "-o", help="Write to this .jsonl, not to stdout."),
) -> None:
    """Calibrated scores of a run, and which of its judgments may stand without a person.

    One JSON line an outcome: `score` on people's scale, `p_pass`, the judge's `confidence`, and
    `keep`, which is false for what a person should look at and for what was not judged.
    """
    needs_bench("glider apply")
    from glider.calibration.model import Calibration

    learnt = Calibration.load(calibration)
    kept = deferred = failed = 0
    with _opened(out) as file:
        for row, outcome, found in learnt.over(run):
            told = {"row": row, "sample_id": outcome.sample_id, "criterion": learnt.criterion}
            print(json.dumps(told | found.model_dump(), ensure_ascii=False), file=file)
            kept += found.keep
            failed += found.score is None
            deferred += not found.keep and found.score is not None
    say("kept:", f"{kept:,}   to look at: {deferred:,}   not judged: {failed:,}")
    if learnt.threshold is None:
        why = learnt.finding("threshold").undefined
        say("[yellow]nothing is kept[/]:", f"this calibration has no threshold ({why})")


def _opened(out: Path | None) -> AbstractContextManager[TextIO]:
    if out is None:
        return nullcontext(sys.stdout)
    if out.suffix != ".jsonl":
        raise SetupError(f"--out writes .jsonl, not {out.name!r}")
    try:
        return out.open("w", encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"cannot write {out}: {exc.strerror}") from exc
