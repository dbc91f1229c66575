"""`glider demo`: thirty shipped texts under three criteria, and the report."""

from pathlib import Path

import typer

from glider.cli.show import say, show_summary

_CRITERIA = ("faithfulness", "instruction-following", "conciseness")
_SHOWN_WHOLE = 3


def demo(
    run: Path = typer.Option(None, help="Folder of the run [runs/demo-TIME]."),
) -> None:
    """Judge thirty shipped texts under three criteria with the embedded model; write a report.

    The embedded judge is small: `docs/benchmarks.md` says how far to believe it.
    """
    from importlib.resources import as_file, files

    from glider.cli.judge import judge_with_progress
    from glider.cli.outcome import show
    from glider.cli.report import write_report
    from glider.data.library import load_criterion
    from glider.data.settings import DataSettings
    from glider.judging.settings import JudgeSettings
    from glider.store.run import samples

    with as_file(files("glider.demo") / "samples.jsonl") as path:
        judged = judge_with_progress(
            str(path), _CRITERIA, run, JudgeSettings(), DataSettings(), name="demo"
        )
    texts = dict(samples(judged.run))
    for row, outcome in sorted(judged.outcomes(), key=lambda item: item[0])[:_SHOWN_WHOLE]:
        show(outcome, texts[row], load_criterion(outcome.criterion).rubric)
    show_summary(judged.summary)
    write_report(judged.run, judged.run / "report.html")
    say("run:", str(judged.run))
