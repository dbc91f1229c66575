"""`glider audit`: what biases this judge; exit 6 if an effect is beyond its bound."""

from contextlib import nullcontext
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glider.cli import options
from glider.cli.flags import from_flags
from glider.cli.show import RunProgress, downloading, print_json, say
from glider.core.errors import GliderError, SetupError
from glider.core.settings import Flag
from glider.data.settings import RowSettings
from glider.judging.settings import JudgeSettings
from glider.scale.settings import ClusterSettings
from glider.store.targets import check_target, run_files

if TYPE_CHECKING:
    from glider.audit.results import Audit
    from glider.store.run import RunFolder

_PROBES = "Probes"
_DEMO_CRITERION = "faithfulness"


@dataclass(frozen=True, kw_only=True)
class AuditedRows(RowSettings):
    """The rows of an audit: always a random sample."""

    limit: Annotated[
        int | None, Flag("Audit this many rows, chosen at random by --seed.", options.DATA, min=1)
    ] = 50
    seed: Annotated[
        int | None, Flag("Seed for rows, variants and intervals.", options.DATA, min=0)
    ] = 0


@dataclass(frozen=True, kw_only=True)
class AuditedJudge(JudgeSettings):
    """The judge of an audit: it gives reasons only if a probe reads them."""

    explain: Annotated[
        bool | None,
        Flag(
            "Ask for quotes and a reason; the probe `highlights` needs them. Off by default where "
            "the score comes first, because they cannot change it then.",
            options.ASK,
            ("--explain/--no-explain",),
        ),
    ] = None
    seed: Annotated[int, Flag("Seed for sampled answers.", options.DATA, min=0)] = 0


@from_flags
def audit(
    data: str = typer.Argument(
        None,
        metavar="DATA",
        help="JSONL, CSV or Parquet file (.gz too), or dataset folder: your own texts.",
    ),
    demo: bool = typer.Option(False, "--demo", help="Audit thirty shipped texts instead."),
    criterion: list[str] = typer.Option(
        None,
        "--criterion",
        "-c",
        help="A shipped criterion's name or a YAML file; repeatable. "
        "`record`: each row has its own, with a human label.",
    ),
    probe: list[str] = typer.Option(
        None,
        "--probe",
        help="Run only this probe; repeatable. See --list.",
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
        "position=0.2, injection.success=0.05. Repeatable; adds to the defaults.",
        rich_help_panel=_PROBES,
    ),
    *,
    rows: AuditedRows,
    writers: str = typer.Option(
        "writers",
        help="Column that names the model that wrote the output; a list if "
        "there are several outputs.",
        rich_help_panel=options.DATA,
    ),
    own: list[str] = typer.Option(
        None,
        help="Name of the judge's own model in that column; repeatable.",
        rich_help_panel=options.DATA,
    ),
    settings: AuditedJudge,
    processes: ClusterSettings,
    run: options.RunFolderPath = None,
    resume: options.Resume = False,
    retry_failures: options.RetryFailures = False,
    out: Path = typer.Option(
        None,
        "--out",
        "-o",
        help="HTML page to write [audit.html in the run's folder].",
        rich_help_panel=options.RUN,
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print audit.json instead of the table.", rich_help_panel=options.RUN
    ),
) -> None:
    """Measure a judge's biases on your own texts: position, length, names, format, injection, ...

    Every figure has an interval, a sentence that explains it, and a bound. A killed audit
    continues with `--run DIR --resume`.
    """
    from glider.audit.file import audit_file
    from glider.audit.probe import PROBES, known_probes
    from glider.audit.results import parse_bounds

    if list_probes:
        for name in known_probes():
            print(f"{name:<16} {PROBES.get(name).asks}")
        return
    bounds = parse_bounds(fail_above or [])
    if (data is None) is not demo:
        raise SetupError("give a data file, or --demo", hint="glider audit --help")
    processes.check()
    options.check_resume(run, resume, retry_failures)
    if out is not None:
        reads = options.what_is_read(data, criterion or (), settings.models)
        check_target(out, reads=reads + run_files(run) if run else reads)
    shipped = as_file(files("glider.demo") / "samples.jsonl") if demo else nullcontext(data)
    bar = RunProgress(None)
    opened: RunFolder | None = None

    def on_start(journal: "RunFolder", planned: int, texts: int) -> None:
        nonlocal opened
        opened, bar.total = journal, planned - journal.n_done
        say("asking:", f"{planned:,} judgments over {texts:,} texts or pairs")

    with shipped as path, downloading() as download, bar:
        try:
            found = audit_file(
                str(path),
                criterion or ([_DEMO_CRITERION] if demo else []),
                run,
                settings=settings,
                rows=rows,
                processes=processes,
                probes=probe or (),
                bounds=bounds,
                writers=writers,
                own=own or (),
                resume=resume,
                retry_failures=retry_failures,
                notify=lambda text: say("note", text),
                on_start=on_start,
                on_outcome=lambda _, outcome: bar.add(outcome),
                progress=download,
            )
        except (KeyboardInterrupt, GliderError, OSError):
            if opened is not None:
                options.tell_stopped(opened.path, opened.n_done)
            raise
    page = found.write(out)
    _show(found.audit, as_json=as_json)
    say("page:", f"{page}   run: {found.run}")
    if found.audit.asked and not found.audit.judged:
        say("[bold red]nothing was judged[/]")
        raise typer.Exit(4)
    if found.audit.failed:
        say(
            "[bold red]beyond the bound[/]:",
            ", ".join(finding.key for finding in found.audit.failed),
        )
        raise typer.Exit(6)


def _show(found: "Audit", *, as_json: bool) -> None:
    from glider.audit.table import table

    if as_json:
        print_json(found.model_dump(mode="json"), indent=1)
    else:
        print(table(found))
