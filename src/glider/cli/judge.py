"""`glider judge`: one text, or a whole file into a run folder."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from glider.cli import options
from glider.cli.flags import from_flags
from glider.cli.show import RunProgress, downloading, is_terminal, print_json, say, show_summary
from glider.cli.streams import output_is_lost
from glider.core.errors import GliderError, RunError, SetupError
from glider.data.settings import RowSettings
from glider.judging.settings import JudgeSettings
from glider.scale.settings import SharedRunSettings
from glider.store.targets import check_target

if TYPE_CHECKING:
    from glider.batch.file import JudgedFile
    from glider.core.judgments import Comparison, Failure, Judgment
    from glider.store.run import RunFolder

_TEXT = "One text"


@from_flags
def judge(
    data: str = typer.Argument(
        None,
        metavar="DATA",
        help="JSONL, CSV or Parquet file (.gz too), dataset folder, or - for JSONL on stdin.",
    ),
    criterion: list[str] = typer.Option(
        None,
        "--criterion",
        "-c",
        help="A shipped criterion's name or a YAML file; repeatable. "
        "`record`: each row has its own.",
    ),
    output: str = typer.Option(
        None, help="The text to judge; - reads it from stdin.", rich_help_panel=_TEXT
    ),
    input: str = typer.Option(
        None, help="The question or instruction the text answers.", rich_help_panel=_TEXT
    ),
    context: str = typer.Option(None, help="Source material for the text.", rich_help_panel=_TEXT),
    reference: str = typer.Option(None, help="A reference answer.", rich_help_panel=_TEXT),
    *,
    rows: RowSettings,
    single_order: bool = typer.Option(
        False,
        "--single-order",
        help="Compare pairs in one order only, not in both.",
        rich_help_panel=options.DATA,
    ),
    settings: JudgeSettings,
    cluster: SharedRunSettings,
    run: options.RunFolderPath = None,
    resume: options.Resume = False,
    retry_failures: options.RetryFailures = False,
    fail_on: str = typer.Option(
        None,
        help="Exit 5 if more judgments failed than this: 2% or 10.",
        rich_help_panel=options.RUN,
    ),
    out: Path = typer.Option(
        None,
        "--out",
        "-o",
        help="Write all outcomes to this .jsonl or .csv at the end instead of to stdout.",
        rich_help_panel=options.RUN,
    ),
    as_json: bool = typer.Option(
        False,
        "--json",
        help="Print outcomes as JSON lines, even on a terminal.",
        rich_help_panel=options.RUN,
    ),
) -> None:
    """Judge texts under criteria: a score, the reasoning, and the spans that decided it.

    Judging a file makes a run folder. A killed run continues with `--run DIR --resume`.
    """
    if "swap" in settings.strategies and (output is not None or single_order):
        raise SetupError(
            "the strategy swap compares two outputs in both orders",
            hint="leave out swap, or " + ("--single-order" if single_order else "--output"),
        )
    if (output is None) == (data is None):
        raise SetupError("give a data file, or one text with --output", hint="glider judge --help")
    json_lines = as_json or not is_terminal()
    if output is not None:
        of_a_file = (run, out, fail_on, resume, retry_failures, single_order, cluster.on)
        if any(of_a_file) or replace(rows, seed=None) != RowSettings():
            raise SetupError(
                "--output judges one text, which has no rows, no run and no file of outcomes",
                hint="leave out the flags of `Data`, `Run` and `Several machines`, or give a file",
            )
        _judge_one(settings, output, input, context, reference, criterion or [], json_lines)
        return
    if input or context or reference:
        raise SetupError(
            "--input, --context and --reference go with --output; a file has columns",
            hint="--map input=COLUMN names a column",
        )
    allowed = _share(fail_on)
    cluster.check()
    options.check_resume(run, resume, retry_failures)
    if out is not None:
        reads = options.what_is_read(data, criterion or (), settings.models)
        check_target(out, reads=reads, closed=[run] if run else [], suffixes=(".jsonl", ".csv"))
    printed = None if out else _print_json_line if json_lines else _print_line
    judged = judge_with_progress(
        data, criterion or [], run, settings, rows, cluster=cluster, on_outcome=printed,
        both_orders=not single_order, resume=resume, retry_failures=retry_failures,
    )  # fmt: skip
    show_summary(judged.summary)
    say("run:", f"{judged.run}   report: glider report {judged.run}")
    if out is not None:
        _write(judged.run, out, can_resume=data != "-")
    elif output_is_lost():
        _tell_where(judged.run, can_resume=data != "-")
    _check(judged, allowed)


def _judge_one(
    settings: JudgeSettings,
    output: str,
    input: str | None,
    context: str | None,
    reference: str | None,
    criteria: Sequence[str],
    json_lines: bool,
) -> None:
    from glider.cli.outcome import show
    from glider.core.judgments import Failure
    from glider.core.samples import Sample
    from glider.data.library import criteria_asked

    asked = criteria_asked(criteria)
    if not asked:
        raise SetupError("a single text brings no criterion of its own", hint="--criterion NAME")
    sample = Sample.of(
        _stdin() if output == "-" else output, input=input, context=context, reference=reference
    )
    failed: Failure | None = None
    with downloading() as progress:
        opened = settings.open(progress)
    with opened as one:
        for outcome, criterion in zip(
            one.judge_many([(sample, c) for c in asked]), asked, strict=True
        ):
            if json_lines:
                print_json(outcome.model_dump(mode="json"))
            else:
                show(outcome, sample, criterion.rubric)
            failed = outcome if isinstance(outcome, Failure) else failed
    if failed is not None:
        failed.or_raise()


def _stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as exc:
        raise SetupError(
            f"standard input is not utf-8: byte 0x{exc.object[exc.start]:02x} at {exc.start}",
            hint="iconv -f ENCODING -t UTF-8 makes it so",
        ) from exc


def judge_with_progress(
    data: str,
    criteria: Sequence[str],
    run: Path | None,
    settings: JudgeSettings,
    rows: RowSettings,
    *,
    cluster: SharedRunSettings | None = None,
    on_outcome: "Callable[[int, Judgment | Failure | Comparison], None] | None" = None,
    both_orders: bool = True,
    resume: bool = False,
    retry_failures: bool = False,
    name: str | None = None,
) -> "JudgedFile":
    """`judge_file` with a progress bar; if it is stopped, it prints how to resume."""
    from glider.batch.file import judge_file

    begun: list[RunFolder] = []
    progress = RunProgress(None)

    def on_start(folder: "RunFolder", to_come: int | None) -> None:
        download.close()
        begun.append(folder)
        progress.total = to_come
        if resume:
            say("resuming", f"{folder.path}: {folder.n_done} outcomes done")

    def on_each(row: int, outcome: "Judgment | Failure | Comparison") -> None:
        progress.add(outcome)
        if on_outcome is not None:
            on_outcome(row, outcome)

    try:
        with downloading() as download, progress:
            return judge_file(
                data, criteria, run,
                settings=settings, rows=rows, cluster=cluster, both_orders=both_orders,
                resume=resume, retry_failures=retry_failures,
                name=name, on_start=on_start, on_outcome=on_each, progress=download,
                notify=partial(say, "note"),
            )  # fmt: skip
    except (KeyboardInterrupt, GliderError, OSError):
        for folder in begun:
            options.tell_stopped(folder.path, folder.n_done, can_resume=data != "-")
        raise


def _print_line(row: int, outcome: "Judgment | Failure | Comparison") -> None:
    from glider.cli.outcome import print_line

    print_line(outcome)


def _print_json_line(row: int, outcome: "Judgment | Failure | Comparison") -> None:
    from glider.batch.outcomes import as_plain

    print_json(as_plain(row, outcome))


def _write(run: Path, out: Path, can_resume: bool) -> None:
    from glider.batch.outcomes import write_outcomes

    try:
        write_outcomes(run, out)
    except GliderError as error:
        _tell_where(run, can_resume)
        raise RunError(error.message, hint=error.hint) from error
    say("outcomes:", str(out))


def _tell_where(run: Path, can_resume: bool) -> None:
    """Say where the outcomes are when the copy could not be written, and how to get a copy."""
    say(
        "[yellow]judging is done[/], but the copy could not be written.",
        f"The outcomes are in {run}",
    )
    if can_resume:
        say("", "  " + options.resume_line(run, "--run"))


def _share(fail_on: str | None) -> tuple[float | None, int | None]:
    """Parse `2%` or `0.02` as a share of all judgments, a whole number as a count."""
    if fail_on is None:
        return None, None
    try:
        if fail_on.endswith("%"):
            return float(fail_on[:-1]) / 100, None
        return (None, int(fail_on)) if fail_on.isdecimal() else (float(fail_on), None)
    except ValueError:
        raise SetupError(
            f"--fail-on takes a share (2%, 0.02) or a count, not {fail_on!r}"
        ) from None


def _check(judged: "JudgedFile", allowed: tuple[float | None, int | None]) -> None:
    failed, asked = judged.failed, judged.asked
    share, count = allowed
    if (share is not None and failed > share * asked) or (count is not None and failed > count):
        say("[bold red]too many failed[/]:", f"{failed} of {asked} were not judged")
        raise typer.Exit(5)
    if asked and failed == asked:
        rows = judged.summary["criteria"].values()
        raise options.nothing_judged(code for row in rows for code in row["failures"])
