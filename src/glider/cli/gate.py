"""`glider gate`: exit 5 unless the whole interval of each figure is within its bound."""

import sys
from pathlib import Path

import typer

from glider.store.atomic import write_whole
from glider.store.targets import check_target, run_files

_OUT = "Output"


def gate(
    path: Path = typer.Argument(
        ..., metavar="RUN", help="Folder of a run, or results.json of a bench."
    ),
    check: list[str] = typer.Option(
        None,
        "--check",
        help="METRIC:NAME OP BOUND; repeatable. Metrics of a run: mean_score, "
        "normalized_mean, pass_rate:NAME@LEVEL, coverage, failed, flip_rate; of a bench: its "
        "metrics, coverage, failed. "
        "OP is >=, >, <=, < or `no worse than` (with --baseline).",
    ),
    baseline: Path = typer.Option(
        None, help="Earlier run over the same samples, compared sample by sample."
    ),
    cluster: str = typer.Option(
        None,
        help="Run only: field or column shared by rows that are not independent [same input and "
        "context]; `none`: all are independent.",
    ),
    system: str = typer.Option(None, help="Bench with several systems: the one to check."),
    lenient: bool = typer.Option(
        False,
        "--lenient",
        help="Fail only if the whole interval is on the wrong side of the "
        "bound. By default a check "
        "passes only if the whole interval is on the right side.",
    ),
    junit: Path = typer.Option(None, help="Write JUnit XML to this file.", rich_help_panel=_OUT),
    markdown: Path = typer.Option(
        None, help="Write a Markdown summary to this file.", rich_help_panel=_OUT
    ),
) -> None:
    """Check figures against bounds, using the whole interval; exit 5 if a check fails.

    `glider gate runs/new --check 'mean_score:tone >= 3.5' --check 'coverage >= 95%'`
    """
    from glider.gate import render
    from glider.gate.gate import gate_run

    reads = [path / "results.json", path / "audit.json", *run_files(path)]
    if path.is_file():
        reads.append(path)
    if baseline is not None:
        reads += run_files(baseline)
    check_target(junit, reads=reads, flag="--junit")
    check_target(markdown, reads=[*reads, junit], flag="--markdown")
    found = gate_run(path, check or [], baseline=baseline, cluster=cluster, system=system)
    print(render.table(found.answers, lenient=lenient), file=sys.stderr)
    if junit is not None:
        write_whole(junit, render.junit(found.name, found.answers, lenient=lenient))
    if markdown is not None:
        write_whole(markdown, render.markdown(found.name, found.answers, lenient=lenient))
    if not found.passes(lenient=lenient):
        raise typer.Exit(5)
