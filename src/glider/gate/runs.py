"""Figures of checks over a run folder, alone or against a baseline run of the same samples.

Against a baseline, samples are paired by id and the difference is this run minus the
baseline: what both runs share (hard samples, the judge's biases) cancels out, so a small change
needs far fewer rows than two separate means would.
"""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from glider.core.errors import DataError, RunError, SetupError, UnknownName
from glider.data.clusters import Clusters
from glider.gate.checks import Check, CheckFigure
from glider.gate.outcomes import N_SHOWN, Entry, OutcomeFigures
from glider.report.summary import stored_summary
from glider.stats.clustered import clustered_mean
from glider.stats.estimates import Undefined
from glider.store.manifest import NO_JUDGE
from glider.store.run import AskedCriteria, load_manifest, outcomes, samples

_PAIRED = ("mean_score", "normalized_mean", "pass_rate")


class RunFigures:
    """Figures over a finished run."""

    def __init__(
        self, run: Path, baseline: Path | None = None, *, cluster: str | None = None
    ) -> None:
        """Read the run and its baseline.

        Args:
            cluster: field or metadata column that rows share which are not independent, input and
                context if not given; `none` makes every row its own cluster.

        Raises:
            RunError: there is no run, or it is incomplete.
        """
        self._now = _Run(run, cluster)
        self._before = _Run(baseline) if baseline is not None else None
        self.name = self._now.name

    def measure(self, check: Check) -> CheckFigure:
        """Compute the figure of a check.

        Raises:
            SetupError: no such metric or criterion; or the two runs asked different questions.
        """
        if check.op == "no worse than" and self._before is not None:
            return _difference(check, self._now, self._before)
        return self._now.figures.measure(check)


class _Run:
    def __init__(self, path: Path, cluster: str | None = None) -> None:
        manifest = load_manifest(path)
        if manifest.judge == NO_JUDGE:
            raise RunError(
                f"{path} has no judge, so no outcomes to check",
                hint=f"glider review report {path} shows what people say",
            )
        if not stored_summary(path).get("finished"):
            raise RunError(
                f"{path} is incomplete: its figures would not cover the whole run",
                hint=f"glider judge ... --run {path} --resume",
            )
        asked = AskedCriteria(path)
        self.name, self.judge = manifest.run_id, manifest.judge
        self.asked = {(c.name, c.content_id) for c in asked.criteria}
        clusters = Clusters.of(samples(path), cluster)
        self.figures = OutcomeFigures(outcomes(path), asked.of, clusters)

    def by_sample(self, criterion: str) -> dict[str, Entry]:
        """Return the criterion's outcomes by sample id.

        Raises:
            DataError: an id occurs twice.
        """
        entries = self.figures.by_criterion[criterion].entries
        found = {entry.sample_id: entry for entry in entries}
        if len(found) < len(entries):
            twice = Counter(entry.sample_id for entry in entries).most_common(1)[0][0]
            raise DataError(
                f"run {self.name!r} has several outcomes of sample {twice!r}: it cannot be paired",
                hint="give every row a unique id",
            )
        return found


def _difference(check: Check, now: _Run, before: _Run) -> CheckFigure:
    if check.metric not in _PAIRED:
        raise UnknownName("metric to compare two runs by", check.metric, _PAIRED)
    name = now.figures.named(check.of)
    if name not in before.figures.by_criterion:
        raise UnknownName("criterion of the baseline", name, list(before.figures.by_criterion))
    if {c for c in now.asked if c[0] == name} != {c for c in before.asked if c[0] == name}:
        raise SetupError(
            f"criterion {name!r} differs between the two runs, so they cannot be compared"
        )
    ours, theirs = now.by_sample(name), before.by_sample(name)
    shared = [sample for sample in ours if sample in theirs]
    pairs: list[tuple[float, Entry, Entry]] = []
    for sample in shared:
        new, old = _value(ours[sample], check), _value(theirs[sample], check)
        if new is not None and old is not None:
            pairs.append((new - old, ours[sample], theirs[sample]))
    tally = now.figures.by_criterion[name].tally
    low, high = (0, 1) if check.metric != "mean_score" else tally.scale or (0, math.inf)
    rows = [new.row for _, new, _ in pairs]
    figure = clustered_mean(
        [difference for difference, _, _ in pairs],
        now.figures.clusters.codes(rows),
        scale=(low - high, high - low),
        skipped=len(shared) - len(pairs),
    )
    if tally.unlike and check.metric != "normalized_mean":
        reason = "criteria of this name have different scales; use normalized_mean"
        figure = Undefined(reason, len(pairs), len(shared) - len(pairs))
    found = now.figures.with_notes(figure, rows)
    drops = sorted((pair for pair in pairs if pair[0] < 0), key=lambda pair: pair[0])
    return CheckFigure(
        figure=found.figure,
        notes=(
            *_notes(now, before, (len(ours), len(theirs), len(shared)), len(pairs)),
            *found.notes,
        ),
        worst=tuple(new.shown(f"{_said(old)} to {_said(new)}") for _, new, old in drops[:N_SHOWN]),
    )


def _notes(now: _Run, before: _Run, sizes: tuple[int, int, int], n_pairs: int) -> Iterator[str]:
    ours, theirs, shared = sizes
    if not shared:
        yield (
            "the two runs share no sample id; give the rows an id column (without one, the id is a "
            "hash of the texts)"
        )
    elif shared < max(ours, theirs):
        yield f"paired {shared:,} samples; this run has {ours:,}, the baseline {theirs:,}"
    if shared > n_pairs:
        yield f"{shared - n_pairs:,} pairs are left out: one of the two judgments failed"
    if now.judge != before.judge:
        yield "the two runs had different judges, which may explain a difference"


def _value(entry: Entry, check: Check) -> float | None:
    """The value to compare: the score, or whether it passed; a failed judgment did not pass."""
    if check.metric == "normalized_mean":
        return entry.normalized
    if check.level is None:
        return entry.score
    return float(entry.score is not None and entry.score >= check.level)


def _said(entry: Entry) -> str:
    return "failed" if entry.score is None else str(entry.score)
