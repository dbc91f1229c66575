"""`glider judge`: one text, or a whole file into a run folder."""

import sys
from pathlib import Path
from typing import Any

import typer

from glider.cli import options
from glider.cli.files import Source, asked_criteria, judge_file
from glider.cli.settings import JudgeSettings, strategy_names
from glider.cli.show import is_terminal, say, show, show_summary
from glider.core.criteria import Criterion
from glider.core.errors import SetupError
from glider.core.judgments import Failure
from glider.core.samples import Sample

_TEXT = "One text"


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
        help="Name of a shipped criterion or a YAML file; may be given again. "
        "`record`: each row brings its own.",
    ),
    output: str = typer.Option(
        None, help="Judge this text; - reads it from stdin.", rich_help_panel=_TEXT
    ),
    input: str = typer.Option(None, help="What was asked.", rich_help_panel=_TEXT),
    context: str = typer.Option(
        None, help="Material the output must rest on.", rich_help_panel=_TEXT
    ),
    reference: str = typer.Option(None, help="A reference answer.", rich_help_panel=_TEXT),
    map: options.Maps = None,
    judged: options.Judged = None,
    preset: options.Preset = None,
    encoding: options.Encoding = "utf-8",
    limit: int = typer.Option(
        None, min=1, help="Judge this many rows.", rich_help_panel=options.DATA
    ),
    single_order: bool = typer.Option(
        False,
        "--single-order",
        help="Compare pairs in one order only.",
        rich_help_panel=options.DATA,
    ),
    model: options.Model = "embedded",
    format: options.FormatName = None,
    samples: options.Samples = 1,
    temperature: options.Temperature = 0.8,
    seed: int = typer.Option(
        None,
        help="Draws the rows of --limit at random (the first ones without it), and the answers "
        "of --samples.",
        rich_help_panel=options.JUDGE,
    ),
    strategy: options.Strategies = None,
    aspect: options.Aspects = None,
    jury: options.Jury = None,
    order: options.Order = None,
    explain: bool = typer.Option(
        True,
        "--explain/--no-explain",
        help="Quotes and reason, or just the score.",
        rich_help_panel=options.ASK,
    ),
    layout: options.Layout = None,
    max_tokens: options.MaxTokens = None,
    context_tokens: options.ContextTokens = None,
    truncate: options.Truncate = False,
    base_url: options.BaseUrl = None,
    grammar: options.GrammarKind = "auto",
    max_connections: options.MaxConnections = 64,
    timeout: options.Timeout = 120.0,
    max_retries: options.MaxRetries = 6,
    price_in: options.PriceIn = None,
    price_out: options.PriceOut = None,
    max_cost: options.MaxCost = None,
    run: options.RunFolderPath = None,
    resume: options.Resume = False,
    retry_failures: options.RetryFailures = False,
    fail_on: str = typer.Option(
        None, help="Exit 5 if more failed than this: 2% or 10.", rich_help_panel=options.RUN
    ),
    out: Path = typer.Option(
        None,
        "--out",
        "-o",
        help="Write outcomes to this .jsonl or .csv, not to stdout.",
        rich_help_panel=options.RUN,
    ),
    as_json: bool = typer.Option(
        False,
        "--json",
        help="Outcomes as JSON lines, also on a terminal.",
        rich_help_panel=options.RUN,
    ),
) -> None:
    """Judge texts under criteria: a score, the reasoning, and the spans that decided it.

    A file becomes a run folder that survives being killed: `--run DIR --resume` goes on with it.
    """
    settings = JudgeSettings(
        model=model,
        format=format,
        order=order,
        explain=explain,
        layout=layout,
        samples=samples,
        temperature=temperature,
        max_tokens=max_tokens,
        truncate=truncate,
        seed=seed or 0,
        context_tokens=context_tokens,
        base_url=base_url,
        max_connections=max_connections,
        timeout_s=timeout,
        max_retries=max_retries,
        price_in=price_in,
        price_out=price_out,
        max_cost=max_cost,
        grammar=grammar,
        strategies=strategy_names(strategy or ()),
        aspects=tuple(aspect or ()),
        jury=tuple(jury or ()),
    )
    if "swap" in settings.strategies and (output is not None or single_order):
        raise SetupError(
            "the strategy swap compares two outputs in both orders",
            hint="leave out swap, or " + ("--single-order" if single_order else "--output"),
        )
    criteria = asked_criteria(criterion or [])
    if (output is None) == (data is None):
        raise SetupError("give a data file, or one text with --output", hint="glider judge --help")
    if output is not None:
        sample = Sample.of(
            sys.stdin.read() if output == "-" else output,
            input=input,
            context=context,
            reference=reference,
        )
        _judge_one(settings, sample, criteria, as_json)
        return
    if input or context or reference:
        raise SetupError(
            "--input, --context and --reference go with --output; a file has columns",
            hint="--map input=COLUMN names a column",
        )
    allowed = _share(fail_on)
    source = Source(
        path=data,
        encoding=encoding,
        maps=tuple(map or ()),
        judged=tuple(judged or ()),
        preset=preset,
        limit=limit,
        seed=seed,
        both_orders=not single_order,
    )
    folder = _run_folder(run, data, resume, retry_failures)
    summary = judge_file(
        settings,
        source,
        criteria,
        folder,
        resume=resume,
        retry_failures=retry_failures,
        out=out,
        json_lines=as_json or not is_terminal(),
    )
    show_summary(summary)
    say("run:", f"{folder}   report: glider report {folder}")
    _check(summary, allowed)


def _judge_one(
    settings: JudgeSettings, sample: Sample, criteria: list[Criterion], as_json: bool
) -> None:
    if not criteria:
        raise SetupError("a single text brings no criterion of its own", hint="--criterion NAME")
    failed: Failure | None = None
    with settings.open() as judge:
        for outcome, criterion in zip(
            judge.judge_many([(sample, c) for c in criteria]), criteria, strict=True
        ):
            if as_json or not is_terminal():
                print(outcome.model_dump_json())
            else:
                show(outcome, sample, criterion.rubric)
            failed = outcome if isinstance(outcome, Failure) else failed
    if failed is not None:
        failed.or_raise()


def _run_folder(run: Path | None, data: str, resume: bool, retry_failures: bool) -> Path:
    if (resume or retry_failures) and run is None:
        raise SetupError("--resume needs --run: the folder to go on with")
    if retry_failures and not resume:
        raise SetupError("--retry-failures goes with --resume")
    if run is not None:
        return run
    name = "stdin" if data == "-" else Path(data).name.split(".")[0]
    return options.dated_folder(f"runs/{name}-")


def _share(fail_on: str | None) -> tuple[float | None, int | None]:
    """`2%` or `0.02` is a share of what was asked; a whole number is a count."""
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


def _check(summary: dict[str, Any], allowed: tuple[float | None, int | None]) -> None:
    failed, asked = summary["failed"], summary["asked"]
    share, count = allowed
    if (share is not None and failed > share * asked) or (count is not None and failed > count):
        say("[bold red]too many failed[/]:", f"{failed} of {asked} were not judged")
        raise typer.Exit(5)
    if asked and failed == asked:
        reasons = [code for row in summary["criteria"].values() for code in row["failures"]]
        raise options.nothing_judged(reasons)
