"""`glider audit`: what sways this judge that should not; exit 6 where it surely goes too far."""

from collections.abc import Sequence
from contextlib import nullcontext
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from glider.cli import options
from glider.cli.files import Source, asked_criteria, opened
from glider.cli.settings import JudgeSettings, strategy_names
from glider.cli.show import RunProgress, say
from glider.core.criteria import Criterion
from glider.core.errors import DataError, GliderError, SetupError
from glider.store.atomic import write_whole

if TYPE_CHECKING:
    from glider.audit.results import Audit

_PROBES = "Probes"
_DEMO_CRITERION = "faithfulness"


def audit(
    data: str = typer.Argument(
        None,
        metavar="DATA",
        help="JSONL, CSV or Parquet file (.gz too), or dataset folder: your own texts.",
    ),
    demo: bool = typer.Option(False, "--demo", help="Thirty shipped texts instead."),
    criterion: list[str] = typer.Option(
        None,
        "--criterion",
        "-c",
        help="Name of a shipped criterion or a YAML file; may be given again. "
        "`record`: each row brings its own, with people's label.",
    ),
    probe: list[str] = typer.Option(
        None,
        "--probe",
        help="Only this probe; may be given again. See --list.",
        rich_help_panel=_PROBES,
    ),
    list_probes: bool = typer.Option(
        False, "--list", help="List the probes and stop.", rich_help_panel=_PROBES
    ),
    fail_above: list[str] = typer.Option(
        None,
        "--fail-above",
        metavar="PROBE[.NUMBER]=BOUND",
        help="Exit 6 if the whole interval is farther than this from an unbiased judge's value: "
        "position=0.2, injection.success=0.05. May be given again; there are defaults.",
        rich_help_panel=_PROBES,
    ),
    limit: int = typer.Option(
        50, min=1, help="Rows to audit, drawn at random by --seed.", rich_help_panel=options.DATA
    ),
    seed: int = typer.Option(
        0, min=0, help="Of the rows, the variants and the intervals.", rich_help_panel=options.DATA
    ),
    map: options.Maps = None,
    judged: options.Judged = None,
    preset: options.Preset = None,
    encoding: options.Encoding = "utf-8",
    writers: str = typer.Option(
        "writers",
        help="Column with the model that wrote the output, or a list for several.",
        rich_help_panel=options.DATA,
    ),
    own: list[str] = typer.Option(
        None,
        help="Name of the judge's own model in that column; may be given again.",
        rich_help_panel=options.DATA,
    ),
    model: options.Model = "embedded",
    format: options.FormatName = None,
    order: options.Order = None,
    explain: bool = typer.Option(
        None,
        "--explain/--no-explain",
        help="Ask for quotes and a reason, which the probe `highlights` needs. By default "
        "not where the score is written before them: they cannot change it.",
        rich_help_panel=options.ASK,
    ),
    strategy: options.Strategies = None,
    aspect: options.Aspects = None,
    jury: options.Jury = None,
    layout: options.Layout = None,
    samples: options.Samples = 1,
    temperature: options.Temperature = 0.8,
    max_tokens: options.MaxTokens = None,
    context_tokens: options.ContextTokens = None,
    truncate: options.Truncate = False,
    base_url: options.BaseUrl = None,
    grammar: options.GrammarKind = "auto",
    max_connections: options.MaxConnections = 64,
    timeout: options.Timeout = 120.0,
    max_retries: options.MaxRetries = 6,
    run: options.RunFolderPath = None,
    resume: options.Resume = False,
    retry_failures: options.RetryFailures = False,
    out: Path = typer.Option(
        None, "--out", "-o", help="The page [audit.html in the run].", rich_help_panel=options.RUN
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print audit.json, not the table.", rich_help_panel=options.RUN
    ),
) -> None:
    """Probe a judge on your own texts: position, length, names, form, scale, injection, ...

    Every number comes with its interval, in words, and against a bound. The folder of the run
    survives being killed: `--run DIR --resume` goes on with it.
    """
    from glider.audit.probe import PROBES, known_probes
    from glider.audit.results import parse_bounds

    if list_probes:
        for name in known_probes():
            print(f"{name:<16} {PROBES.get(name).asks}")
        return
    bounds = parse_bounds(fail_above or [])
    if (data is None) is not demo:
        raise SetupError("give a data file, or --demo", hint="glider audit --help")
    if resume and run is None:
        raise SetupError("--resume needs --run: the folder to go on with")
    if retry_failures and not resume:
        raise SetupError("--retry-failures goes with --resume")
    if data == "-":
        raise SetupError("an audit reads a file, which it can go on with after being stopped")
    criteria = asked_criteria(criterion or ([_DEMO_CRITERION] if demo else []))
    folder = run or options.dated_folder("runs/audit-")
    settings = JudgeSettings(
        model=model,
        format=format,
        order=order,
        explain=_explains(explain, probe or ()),
        layout=layout,
        samples=samples,
        temperature=temperature,
        max_tokens=max_tokens,
        context_tokens=context_tokens,
        truncate=truncate,
        seed=seed,
        base_url=base_url,
        max_connections=max_connections,
        timeout_s=timeout,
        max_retries=max_retries,
        grammar=grammar,
        strategies=strategy_names(strategy or ()),
        aspects=tuple(aspect or ()),
        jury=tuple(jury or ()),
    )
    if "swap" in settings.strategies:
        raise SetupError(
            "the strategy swap refuses single texts, and an audit asks in orders of its own",
            hint="leave out swap; the probe `position` measures what it would average away",
        )
    shipped = as_file(files("glider.demo") / "samples.jsonl") if demo else nullcontext(data)
    with shipped as path:
        source = Source(
            path=str(path),
            encoding=encoding,
            maps=tuple(map or ()),
            judged=tuple(judged or ()),
            preset=preset,
            limit=limit,
            seed=seed,
        )
        found = _audit(
            settings, source, criteria, probe or known_probes(), bounds, folder,
            resume=resume, retry_failures=retry_failures,
            writers=writers, own=tuple(own or _names((model, *settings.jury))),
        )  # fmt: skip
    page = out or folder / "audit.html"
    _write(found, folder, page)
    _show(found, as_json=as_json)
    say("page:", f"{page}   run: {folder}")
    if found.asked and not found.judged:
        say("[bold red]nothing was judged[/]")
        raise typer.Exit(4)
    if found.failed:
        say("[bold red]too far[/]:", ", ".join(finding.key for finding in found.failed))
        raise typer.Exit(6)


