"""Compute a bench's results from its run folders; needs neither the data nor a model.

Each run's manifest names its set and its system. So runs of several judges can be added to one
folder at different times, and old runs can be scored again.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from glider.bench.answers import Answers
from glider.bench.baselines import BASELINES
from glider.bench.benchmark import FigureSettings, SystemKind
from glider.bench.ceiling import SYSTEM as PEOPLE
from glider.bench.ceiling import human
from glider.bench.deletions import Deletions, deletions, score_moved
from glider.bench.explanations import (
    ReasonReadings,
    agreement_figures,
    explanation_figures,
    read_reasons,
)
from glider.bench.held_out import Exposure, HeldOut
from glider.bench.highlights import (
    FIRST_SENTENCE,
    against_people,
    first_errors,
)
from glider.bench.highlights import RANDOM as RANDOM_SPANS
from glider.bench.results import Difference, Figure, Lost, Results
from glider.bench.run import READINGS, Outcome, Streams, items_from_run, scored_run
from glider.bench.scored import Reading, Scored
from glider.bench.table import measure
from glider.core.errors import MissingExtra, RunError
from glider.core.judgments import Judgment
from glider.gold.items import Item
from glider.gold.sets import LabelledSet
from glider.report.summary import Reasons, failure_of, passed_on
from glider.stats.clustered import clustered_share
from glider.stats.estimates import Undefined
from glider.store.atomic import write_whole
from glider.store.manifest import Manifest
from glider.store.run import load_manifest, outcomes

_DELETIONS = "deletions.json"
_READINGS = "readings.json"
_STAND_INS = (RANDOM_SPANS, FIRST_SENTENCE)
_REASONING = "mr_ben_reasoning"
"""The set whose spans are first wrong steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRun:
    """One run folder: a system on a set."""

    folder: Path
    manifest: Manifest
    labelled: LabelledSet

    @property
    def system(self) -> str:
        """Its name in tables."""
        return str(self.manifest.settings["system"])

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Ways to read its scores; each is a separate row."""
        return tuple(self.manifest.settings.get("readings", READINGS))

    @property
    def exposure(self) -> Exposure | None:
        """What the judge saw of the set in training; None if unknown."""
        exposure: Exposure | None = self.manifest.settings.get("exposure")
        return exposure

    @property
    def held_out(self) -> str | None:
        """SHA-256 of the list of held-out items."""
        sha256: str | None = self.manifest.settings.get("held_out")
        return sha256

    def scored(self, items: Sequence[Item]) -> list[Scored]:
        """Its scores with the gold, once for each way of reading; `items` are the run's."""
        return scored_run(self.folder, self.labelled.name, self.system, self.readings, items=items)


def recorded(
    labelled: LabelledSet,
    system: str,
    *,
    limit: int | None,
    seed: int,
    judge: Mapping[str, Any],
    held_out: HeldOut | None = None,
    notes: Sequence[str] = (),
    readings: Sequence[Reading] = READINGS,
) -> dict[str, Any]:
    """Return what the manifest of a bench run records beside the judge's id.

    Args:
        judge: settings of the judge that decide its outcomes.
        held_out: what was kept out of training, where that decided the items.
        notes: what was odd about the data.
    """
    return {
        "benchmark": labelled.name,
        "set": labelled.model_dump(mode="json"),
        "system": system,
        "readings": list(readings),
        "limit": limit,
        "draw_seed": seed,
        "held_out": held_out.sha256 if held_out else None,
        "exposure": held_out.exposure(labelled) if held_out else None,
        "notes": list(notes),
        "judge": dict(judge),
    }


def bench_runs(out: Path) -> list[BenchRun]:
    """Return the runs in a bench's folder, in order of their start.

    Raises:
        RunError: there is none.
    """
    found = []
    for file in sorted(out.glob("runs/*/*/manifest.json")):
        manifest = load_manifest(file.parent)
        labelled = LabelledSet.model_validate(manifest.settings["set"])
        found.append(BenchRun(folder=file.parent, manifest=manifest, labelled=labelled))
    if not found:
        raise RunError(f"{out} holds no runs of `glider bench`")
    return sorted(found, key=lambda run: (run.manifest.created_at, run.system))


