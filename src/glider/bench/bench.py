"""`glider bench` as a function: judge labelled sets and measure agreement with people.

The sets are judged into run folders below one folder (`run.py`), and all figures are computed from
those runs (`collect.py`). So several judges can be measured into one folder at different times, and
a killed bench can be resumed.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from glider.backends import OpenBackend
from glider.batch.run import OnOutcome
from glider.bench.benchmark import FigureSettings
from glider.bench.choose import Chosen, choose
from glider.bench.collect import (
    answers_of,
    bench_runs,
    collect,
    judge_deletions,
    judge_reasons,
    recorded,
)
from glider.bench.held_out import HeldOut
from glider.bench.results import Results
from glider.bench.run import READINGS, judge_items, run_folder
from glider.bench.scored import Reading
from glider.bench.settings import BenchSettings
from glider.core.criteria import Criterion
from glider.core.errors import DataError, RunError, SetupError
from glider.data.library import load_criterion
from glider.gold import suite
from glider.judging.judge import Judge
from glider.judging.settings import JudgeSettings, Progress
from glider.scale.settings import ClusterSettings
from glider.store.atomic import refuse_address, write_json, write_whole
from glider.store.folder import claim_folder

Notify = Callable[[str], None]
"""Called with a sentence about each step or omission."""


@dataclass(frozen=True)
class Benched:
    """A folder of runs with all their figures."""

    out: Path
    results: Results
    system: str = ""
    """The judge measured by this call; empty if only figures were computed."""
    names: tuple[str, ...] = ()
    """The sets it judged."""

    @property
    def nothing_judged(self) -> tuple[str, ...]:
        """Why nothing could be judged, as `stage/code`; empty if something was."""
        lost = [
            each
            for each in self.results.lost
            if each.system == self.system and each.benchmark in self.names
        ]
        asked = {each.benchmark: each.asked for each in lost}
        every = set(asked) == set(self.names) and sum(e.n for e in lost) == sum(asked.values())
        return tuple(each.reason for each in lost) if every else ()

    def write(self) -> Path:
        """Write `results.json`, `report.md` and `report.html` into the folder; the page's path.

        Raises:
            RunError: they cannot be written.
        """
        from glider.bench.markdown import markdown
        from glider.bench.page import page
        from glider.bench.standing import Standings

        write_json(self.out / "results.json", self.results.model_dump(mode="json"))
        write_whole(self.out / "report.md", markdown(self.results))
        lead = Standings(self.results).lead
        answers = answers_of(self.out, lead) if lead else ()
        write_whole(self.out / "report.html", page(self.results, answers))
        return self.out / "report.html"


def bench_sets(
    names: str | Sequence[str],
    out: str | Path | None = None,
    *,
    settings: JudgeSettings | None = None,
    how: BenchSettings | None = None,
    processes: ClusterSettings | None = None,
    criterion: str | Criterion | None = None,
    fetch: bool = False,
    resume: bool = False,
    notify: Notify | None = None,
    on_folder: Callable[[Path], None] | None = None,
    on_start: Callable[[str, int], OnOutcome] | None = None,
    progress: Progress | None = None,
) -> Benched:
    """Judge labelled sets, and measure how well the judge agrees with people.

    Args:
        names: sets, kinds (`pairs`), families (`summaries`), `all`, a set's YAML file, or files of
            your own labels; see `choose`.
        out: folder of the runs; `bench/TIME` if not given.
        settings: the judge; its seed also draws items and resamples.
        how: which items, and how figures are computed.
        processes: run the judge's model in several processes.
        criterion: criterion of your own labels, if their records do not name one.
        fetch: first download sets from the Hugging Face hub into the data folder.
        resume: resume the bench in `out`.
        notify: called with a sentence about what is fetched or left out, or about processes.
        on_folder: called with the folder of the runs before anything is judged.
        on_start: called with each set's name and number of items before it is judged; returns a
            function that is called with each new outcome once it is on disk.
        progress: called with the progress of a model download.

    Returns:
        All runs in `out`, including those of earlier benches. Only the runs are written; see
        `Benched.write` for the reports.

    Raises:
        UnknownName: no such set or model.
        DataError: a set's data is missing or cannot be read.
        SetupError: settings that contradict each other.
        RunError: `out` already has a run of this judge on a set, or runs with another list of
            held-out items; or it cannot be written.
        BackendError: the model cannot be used at all. An error on one item is a failure.
    """
    settings, how = settings or JudgeSettings(), how or BenchSettings()
    if resume and out is None:
        raise SetupError("resume needs the folder to resume", hint="--resume needs --out")
    names, notify = [names] if isinstance(names, str) else list(names), notify or _ignore
    chosen, held_out = choose_sets(names, how, criterion=criterion, fetch=fetch, notify=notify)
    system = how.system or system_name(settings)
    folder = Path(out) if out is not None else claim_folder("bench/")
    if on_folder is not None:
        on_folder(folder)
    with (processes or ClusterSettings()).opener(settings, notify) as opener:
        judge_sets(
            chosen, folder, settings=settings, system=system, how=how, held_out=held_out,
            resume=resume, on_start=on_start, progress=progress, opener=opener,
        )  # fmt: skip
    results = figures_of(folder, how, seed=settings.seed)
    return Benched(folder, results, system, tuple(each.labelled.name for each in chosen))


def figures_of(out: Path, how: BenchSettings | None = None, *, seed: int = 0) -> Results:
    """Compute all figures of the runs in a bench's folder without a model.

    Raises:
        RunError: there are no runs.
    """
    how = how or BenchSettings()
    return collect(
        out,
        baselines=None if how.baselines else (),
        settings=FigureSettings(seed=seed, n_resamples=how.resamples, n_permutations=how.resamples),
    )


def choose_sets(
    names: Sequence[str],
    how: BenchSettings,
    *,
    criterion: str | Criterion | None = None,
    fetch: bool = False,
    notify: Notify | None = None,
) -> tuple[list[Chosen], HeldOut | None]:
    """Return the named sets that can be measured, and what was held out of training.

    Raises:
        UnknownName: no such set.
        DataError: a set requested by name is missing, or was used for training as a whole.
    """
    notify = notify or _ignore
    asked = load_criterion(criterion) if isinstance(criterion, str) else criterion
    chosen = choose(names, data_folder(how.data), criterion=asked, cluster=how.cluster)
    if fetch:
        for each in chosen:
            if each.labelled.hub and each.folder is not None:
                notify(f"{each.labelled.name}: fetching {each.labelled.hub}")
                try:
                    suite.fetch(each.labelled, each.folder)
                except DataError as error:
                    # Among several, one may be gated or moved; one requested by name is an error.
                    if each.labelled.name in names or len(chosen) == 1:
                        raise
                    notify(f"{each.labelled.name}: {error.message}")
    chosen = with_data(chosen, names, notify)
    held_out = HeldOut.read(how.held_out) if how.held_out else None
    if held_out is not None:
        chosen = measurable(chosen, held_out, names, notify)
    return chosen, held_out


def data_folder(given: Path | None) -> Path | None:
    """The folder of the sets' data: the one given, or `$GLIDER_DATA`."""
    return given or (Path(os.environ["GLIDER_DATA"]) if "GLIDER_DATA" in os.environ else None)


