"""`glider demo`: shipped texts with planted faults under three criteria, and the report."""

from pathlib import Path

import typer

from glider.cli.show import say, show_summary

CRITERIA = ("faithfulness", "instruction-following", "conciseness")
_SHOWN_WHOLE = 3


def demo(
    run: Path = typer.Option(None, help="Folder of the run [runs/demo-TIME]."),
) -> None:
    """Judge thirty shipped texts under three criteria, half with a planted fault; write a
    report.

    Ends with how many faults the embedded judge found and how many clean texts it blamed.
    """
    from importlib.resources import as_file, files

    from glider.cli.judge import judge_with_progress
    from glider.cli.outcome import show
    from glider.data.library import load_criterion
    from glider.data.settings import RowSettings
    from glider.demo.texts import FILE, planted_faults
    from glider.judging.settings import JudgeSettings
    from glider.report.planted import write_planted
    from glider.report.write import write_report
    from glider.store.run import samples

    with as_file(files("glider.demo") / FILE) as path:
        judged = judge_with_progress(
            str(path), CRITERIA, run, JudgeSettings(), RowSettings(), name="demo"
        )
    texts = dict(samples(judged.run))
    for row, outcome in sorted(judged.outcomes(), key=lambda item: item[0])[:_SHOWN_WHOLE]:
        show(outcome, texts[row], load_criterion(outcome.criterion).rubric)
    show_summary(judged.summary)
    write_planted(judged.run, planted_faults())
    show_planted(judged.run)
    say("report:", str(write_report(judged.run)))
    say("run:", str(judged.run))


def show_planted(run: Path) -> None:
    """Print how many planted faults a run's judge found."""
    from glider.report.planted import RULE, planted_figures
    from glider.stats.estimates import Estimate

    figures = planted_figures(run)
    assert figures is not None
    for name, n, figure in figures.lines:
        if isinstance(figure, Estimate):
            failed = f", {figure.skipped} not judged" if figure.skipped else ""
            reach = f"[{figure.low:.0%}, {figure.high:.0%}]"
            say(f"[bold]{name}[/]:", f"{n} of {figure.n} ({figure.value:.0%} {reach}){failed}")
    say(figures.reading)
    say("[dim]How this is counted:[/]", RULE)