def _explains(asked: bool | None, probes: Sequence[str]) -> bool | None:
    """None, which is only where the form cannot do without, unless quotes are looked at."""
    return True if asked is None and "highlights" in probes else asked


def _names(models: Sequence[str]) -> list[str]:
    return [name for model in models for name in (model, model.partition("/")[2])]


def _audit(
    settings: JudgeSettings,
    source: Source,
    criteria: Sequence[Criterion],
    probes: Sequence[str],
    bounds: dict[str, float],
    folder: Path,
    *,
    resume: bool,
    retry_failures: bool,
    writers: str,
    own: tuple[str, ...],
) -> "Audit":
    from glider.audit.run import Auditor
    from glider.audit.subjects import subjects
    from glider.data.rows import content_hash_of, sampled
    from glider.report.summary import summarise
    from glider.store.manifest import Manifest
    from glider.store.run import RunFolder, write_summary

    columns, rows = opened(source)
    chosen = sampled(rows, source.limit, source.seed)
    found, unreadable = subjects(chosen, columns, criteria, writers=writers, own=own)
    if not found:
        raise DataError("no row holds a sample to audit", path=Path(source.path).name)
    auditor = Auditor(found, probes, seed=source.seed or 0)
    asked = {"probes": list(probes), "writers": writers, "own": list(own)}
    with settings.open() as judge:
        manifest = Manifest.of(
            run_id=folder.name,
            judge=judge.id,
            settings=settings.recorded() | {"source": source.recorded(), "audit": asked},
            criteria={c.name: c.content_id for c in criteria} or {"(record)": ""},
            input_path=Path(source.path).name,
            input_sha256=content_hash_of(source.path),
        )
        run = (
            RunFolder.resume(folder, manifest, retry_failures=retry_failures)
            if resume
            else RunFolder.create(folder, manifest, criteria)
        )
        with run:
            say("asking:", f"{auditor.planned:,} judgments over {len(found):,} texts or pairs")
            progress = RunProgress(auditor.planned - run.n_done)
            try:
                auditor.judge(judge, run, lambda _, outcome: progress.add(outcome))
            except (KeyboardInterrupt, GliderError):
                progress.close()
                say("[yellow]stopped[/];", f"{run.n_done} outcomes are kept. To go on:")
                say("", f"  the same command with --run {folder} --resume")
                raise
            finally:
                progress.close()
        summary = summarise(folder)
        summary["finished"] = True
        write_summary(folder, summary)
        return auditor.report(
            judge=judge.id,
            data=Path(source.path).name,
            settings={"seed": source.seed, "limit": source.limit, "samples": settings.samples},
            bounds=bounds,
            unreadable=unreadable,
        )


def _write(found: "Audit", folder: Path, page: Path) -> None:
    from glider.audit.page import page as drawn

    write_whole(folder / "audit.json", found.model_dump_json(indent=1) + "\n")
    write_whole(page, drawn(found))


def _show(found: "Audit", *, as_json: bool) -> None:
    from glider.audit.table import table

    print(found.model_dump_json(indent=1) if as_json else table(found))