def with_data(
    chosen: Sequence[Chosen], names: Sequence[str], notify: Notify | None = None
) -> list[Chosen]:
    """Return the sets whose data is present; a set requested by name must be.

    Raises:
        DataError: its data is missing.
    """
    there = [each for each in chosen if each.is_there]
    absent = [each for each in chosen if not each.is_there]
    if not absent:
        return there
    missing = ", ".join(each.labelled.data for each in absent[:5]) + ", ..." * (len(absent) > 5)
    by_name = [each for each in absent if each.labelled.name in names]
    if absent[0].folder is None:
        raise DataError(
            f"no data folder, so {absent[0].labelled.data} cannot be read",
            hint="set --data FOLDER or $GLIDER_DATA; `glider bench --list` "
            "shows what a set needs; a "
            "file of your own labels needs no folder",
        )
    if by_name or not there:
        raise DataError(
            f"the data folder has no {missing}",
            hint="--fetch downloads it from the Hugging Face hub"
            if all(each.labelled.hub for each in by_name or absent)
            else "`glider bench --list` shows which sets are present",
        )
    (notify or _ignore)(f"left out because their data is missing: {missing}")
    return there


def measurable(
    chosen: Sequence[Chosen],
    held_out: HeldOut,
    names: Sequence[str],
    notify: Notify | None = None,
) -> list[Chosen]:
    """Return the sets with held-out items; a set requested by name must have some.

    Raises:
        DataError: it was used for training as a whole.
    """
    whole = [each.labelled.name for each in chosen if held_out.is_whole(each.labelled)]
    left = [each for each in chosen if each.labelled.name not in whole]
    if not left or any(name in names for name in whole):
        raise DataError(
            f"{', '.join(whole)}: the judge was trained on the whole set, nothing is held out",
            hint="`glider data --dev SHARE` holds out a part of each set",
        )
    if whole:
        (notify or _ignore)(
            f"left out because the judge was trained on all of them: {', '.join(whole)}"
        )
    return left


