"""`glider bench`: how well does a judge agree with people, on sets that people labelled."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glider.cli import options
from glider.cli.calibrate import needs_bench
from glider.cli.flags import from_flags
from glider.cli.show import RunProgress, downloading, print_json, say
from glider.core.errors import DataError, GliderError, RunError, SetupError
from glider.core.settings import Flag
from glider.judging.settings import JudgeSettings
from glider.store.atomic import write_whole
from glider.store.folder import claim_folder

if TYPE_CHECKING:
    from glider.bench.choose import Chosen
    from glider.bench.held_out import HeldOut
    from glider.bench.results import Results
    from glider.bench.scored import Reading
    from glider.judging.judge import Judge

_FIGURES = "Figures"


@dataclass(frozen=True, kw_only=True)
class BenchedJudge(JudgeSettings):
    """The judge of a bench: reasons are asked for where they are measured."""

    explain: Annotated[
        bool | None,
        Flag(
            "Ask for quotes and a reason too, and measure the highlights; by default only where "
            "the reason comes first.",
            options.ASK,
            ("--explain/--no-explain",),
        ),
    ] = None
    seed: Annotated[int, Flag("Draws items, resamples and sampled answers.", options.DATA)] = 0


@from_flags
def bench(
    names: list[str] = typer.Argument(
        None,
        metavar="NAME",
        help="A set, a kind (pairs), a family (summaries), all, a set's YAML file, or a file of "
        "your own labels. None: make the report of --out anew.",
    ),
    listed: bool = typer.Option(False, "--list", help="Show the sets and stop."),
    data: Path = typer.Option(
        None, help="Folder of the sets' data [$GLIDER_DATA].", rich_help_panel=options.DATA
    ),
    fetch: bool = typer.Option(
        False,
        "--fetch",
        help="Fetch the sets that are on the Hugging Face hub into the data folder first.",
        rich_help_panel=options.DATA,
    ),
    criterion: str = typer.Option(
        None,
        "--criterion",
        "-c",
        help="What is asked of your own labels, if their records do not say.",
        rich_help_panel=options.DATA,
    ),
    limit: int = typer.Option(
        None, min=1, help="At most this many items of each set.", rich_help_panel=options.DATA
    ),
    held_out: Path = typer.Option(
        None,
        metavar="FOLDER",
        help="What `glider data` wrote for this judge: of the sets it was trained on, only what "
        "was held out is measured.",
        rich_help_panel=options.DATA,
    ),
    *,
    settings: BenchedJudge,
    system: str = typer.Option(
        None, help="What the judge is called in tables.", rich_help_panel=options.JUDGE
    ),
    deletion: bool = typer.Option(
        False,
        "--deletion",
        help="Judge each text again without what was highlighted: does the score move more than "
        "without as many other words? Three times the work.",
        rich_help_panel=options.ASK,
    ),
    baselines: bool = typer.Option(
        True, help="Simple rules beside the judge.", rich_help_panel=_FIGURES
    ),
    resamples: int = typer.Option(
        999, min=99, help="Resamples for intervals and tests.", rich_help_panel=_FIGURES
    ),
    out: Path = typer.Option(
        None,
        "--out",
        "-o",
        help="Folder of runs and report [bench/TIME].",
        rich_help_panel=options.RUN,
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with what was begun in --out.", rich_help_panel=options.RUN
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the results as JSON.", rich_help_panel=options.RUN
    ),
) -> None:
    """Measure how well a judge agrees with people, with intervals, beside simple rules.

    Several judges can be measured into one folder, one after another: give the same --out.
    """
    needs_bench("glider bench")
    from glider.bench.choose import choose
    from glider.bench.collect import collect
    from glider.bench.held_out import HeldOut
    from glider.bench.table import FigureSettings
    from glider.data.library import load_criterion

    folder = data or (Path(os.environ["GLIDER_DATA"]) if "GLIDER_DATA" in os.environ else None)
    if listed:
        _list(folder, as_json)
        return
    if not names and out is None:
        raise SetupError("name a set", hint="`glider bench --list` shows them")
    if resume and out is None:
        raise SetupError("--resume needs --out: the folder to go on with")
    chosen: list[Chosen] = []
    called = ""
    if names:
        asked = load_criterion(criterion) if criterion else None
        chosen = choose(names, folder, criterion=asked)
        if fetch:
            fetch_all(chosen)
        chosen = with_data(chosen, names)
        kept = HeldOut.read(held_out) if held_out else None
        if kept:
            chosen = measurable(chosen, kept, names)
        called = system or _called(settings)
        out = out or claim_folder("bench/")
        try:
            judge_all(
                settings, called, chosen, out,
                limit=limit, seed=settings.seed, held_out=kept, deletion=deletion, resume=resume,
            )  # fmt: skip
        except (KeyboardInterrupt, GliderError) as error:
            if isinstance(error, KeyboardInterrupt) or (out / "runs").exists():
                say("[yellow]stopped[/];", "what was judged is kept. To go on:")
                say("", "  " + options.resume_line(out, "--out", "-o"))
            raise
    assert out is not None
    results = collect(
        out,
        baselines=None if baselines else (),
        settings=FigureSettings(
            seed=settings.seed, n_resamples=resamples, n_permutations=resamples
        ),
    )
    _write(out, results, as_json)
    if names:
        _check(results, called, [each.labelled.name for each in chosen])


def _list(folder: Path | None, as_json: bool) -> None:
    from glider.bench.choose import choose

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
    # Plain lines: a table that is cut to the width of the terminal loses what matters.
    width = max(len(row["name"]) for row in rows)
    for row, chosen in zip(rows, found, strict=True):
        place = "there" if row["there"] else "on the hub" if chosen.labelled.hub else "not there"
        words = f"{row['name']:<{width}}  {place:<10}  {row['kind']:<7}  {row['family']:<21}"
        print(f"{words}  {row['licence']}")
    if folder is None:
        say("no data folder:", "name one with --data FOLDER or $GLIDER_DATA")


def fetch_all(chosen: "Sequence[Chosen]") -> None:
    """Fetch what lies on the hub; what is in the data folder already is only completed.

    Raises:
        MissingExtra: `huggingface_hub` is not installed.
        DataError: the hub cannot be reached or refuses.
    """
    from glider.gold import suite

    for each in chosen:
        if each.labelled.hub and each.folder is not None:
            say(f"[bold]{each.labelled.name}[/]:", f"fetching {each.labelled.hub}")
            suite.fetch(each.labelled, each.folder)


def with_data(chosen: "Sequence[Chosen]", names: Sequence[str]) -> "list[Chosen]":
    """The sets whose data is there; a set that was asked for by name must be."""
    there = [each for each in chosen if each.is_there]
    absent = [each for each in chosen if not each.is_there]
    if not absent:
        return there
    missing = ", ".join(each.labelled.data for each in absent[:5]) + ", ..." * (len(absent) > 5)
    by_name = [each for each in absent if each.labelled.name in names]
    if absent[0].folder is None:
        raise DataError(
            f"no data folder, so {absent[0].labelled.data} cannot be read",
            hint="--data FOLDER or $GLIDER_DATA names it; `glider bench --list` shows what a set "
            "needs, and a file of your own labels needs no folder",
        )
    if by_name or not there:
        raise DataError(
            f"the data folder has no {missing}",
            hint="--fetch fetches it from the Hugging Face hub"
            if all(each.labelled.hub for each in by_name or absent)
            else "`glider bench --list` shows which sets are there",
        )
    say("[yellow]left out[/],", f"their data is not there: {missing}")
    return there


def measurable(
    chosen: "Sequence[Chosen]", held_out: "HeldOut", names: Sequence[str]
) -> "list[Chosen]":
    """The sets of which something was held out; one that was asked for by name must be."""
    whole = [each.labelled.name for each in chosen if held_out.is_whole(each.labelled)]
    left = [each for each in chosen if each.labelled.name not in whole]
    if not left or any(name in names for name in whole):
        raise DataError(
            f"{', '.join(whole)}: trained on whole, nothing is held out",
            hint="`glider data --dev SHARE` keeps a part of each set for measuring",
        )
    if whole:
        say("[yellow]left out[/],", f"trained on whole, nothing is held out: {', '.join(whole)}")
    return left


def _called(settings: JudgeSettings) -> str:
    """A name short enough for a table's head."""
    models = (settings.model, *settings.jury)
    name = " & ".join(model.rpartition("/")[2].removesuffix(".gguf") for model in models)
    parts = [settings.format, settings.order, f"K={settings.samples}"]
    shown = [part for part, given in zip(
        parts, (settings.format, settings.order, settings.samples > 1), strict=True
    ) if given]  # fmt: skip
    return " ".join([name, *map(str, shown), *(f"+{name}" for name in settings.strategies)])


