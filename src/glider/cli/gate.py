"""`glider gate`: exit 5 unless figures surely keep to their bounds."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from glider.core.errors import RunError, SetupError
from glider.store.atomic import write_whole
from glider.store.targets import check_target, run_files

if TYPE_CHECKING:
    from glider.gate.results import ResultsFigures
    from glider.gate.runs import RunFigures

_OUT = "Output"


def gate(
    path: Path = typer.Argument(
        ..., metavar="RUN", help="Folder of a run, or results.json of a bench."
    ),
    check: list[str] = typer.Option(
        None,
        "--check",
        help="METRIC:NAME OP BOUND; may be given again. Of a run: mean_score, "
        "pass_rate:NAME@LEVEL, coverage, failed, flip_rate; of a bench: its metrics, coverage, "
        "failed. "
        "OP is >=, >, <=, < or `no worse than` (with --baseline).",
    ),
    baseline: Path = typer.Option(
        None, help="Run over the same samples, to compare with sample by sample."
    ),
    cluster: str = typer.Option(
        None,
        help="Of a run: field or column shared by rows that are not independent [same input and "
        "context]; none: all are independent.",
    ),
    system: str = typer.Option(None, help="Of a bench with several systems: which."),
    lenient: bool = typer.Option(
        False,
        "--lenient",
        help="Fail only what is surely broken; by default only what surely holds passes.",
    ),
    junit: Path = typer.Option(None, help="Write JUnit XML here.", rich_help_panel=_OUT),
    markdown: Path = typer.Option(
        None, help="Write a Markdown summary here.", rich_help_panel=_OUT
    ),
) -> None:
    """Check figures against bounds by their whole interval; exit 5 if a check fails.

    `glider gate runs/new --check 'mean_score:tone >= 3.5' --check 'coverage >= 95%'`
    """
    from glider.gate import render
    from glider.gate.checks import Answer, parse_checks

    reads = [path / "results.json", path / "audit.json", *run_files(path)]
    if path.is_file():
        reads.append(path)
    if baseline is not None:
        reads += run_files(baseline)
    check_target(junit, reads=reads, flag="--junit")
    check_target(markdown, reads=[*reads, junit], flag="--markdown")
    checks = parse_checks(check or [])
    figures = _figures(path, baseline, cluster, system)
    answers = [Answer(check=c, measured=figures.measure(c)) for c in checks]
    print(render.table(answers, lenient=lenient), file=sys.stderr)
    if junit is not None:
        write_whole(junit, render.junit(figures.name, answers, lenient=lenient))
    if markdown is not None:
        write_whole(markdown, render.markdown(figures.name, answers, lenient=lenient))
    if not all(answer.passes(lenient=lenient) for answer in answers):
        raise typer.Exit(5)


def _figures(
    path: Path, baseline: Path | None, cluster: str | None, system: str | None
) -> "RunFigures | ResultsFigures":
    from glider.gate.results import ResultsFigures
    from glider.gate.runs import RunFigures

    if (path / "manifest.json").exists():
        if system is not None:
            raise SetupError("--system is for the results of a bench; a run has one judge")
        return RunFigures(path, baseline, cluster=cluster)
    if baseline is not None:
        raise SetupError("--baseline compares two runs", hint="give run folders, not results.json")
    if cluster is not None:
        raise SetupError("--cluster is for a run; a bench has the clusters of its sets")
    file = path / "results.json" if path.is_dir() else path
    if not file.exists():
        raise RunError(f"{path} is neither a run nor the results of a bench")
    return ResultsFigures(file, system)