def system_name(settings: JudgeSettings) -> str:
    """Return a name for a judge, short enough for a table header."""
    joint = " > " if settings.cascade else " & "
    name = joint.join(model.rpartition("/")[2].removesuffix(".gguf") for model in settings.models)
    several = f"K={settings.samples}" if settings.samples > 1 else None
    until = f"until {settings.cascade_until}" if settings.cascade_until else None
    parts = [part for part in (until, settings.format, settings.order, several) if part]
    return " ".join([name, *parts, *(f"+{each}" for each in settings.strategies)])


def judge_sets(
    chosen: Sequence[Chosen],
    out: Path,
    *,
    settings: JudgeSettings,
    system: str,
    how: BenchSettings | None = None,
    held_out: HeldOut | None = None,
    resume: bool = False,
    readings: Sequence[Reading] | None = None,
    on_start: Callable[[str, int], OnOutcome] | None = None,
    progress: Progress | None = None,
    opener: OpenBackend | None = None,
) -> None:
    """Open the judge once and judge every set, each into a run folder below `out`.

    Args:
        system: the judge's name in tables.
        readings: ways to read a distribution over levels; by default all, and for several
            sampled answers the mean alone.
        on_start: see `bench_sets`.
        opener: opens backends somewhere else than in this process.

    Raises:
        SetupError: there are no highlights to delete.
        RunError: a run is there already, and `resume` was not asked; or runs in `out` kept
            something else out of training.
    """
    how = how or BenchSettings()
    _check_folder(out, system, chosen, held_out, resume)
    readings = readings or (("expected",) if settings.samples > 1 else READINGS)
    with settings.open(progress, opener) as judge:
        if how.deletion and not judge.format.explains:
            raise SetupError("--deletion needs highlights", hint="--explain asks for them")
        if how.reader is not None and not judge.format.explains:
            raise SetupError("--reader needs reasons", hint="--explain asks for them")
        for each in chosen:
            labelled = each.labelled
            assert each.folder is not None
            clusters = held_out.clusters.get(labelled.name) if held_out else None
            loaded = labelled.load(
                each.folder, limit=how.limit, seed=settings.seed, clusters=clusters
            )
            on_outcome = on_start(labelled.name, len(loaded.items)) if on_start else None
            judge_items(
                judge,
                loaded.items,
                run_folder(out, system, labelled.name),
                settings=recorded(
                    labelled, system, limit=how.limit, seed=settings.seed,
                    judge=settings.recorded(), held_out=held_out, notes=loaded.notes,
                    readings=readings,
                ),
                on_outcome=on_outcome or (lambda row, outcome: None),
                resume=resume,
            )  # fmt: skip
            if how.deletion:
                _judge_deletions(judge, run_folder(out, system, labelled.name), settings.seed)
    if how.reader is not None:
        # Opened after the judge is closed: the two models need not fit in memory together.
        bare = replace(
            settings, model=how.reader, format=None, order=None, samples=1, explain=None,
            strategies=(), aspects=(), jury=(), cascade=None, cascade_until=None,
        )  # fmt: skip
        with bare.open(progress, opener) as reader:
            for each in chosen:
                folder = run_folder(out, system, each.labelled.name)
                judge_reasons(reader, folder, seed=settings.seed)


def _check_folder(
    out: Path, system: str, chosen: Sequence[Chosen], held_out: HeldOut | None, resume: bool
) -> None:
    refuse_address(out)
    if not (out / "runs").is_dir():
        for name in ("results.json", "report.md", "report.html"):
            if (out / name).exists():
                raise RunError(
                    f"{out} is not a bench folder, and already has a {name}",
                    hint="name another --out",
                )
    if any(out.glob("runs/*/*/manifest.json")):
        now = held_out.sha256 if held_out else None
        if any(run.held_out != now for run in bench_runs(out)):
            raise RunError(
                f"{out} has runs made with another --held-out, or without one",
                hint="use the same --held-out, or another --out",
            )
    for each in () if resume else chosen:
        if (run_folder(out, system, each.labelled.name) / "manifest.json").exists():
            raise RunError(
                f"{out} already has a run of {system!r} on {each.labelled.name}",
                hint="resume it with --resume, give this judge another name with "
                "--system, or use another "
                "--out",
            )


def _judge_deletions(judge: Judge, folder: Path, seed: int) -> None:
    asked = judge.format
    # Only the score is compared, and the bare prompt gives it too.
    judge.format = asked.bare() or asked
    try:
        judge_deletions(judge, folder, seed=seed)
    finally:
        judge.format = asked


def _ignore(text: str) -> None:
    pass