def judge_all(
    settings: JudgeSettings, system: str, chosen: "Sequence[Chosen]", out: Path,
    *, limit: int | None, seed: int, held_out: "HeldOut | None" = None, deletion: bool = False,
    resume: bool, readings: "Sequence[Reading] | None" = None,
) -> None:  # fmt: skip
    """Open the judge once and put it to every set, each into a run folder below `out`.

    Args:
        deletion: judge the texts again without what was highlighted in them.
        readings: in which ways a distribution over levels is read; all if not given, and of several
            sampled answers the mean alone.

    Raises:
        SetupError: nothing is highlighted that could be deleted.
        RunError: a run is there already, and `resume` was not asked; or runs in `out` kept
            something else out of training.
    """
    from glider.bench.collect import bench_runs, judge_deletions
    from glider.bench.run import READINGS, run_folder

    if any(out.glob("runs/*/*/manifest.json")):
        now = held_out.sha256 if held_out else None
        if any(run.held_out != now for run in bench_runs(out)):
            raise RunError(
                f"{out} holds runs that were made with another --held-out, or without one",
                hint="the same --held-out goes on with them; --out names another folder",
            )
    if not resume:
        for each in chosen:
            if (run_folder(out, system, each.labelled.name) / "manifest.json").exists():
                raise RunError(
                    f"{out} holds a run of {system!r} on {each.labelled.name} already",
                    hint="--resume goes on with it; --system gives this judge another name; "
                    "--out names another folder",
                )
    with downloading() as download:
        opened = settings.open(download)
    with opened as judge:
        if deletion and not judge.format.explains:
            raise SetupError("--deletion needs highlights", hint="--explain asks for them")
        for each in chosen:
            _judge_set(
                judge, settings, system, each, out,
                limit=limit, seed=seed, held_out=held_out, resume=resume,
                readings=readings or (("expected",) if settings.samples > 1 else READINGS),
            )  # fmt: skip
            if deletion:
                asked = judge.format
                # Only the score is compared, and the bare form reads it off the same prompt.
                judge.format = asked.bare() or asked
                judge_deletions(judge, run_folder(out, system, each.labelled.name), seed=seed)
                judge.format = asked


