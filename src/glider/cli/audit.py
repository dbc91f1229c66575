"""`glider audit`: what sways this judge that should not; exit 6 where it surely goes too far."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glider.cli import options
from glider.cli.flags import from_flags
from glider.cli.show import RunProgress, downloading, print_json, say
from glider.core.errors import DataError, GliderError, SetupError
from glider.core.settings import Flag
from glider.data.settings import RowSettings
from glider.judging.settings import JudgeSettings
from glider.store.targets import check_target, run_files

if TYPE_CHECKING:
    from glider.audit.results import Audit
    from glider.core.criteria import Criterion

_PROBES = "Probes"
_DEMO_CRITERION = "faithfulness"


@dataclass(frozen=True, kw_only=True)
class AuditedRows(RowSettings):
    """The rows of an audit: always a draw."""

    limit: Annotated[
        int | None, Flag("Rows to audit, drawn at random by --seed.", options.DATA, min=1)
    ] = 50
    seed: Annotated[
        int | None, Flag("Of the rows, the variants and the intervals.", options.DATA, min=0)
    ] = 0


@dataclass(frozen=True, kw_only=True)
class AuditedJudge(JudgeSettings):
    """The judge of an audit, which needs no reasons unless a probe looks at them."""

    explain: Annotated[
        bool | None,
        Flag(
            "Ask for quotes and a reason, which the probe `highlights` needs. By default not where "
            "the score is written before them: they cannot change it.",
            options.ASK,
            ("--explain/--no-explain",),
        ),
    ] = None
    seed: Annotated[int, Flag("Of sampled answers.", options.DATA, min=0)] = 0


@from_flags
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
    *,
    rows: AuditedRows,
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
    settings: AuditedJudge,
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
    from glider.data.library import criteria_asked

    if list_probes:
        for name in known_probes():
            print(f"{name:<16} {PROBES.get(name).asks}")
        return
    bounds = parse_bounds(fail_above or [])
    if (data is None) is not demo:
        raise SetupError("give a data file, or --demo", hint="glider audit --help")
    options.check_resume(run, resume, retry_failures)
    if data == "-":
        raise SetupError("an audit reads a file, which it can go on with after being stopped")
    if out is not None:
        reads = options.what_is_read(data, criterion or (), settings.models)
        check_target(out, reads=reads + run_files(run) if run else reads)
    criteria = criteria_asked(criterion or ([_DEMO_CRITERION] if demo else []))
    settings = replace(settings, explain=_explains(settings.explain, probe or ()))
    if "swap" in settings.strategies:
        raise SetupError(
            "the strategy swap refuses single texts, and an audit asks in orders of its own",
            hint="leave out swap; the probe `position` measures what it would average away",
        )
    shipped = as_file(files("glider.demo") / "samples.jsonl") if demo else nullcontext(data)
    with shipped as path:
        found, folder = _audit(
            settings, str(path), rows, criteria, probe or known_probes(), bounds, run,
            resume=resume, retry_failures=retry_failures,
            writers=writers, own=tuple(own or _names(settings.models)),
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
    data: str,
    how: RowSettings,
    criteria: "Sequence[Criterion]",
    probes: Sequence[str],
    bounds: dict[str, float],
    run: Path | None,
    *,
    resume: bool,
    retry_failures: bool,
    writers: str,
    own: tuple[str, ...],
) -> "tuple[Audit, Path]":
    from glider.audit.run import Auditor
    from glider.audit.subjects import subjects
    from glider.data.rows import content_hash_of, sampled
    from glider.data.table import OWN_CRITERION, open_table
    from glider.report.summary import summarise
    from glider.store.folder import claim_folder
    from glider.store.manifest import Manifest
    from glider.store.run import RunFolder, write_summary

    table = open_table(data, how, (*OWN_CRITERION, writers))
    if table.unused:
        say("columns", table.unused)
    chosen = sampled(table.rows, how.limit, how.seed)
    found, unreadable = subjects(chosen, table.columns, criteria, writers=writers, own=own)
    if not found:
        raise DataError("no row holds a sample to audit", path=Path(data).name)
    auditor = Auditor(found, probes, seed=how.seed or 0)
    asked = {"probes": list(probes), "writers": writers, "own": list(own)}
    with downloading() as download:
        opened = settings.open(download)
    with opened as judge:
        folder = run or claim_folder("runs/audit-")
        manifest = Manifest.of(
            run_id=folder.name,
            judge=judge.id,
            settings=settings.recorded() | {"source": how.recorded(), "audit": asked},
            criteria={c.name: c.content_id for c in criteria} or {"(record)": ""},
            input_path=Path(data).name,
            input_sha256=content_hash_of(data),
        )
        journal = (
            RunFolder.resume(folder, manifest, retry_failures=retry_failures)
            if resume
            else RunFolder.create(folder, manifest, criteria)
        )
        with journal:
            say("asking:", f"{auditor.planned:,} judgments over {len(found):,} texts or pairs")
            try:
                with RunProgress(auditor.planned - journal.n_done) as progress:
                    auditor.judge(judge, journal, lambda _, outcome: progress.add(outcome))
            except (KeyboardInterrupt, GliderError, OSError):
                options.tell_stopped(folder, journal.n_done)
                raise
        summary = summarise(folder)
        summary["finished"] = True
        write_summary(folder, summary)
        found_out = auditor.report(
            judge=judge.id,
            data=Path(data).name,
            settings={"seed": how.seed, "limit": how.limit, "samples": settings.samples},
            bounds=bounds,
            unreadable=unreadable,
        )
    return found_out, folder


def _write(found: "Audit", folder: Path, page: Path) -> None:
    from glider.audit.page import page as drawn
    from glider.store.atomic import write_whole

    write_whole(folder / "audit.json", found.model_dump_json(indent=1) + "\n")
    write_whole(page, drawn(found))


def _show(found: "Audit", *, as_json: bool) -> None:
    from glider.audit.table import table

    if as_json:
        print_json(found.model_dump(mode="json"), indent=1)
    else:
        print(table(found))