def collect(
    out: Path,
    *,
    baselines: Sequence[str] | None = None,
    settings: FigureSettings | None = None,
    sets: Callable[[LabelledSet], LabelledSet | None] = lambda labelled: labelled,
) -> Results:
    """Compute all results of the runs in `out`.

    Args:
        baselines: names; by default every one that can run here, () for none.
        sets: gives each set as it is to be measured, with other metrics say, or None to leave it
            out.

    Raises:
        RunError: there are no runs.
        MissingExtra: a baseline was named that needs a package.
    """
    settings = settings or FigureSettings()
    found = _Found(baselines=baselines, settings=settings)
    runs = bench_runs(out)
    by_set: dict[str, list[BenchRun]] = {}
    measured: dict[str, LabelledSet] = {}
    for run in runs:
        labelled = sets(run.labelled)
        if labelled is not None:
            by_set.setdefault(labelled.name, []).append(run)
            measured.setdefault(labelled.name, labelled)
    for group in by_set.values():
        found.take(group)
    systems = {s: run for run in reversed(runs) for s in found.names.get(run.system, ())}
    results = measure(
        found.scored,
        measured,
        exposures={name: e for name, group in by_set.items() if (e := group[0].exposure)},
        kinds=found.kinds,
        readings={name: names[0] for names in found.names.values() for name in names},
        settings=settings,
        notes=found.notes,
        figures=found.figures,
        differences=found.differences,
    )
    stand_ins = {
        s: {"kind": "baseline"} for s in _STAND_INS if any(f.system == s for f in found.figures)
    }
    about = {
        name: {
            **kind,
            **({"judge": systems[name].manifest.judge,
                "settings": systems[name].manifest.settings["judge"],
                "limits": _limits(runs, systems[name].system)} if name in systems else {}),
        }
        for name, kind in {**results.settings["systems"], **stand_ins}.items()
    }  # fmt: skip
    return results.model_copy(
        update={"settings": {**results.settings, "systems": about}, "lost": tuple(found.lost)}
    )


def _limits(runs: Sequence[BenchRun], system: str) -> list[int]:
    """Return the limits of a system in ascending order, if they differ between sets."""
    limits = {run.manifest.settings["limit"] for run in runs if run.system == system}
    return sorted(limits - {None})


def judge_deletions(judge: Streams, folder: Path, *, seed: int) -> None:
    """Judge the texts of a run again without their highlighted words, unless already done.

    Raises:
        RunError: it cannot be written.
    """
    path = folder / _DELETIONS
    if path.exists():
        return
    items = items_from_run(folder)
    rng = _rng(seed, folder.name)
    found = deletions(judge, items, dict(outcomes(folder)), rng=rng)
    write_whole(path, found.model_dump_json() + "\n")


def judge_reasons(reader: Streams, folder: Path, *, seed: int) -> None:
    """Have a second model read the reasons of a run, unless this one already has.

    Raises:
        RunError: it cannot be written.
    """
    path = folder / _READINGS
    if path.exists() and ReasonReadings.model_validate_json(path.read_bytes()).reader == reader.id:
        return
    items = items_from_run(folder)
    rng = _rng(seed, folder.name)
    found = read_reasons(reader, items, dict(outcomes(folder)), rng=rng)
    write_whole(path, found.model_dump_json() + "\n")


def answers_of(out: Path, system: str) -> list[Answers]:
    """A judge's answers on each set, with the worst disagreements; `system` as in the results."""
    found = []
    for run in bench_runs(out):
        if not system.startswith(run.system):
            continue
        items = items_from_run(run.folder)
        for each in run.scored(items):
            if each.system == system:
                found.append(Answers.of(each, items, outcomes(run.folder)))
    return found


