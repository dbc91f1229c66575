"""`glider demo`: thirty shipped texts under three criteria, and the report."""

from importlib.resources import as_file, files
from pathlib import Path

import typer

from glider.cli import options
from glider.cli.report import write_report
from glider.cli.show import say, show, show_summary

_CRITERIA = ("faithfulness", "instruction-following", "conciseness")
_SHOWN_WHOLE = 3


def demo(
    run: Path = typer.Option(None, help="Folder of the run [runs/demo-TIME]."),
) -> None:
    """Judge thirty shipped texts under three criteria with the embedded model; write a report.

    The embedded judge is small: `docs/benchmarks.md` says how far to believe it.
    """
    from glider.cli.files import Source, judge_file
    from glider.cli.settings import JudgeSettings
    from glider.core.samples import Sample
    from glider.data.library import load_criterion
    from glider.store.run import outcomes, samples

    folder = run or options.dated_folder("runs/demo-")
    criteria = {name: load_criterion(name) for name in _CRITERIA}
    with as_file(files("glider.demo") / "samples.jsonl") as path:
        source = Source(path=str(path))
        summary = judge_file(JudgeSettings(), source, list(criteria.values()), folder)
    texts: dict[int, Sample] = dict(samples(folder))
    for row, outcome in sorted(outcomes(folder), key=lambda item: item[0])[:_SHOWN_WHOLE]:
        show(outcome, texts[row], criteria[outcome.criterion].rubric)
    show_summary(summary)
    write_report(folder, folder / "report.html")
    say("run:", str(folder))