def _judge_set(
    judge: "Judge", settings: JudgeSettings, system: str, chosen: "Chosen", out: Path,
    *, limit: int | None, seed: int, held_out: "HeldOut | None", resume: bool,
    readings: "Sequence[Reading]",
) -> None:  # fmt: skip
    from glider.bench.collect import recorded
    from glider.bench.run import judge_items, run_folder

    labelled = chosen.labelled
    assert chosen.folder is not None
    clusters = held_out.clusters.get(labelled.name) if held_out else None
    loaded = labelled.load(chosen.folder, limit=limit, seed=seed, clusters=clusters)
    say(f"[bold]{labelled.name}[/]:", f"{len(loaded.items)} items")
    with RunProgress(len(loaded.items)) as progress:
        judge_items(
            judge,
            loaded.items,
            run_folder(out, system, labelled.name),
            settings=recorded(
                labelled, system, limit=limit, seed=seed, judge=settings.recorded(),
                held_out=held_out, notes=loaded.notes, readings=readings,
            ),
            seen=progress.add,
            resume=resume,
        )  # fmt: skip


def _write(out: Path, results: "Results", as_json: bool) -> None:
    from glider.bench.collect import answers_of
    from glider.bench.markdown import brief, markdown
    from glider.bench.page import page
    from glider.bench.standing import Board

    plain: dict[str, Any] = results.model_dump(mode="json")
    text = json.dumps(plain, indent=1, ensure_ascii=False) + "\n"
    write_whole(out / "results.json", text)
    write_whole(out / "report.md", markdown(results))
    lead = Board(results).lead
    write_whole(out / "report.html", page(results, answers_of(out, lead) if lead else ()))
    if as_json:
        print_json(plain, indent=1)
    else:
        print(brief(results), end="")
    say("report:", f"{out / 'report.html'}   the same as text: report.md   as data: results.json")


def _check(results: "Results", system: str, benchmarks: Sequence[str]) -> None:
    """Exit as `glider judge` does where nothing of these benchmarks could be judged."""
    lost = [each for each in results.lost if each.system == system and each.benchmark in benchmarks]
    asked = {each.benchmark: each.asked for each in lost}
    if set(asked) == set(benchmarks) and sum(each.n for each in lost) == sum(asked.values()):
        raise options.nothing_judged(each.reason for each in lost)
