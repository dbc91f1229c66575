"""`glider bench`: how well a judge agrees with people, on sets that people labelled."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glider.bench.settings import BenchSettings
from glider.cli import options
from glider.cli.calibrate import needs_bench
from glider.cli.flags import from_flags
from glider.cli.show import RunProgress, downloading, print_json, say
from glider.core.errors import GliderError, SetupError
from glider.core.settings import Flag
from glider.judging.settings import JudgeSettings
from glider.scale.settings import ClusterSettings

if TYPE_CHECKING:
    from glider.batch.run import OnOutcome
    from glider.bench.bench import Benched


@dataclass(frozen=True, kw_only=True)
class BenchedJudge(JudgeSettings):
    """The judge of a bench: it gives reasons only where they are measured."""

    explain: Annotated[
        bool | None,
        Flag(
            "Ask for quotes and a reason too, and measure the highlights. On by default only where "
            "the reason comes first.",
            options.ASK,
            ("--explain/--no-explain",),
        ),
    ] = None
    seed: Annotated[int, Flag("Seed for items, resamples and sampled answers.", options.DATA)] = 0


@from_flags
def bench(
    names: list[str] = typer.Argument(
        None,
        metavar="NAME",
        help="A set, a kind (pairs), a family (summaries), `field` (published tables), `all`, a "
        "set's YAML file, a file of your own labels, or a reviewed run. Without one: rebuild the "
        "report in --out.",
    ),
    listed: bool = typer.Option(False, "--list", help="List the sets and stop."),
    fetch: bool = typer.Option(
        False,
        "--fetch",
        help="First download sets from the Hugging Face hub into the data folder.",
        rich_help_panel=options.DATA,
    ),
    criterion: str = typer.Option(
        None,
        "--criterion",
        "-c",
        help="Criterion of your own labels, if the records do not name one.",
        rich_help_panel=options.DATA,
    ),
    *,
    how: BenchSettings,
    settings: BenchedJudge,
    processes: ClusterSettings,
    out: Path = typer.Option(
        None,
        "--out",
        "-o",
        help="Folder for runs and report [bench/TIME].",
        rich_help_panel=options.RUN,
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Resume the bench in --out.", rich_help_panel=options.RUN
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the results as JSON.", rich_help_panel=options.RUN
    ),
) -> None:
    """Measure how well a judge agrees with people, with intervals, next to simple baselines.

    To compare judges, run this once per judge with the same --out.
    """
    needs_bench("glider bench")
    if listed:
        _list(how.data, as_json)
        return
    if not names and out is None:
        raise SetupError("name a set", hint="`glider bench --list` lists them")
    from glider.bench.bench import Benched, bench_sets, figures_of

    processes.check()
    if not names:
        if processes.on is not None:
            raise SetupError("--on is for judging; figures are computed here", hint="name a set")
        _show(Benched(out, figures_of(out, how, seed=settings.seed)), as_json)
        return
    bars = _Bars()
    with downloading() as download:
        try:
            found = bench_sets(
                names,
                out,
                settings=settings,
                how=how,
                processes=processes,
                criterion=criterion,
                fetch=fetch,
                resume=resume,
                notify=lambda text: say("[bold]note[/]:", text),
                on_start=bars.start,
                on_folder=bars.on_folder,
                progress=download,
            )
        except (KeyboardInterrupt, GliderError) as error:
            folder = bars.folder
            begun = folder is not None and (folder / "runs").exists()
            if folder is not None and (begun or isinstance(error, KeyboardInterrupt)):
                say("[yellow]stopped[/];", "finished judgments are kept. To resume:")
                say("", "  " + options.resume_line(folder, "--out", "-o"))
            raise
        finally:
            bars.close()
    _show(found, as_json)
    if found.nothing_judged:
        raise options.nothing_judged(found.nothing_judged)


class _Bars:
    """One progress bar per set, and the folder to resume in."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self._bar: RunProgress | None = None

    def on_folder(self, folder: Path) -> None:
        """Remember the folder of this bench."""
        self.folder = folder

    def start(self, name: str, n_items: int) -> "OnOutcome":
        """Show a new bar when a set starts."""
        self.close()
        say(f"[bold]{name}[/]:", f"{n_items} items")
        bar = self._bar = RunProgress(n_items)
        bar.__enter__()
        return lambda _, outcome: bar.add(outcome)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def _list(folder: Path | None, as_json: bool) -> None:
    from glider.bench.bench import data_folder
    from glider.bench.choose import choose

    folder = data_folder(folder)
    found = choose(["all"], folder)
    rows: list[dict[str, Any]] = [
        {
            "name": chosen.labelled.name,
            "kind": chosen.labelled.kind,
            "family": chosen.labelled.family,
            "languages": list(chosen.labelled.languages),
            "labels_by": chosen.labelled.labels_by,
            "licence": chosen.labelled.licence,
            "use": chosen.labelled.use,
            "metrics": list(chosen.labelled.metrics),
            "there": chosen.is_there,
        }
        for chosen in found
    ]
    if as_json:
        print_json(rows, indent=1)
        return
    # Plain lines: a table cut to the terminal's width would lose information.
    width = max(len(row["name"]) for row in rows)
    for row, chosen in zip(rows, found, strict=True):
        place = "present" if row["there"] else "on the hub" if chosen.labelled.hub else "missing"
        words = f"{row['name']:<{width}}  {place:<10}  {row['kind']:<7}  {row['family']:<21}"
        print(f"{words}  {row['licence']}")
    if folder is None:
        say("no data folder:", "give one with --data FOLDER or $GLIDER_DATA")


def _show(found: "Benched", as_json: bool) -> None:
    from glider.bench.markdown import brief

    page = found.write()
    if as_json:
        print_json(found.results.model_dump(mode="json"), indent=1)
    else:
        print(brief(found.results), end="")
    say("report:", f"{page}   as text: report.md   as data: results.json")