@dataclass
class _Found:
    """The results collected from the runs, set by set."""

    baselines: Sequence[str] | None
    settings: FigureSettings
    scored: list[Scored] = field(default_factory=list)
    kinds: dict[str, SystemKind] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    """Names of each system's readings."""
    figures: list[Figure] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _unable: set[str] = field(default_factory=set)

    def take(self, runs: Sequence[BenchRun]) -> None:
        """Add all runs on one set."""
        labelled = runs[0].labelled
        most: list[Item] = []
        for run in runs:
            items = items_from_run(run.folder)
            read = run.scored(items)
            self.scored += read
            own = self.names.setdefault(run.system, [])
            own += [each.system for each in read if each.system not in own]
            explained = False
            passed: dict[int, bool] = {}
            reasons = Reasons()
            for row, outcome in outcomes(run.folder):
                explained = explained or _explained(outcome)
                if (told := passed_on(outcome)) is not None:
                    passed[row] = told
                if (failure := failure_of(outcome)) is not None:
                    reasons.add(failure)
            # Independent of the reading: shown once, with the first.
            if explained:
                self._explanations(run, read[0].system, items)
            if passed:
                self._cascade(run, read[0].system, items, passed)
            if not read[0].judged.all():
                self._lost(run, reasons, asked=len(items))
            most = max(most, items, key=len)
            self.notes += [f"{labelled.name}: {n}" for n in run.manifest.settings["notes"]]
        for name in BASELINES.names() if self.baselines is None else self.baselines:
            self._baseline(name, labelled, most)
        ceiling = human(labelled.name, most, labelled.kind)
        if not isinstance(ceiling, Undefined):
            self.scored.append(ceiling)
            self.kinds[PEOPLE] = "people"

    def _cascade(
        self, run: BenchRun, system: str, items: Sequence[Item], passed: Mapping[int, bool]
    ) -> None:
        """Add the share a cascade's first judge passed on; `passed` is by the item's number."""
        share = clustered_share(list(passed.values()), [items[row].cluster for row in passed])
        self.figures.append(
            Figure.of(
                share, benchmark=run.labelled.name, system=system, metric="share passed on",
                asked=len(items), judged=len(passed),
            )
        )  # fmt: skip

    def _lost(self, run: BenchRun, reasons: Reasons, asked: int) -> None:
        self.lost += [
            Lost(
                benchmark=run.labelled.name, system=run.system, reason=reason, n=n, asked=asked,
                example=reasons.examples[reason],
            )
            for reason, n in reasons.counts.most_common()
        ]  # fmt: skip

    def _baseline(self, name: str, labelled: LabelledSet, items: Sequence[Item]) -> None:
        if name in self._unable:
            return
        try:
            scores = BASELINES.get(name).scores(items)
        except MissingExtra as error:
            if self.baselines is not None:
                raise
            self._unable.add(name)
            self.notes.append(f"no baseline {name}: {error.message} ({error.hint})")
            return
        if all(score is None for score in scores):
            self.notes.append(f"{labelled.name}: {name} has nothing to go by")
            return
        self.scored.append(Scored.of(labelled.name, name, items, scores))
        self.kinds[name] = "baseline"

    def _explanations(self, run: BenchRun, system: str, items: Sequence[Item]) -> None:
        """Only for a judge that explained: all texts of the run are held in memory."""
        found = dict(outcomes(run.folder))
        name = run.labelled.name
        rng = _rng(self.settings.seed, name)
        figures, differences = against_people(name, system, items, found, rng=rng)
        self.figures += figures
        self.differences += differences
        self.figures += explanation_figures(name, system, items, found, rng=rng)
        if (run.folder / _READINGS).exists():
            read = ReasonReadings.model_validate_json((run.folder / _READINGS).read_bytes())
            self.figures += agreement_figures(name, system, items, found, read)
            self.notes.append(f"{name}: the reasons of {system} were read by {read.reader}")
        if (run.folder / _DELETIONS).exists():
            again = Deletions.model_validate_json((run.folder / _DELETIONS).read_bytes())
            figures, differences = score_moved(name, system, items, again, rng=rng)
            self.figures += figures
            self.differences += differences
        if name == _REASONING:
            self.figures += first_errors(name, system, items, found, rng=rng)


def _rng(seed: int, benchmark: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(benchmark.encode())])


def _explained(outcome: Outcome) -> bool:
    return isinstance(outcome, Judgment) and bool(outcome.highlights or outcome.reasoning)
