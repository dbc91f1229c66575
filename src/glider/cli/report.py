"""`glider report`: show a run as one HTML file."""

from pathlib import Path

import typer

from glider.cli.show import say


def report(
    run: Path = typer.Argument(..., metavar="RUN", help="Folder of a run."),
    out: Path = typer.Option(None, "--out", "-o", help="File to write [RUN/report.html]."),
) -> None:
    """Write a run as one self-contained HTML page: scores, failures, and texts with highlights."""
    from glider.report.write import write_report

    say("report:", str(write_report(run, out)))
