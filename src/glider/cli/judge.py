"""`glider judge`: one text, or a whole file into a run folder."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from glider.cli.files import Source, judge_file
from glider.cli.settings import JudgeSettings
from glider.cli.show import is_terminal, say, show, show_summary
from glider.core.criteria import Criterion
from glider.core.errors import SetupError
from glider.core.judgments import Failure
from glider.core.samples import Sample
from glider.judging.strategies import STRATEGIES

_TEXT, _DATA, _JUDGE, _STRATEGY, _ASK, _ENDPOINT, _RUN = (
    "One text", "Data", "Judge", "Strategy", "How to ask", "Endpoint", "Run",
)  # fmt: skip


def judge(
    data: str = typer.Argument(
        None, help="JSONL, CSV or Parquet file (.gz too), dataset folder, or - for JSONL on stdin."
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
    map: list[str] = typer.Option(
        None, "--map", help="FIELD=COLUMN, e.g. output=answer.", rich_help_panel=_DATA
    ),
    judged: list[str] = typer.Option(
        None, help="Field to judge in place of output; may be given again.", rich_help_panel=_DATA
    ),
    preset: str = typer.Option(
        None, help="Column names of another tool; guessed if not given.", rich_help_panel=_DATA
    ),
    encoding: str = typer.Option("utf-8", help="Encoding of text files.", rich_help_panel=_DATA),
    limit: int = typer.Option(None, min=1, help="Judge this many rows.", rich_help_panel=_DATA),
    single_order: bool = typer.Option(
        False, "--single-order", help="Compare pairs in one order only.", rich_help_panel=_DATA
    ),
    model: str = typer.Option(
        "embedded",
        "--model",
        "-m",
        help="provider/model or a .gguf file; see `glider models`.",
        rich_help_panel=_JUDGE,
    ),
    format: str = typer.Option(
        None, help="nano, glider, prometheus, flow-judge, chat-json.", rich_help_panel=_JUDGE
    ),
    samples: int = typer.Option(
        1, min=1, help="Answers per task, averaged.", rich_help_panel=_JUDGE
    ),
    temperature: float = typer.Option(
        0.8, min=0.0, help="With --samples above 1.", rich_help_panel=_JUDGE
    ),
    seed: int = typer.Option(
        None,
        help="Draws the rows of --limit at random (the first ones without it), and the answers "
        "of --samples.",
        rich_help_panel=_JUDGE,
    ),
    strategy: list[str] = typer.Option(
        None,
        help="NAME[,NAME...], the first sees the task as it is: rules, questions, reference, swap, "
        "mean, decompose, scenario, banded.",
        rich_help_panel=_STRATEGY,
    ),
    aspect: list[str] = typer.Option(
        None,
        help="Of decompose: NAME or NAME=WEIGHT; the model settles what is not given.",
        rich_help_panel=_STRATEGY,
    ),
    jury: list[str] = typer.Option(
        None,
        help="A further model; the mean of all is taken. May be given again.",
        rich_help_panel=_STRATEGY,
    ),
    order: str = typer.Option(None, help="score-first or reason-first.", rich_help_panel=_ASK),
    explain: bool = typer.Option(
        True,
        "--explain/--no-explain",
        help="Quotes and reason, or just the score.",
        rich_help_panel=_ASK,
    ),
    layout: str = typer.Option(None, help="criterion-first or sample-first.", rich_help_panel=_ASK),
    max_tokens: int = typer.Option(None, min=1, help="Longest answer.", rich_help_panel=_ASK),
    context_tokens: int = typer.Option(
        None, min=256, help="Embedded: room for prompt and answer [4096].", rich_help_panel=_ASK
    ),
    truncate: bool = typer.Option(
        False,
        "--truncate",
        help="Shorten texts that do not fit, and mark the cut.",
        rich_help_panel=_ASK,
    ),
    base_url: str = typer.Option(
        None, help="Endpoint [$OPENAI_BASE_URL].", rich_help_panel=_ENDPOINT
    ),
    grammar: str = typer.Option(
        "auto", help="auto, vllm, llama.cpp, json-schema, none.", rich_help_panel=_ENDPOINT
    ),
    max_connections: int = typer.Option(
        64, min=1, help="Most requests at once.", rich_help_panel=_ENDPOINT
    ),
    timeout: float = typer.Option(
        120.0, min=0.1, help="Seconds for one whole answer.", rich_help_panel=_ENDPOINT
    ),
    max_retries: int = typer.Option(
        6, min=0, help="Retries of what a retry may mend.", rich_help_panel=_ENDPOINT
    ),
    price_in: float = typer.Option(
        None, min=0.0, help="Price of a million prompt tokens.", rich_help_panel=_ENDPOINT
    ),
    price_out: float = typer.Option(
        None, min=0.0, help="Price of a million answer tokens.", rich_help_panel=_ENDPOINT
    ),
    max_cost: float = typer.Option(
        None, min=0.0, help="Stop asking before this is spent.", rich_help_panel=_ENDPOINT
    ),
    run: Path = typer.Option(
        None, help="Folder of the run [runs/NAME-TIME].", rich_help_panel=_RUN
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with the run in --run.", rich_help_panel=_RUN
    ),
    retry_failures: bool = typer.Option(
        False,
        "--retry-failures",
        help="With --resume: judge retryable failures anew.",
        rich_help_panel=_RUN,
    ),
    fail_on: str = typer.Option(
        None, help="Exit 5 if more failed than this: 2% or 10.", rich_help_panel=_RUN
    ),
    out: Path = typer.Option(
        None,
        "--out",
        "-o",
        help="Write outcomes to this .jsonl or .csv, not to stdout.",
        rich_help_panel=_RUN,
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Outcomes as JSON lines, also on a terminal.", rich_help_panel=_RUN
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
        strategies=_strategies(strategy or []),
        aspects=tuple(aspect or ()),
        jury=tuple(jury or ()),
    )
    if "swap" in settings.strategies and (output is not None or single_order):
        raise SetupError(
            "the strategy swap compares two outputs in both orders",
            hint="leave out swap, or " + ("--single-order" if single_order else "--output"),
        )
    criteria = _criteria(criterion or [])
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


def _strategies(given: list[str]) -> tuple[str, ...]:
    names = tuple(name.strip() for words in given for name in words.split(","))
    for name in names:
        STRATEGIES.get(name)
    return names


def _criteria(names: list[str]) -> list[Criterion]:
    from glider.data.library import load_criteria

    if not names:
        raise SetupError(
            "no criterion given", hint="--criterion NAME; `glider criteria` lists the shipped ones"
        )
    if names == ["record"]:
        return []
    found = [criterion for name in names for criterion in load_criteria(name)]
    repeated = {c.name for c in found if sum(o.name == c.name for o in found) > 1}
    if repeated:
        raise SetupError(f"criterion given twice: {', '.join(sorted(repeated))}")
    return found


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
    return Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"


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
        say("[bold red]nothing was judged[/]")
        stages = {
            code.split("/")[0] for row in summary["criteria"].values() for code in row["failures"]
        }
        raise typer.Exit(3 if stages <= {"load", "prepare"} else 4)
