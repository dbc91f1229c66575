"""`glider apply`: apply a calibration to a run; say which judgments need no human review."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from glider.cli.calibrate import needs_bench
from glider.cli.show import print_json, say
from glider.store.targets import check_target, run_files


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
    """Apply a calibration to a run, and say which judgments need no human review.

    Prints one JSON line per outcome: `score` on the scale of the human labels, `p_pass`, the
    judge's `confidence`, and `keep`. `keep` is false where a person should look, and where
    judging failed.
    """
    check_target(out, reads=[calibration, *run_files(run)], suffixes=(".jsonl",))
    needs_bench("glider apply")
    from glider.calibration.calibrate import apply_calibration
    from glider.calibration.model import Calibration
    from glider.store.atomic import write_json_lines

    learnt = Calibration.load(calibration)
    counts = Counter[str]()

    def lines() -> Iterator[dict[str, Any]]:
        for each in apply_calibration(learnt, run):
            found = each.applied
            counts["failed" if found.score is None else "kept" if found.keep else "deferred"] += 1
            where = {"row": each.row, "sample_id": each.outcome.sample_id}
            yield where | {"criterion": learnt.criterion} | found.model_dump(mode="json")

    if out is not None:
        write_json_lines(out, lines())
    else:
        for line in lines():
            print_json(line)
    kept, deferred, failed = (f"{counts[name]:,}" for name in ("kept", "deferred", "failed"))
    say("kept:", f"{kept}   to review: {deferred}   not judged: {failed}")
    if learnt.threshold is None:
        why = learnt.finding("threshold").undefined
        say("[yellow]nothing is kept[/]:", f"this calibration has no threshold ({why})")
