"""`glider report`: a run as one HTML file."""

from pathlib import Path

import typer

from glider.cli.show import say
from glider.store.targets import check_target, run_files


def report(
    run: Path = typer.Argument(..., metavar="RUN", help="Folder of a run."),
    out: Path = typer.Option(None, "--out", "-o", help="File to write [RUN/report.html]."),
) -> None:
    """Write a run as one self-contained HTML page: scores, failures, texts with highlights."""
    check_target(out, reads=run_files(run))
    write_report(run, out or run / "report.html")


def write_report(run: Path, target: Path) -> None:
    """Make the page, and the run's figures anew; what only the run itself knew is kept."""
    from glider.report.html import build_report
    from glider.report.summary import stored_summary, summarise
    from glider.store.run import load_manifest, write_summary

    load_manifest(run)
    before = stored_summary(run)
    kept = {key: before[key] for key in ("session", "finished") if key in before}
    write_summary(run, summarise(run) | {"finished": False} | kept)
    build_report(run, target)
    say("report:", str(target))
