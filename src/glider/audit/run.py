"""Plan all probes, judge all variants in one stream, journal each, and evaluate the answers.

The plan is deterministic in data, probes and seed, so row n of the journal is the same
question on the next start: an interrupted audit resumes where it stopped. Identical questions of
several probes are asked once. A second round asks what depends on the first (the deletion test).
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from glider._version import __version__
from glider.audit.probe import PROBES, Outcome, Probe, ProbeTask, Rng, Subject, Trial
from glider.audit.results import Audit, ProbeReport, check_bounds, finding
from glider.audit.shapes import grade, singles
from glider.batch.run import OnOutcome
from glider.core.judgments import Comparison, Failure, Judgment
from glider.core.samples import Sample
from glider.judging.judge import Judge, Work
from glider.judging.pairs import PairTask
from glider.store.run import RunFolder, outcomes

_FEWEST, _MOST_ALIKE = 10, 0.9
"""With at least so many texts, so large a share with the same score causes a note."""


@dataclass
class _Plan:
    """Questions by row, without duplicates."""

    asks: list[ProbeTask] = field(default_factory=list)
    labels: list[dict[str, str]] = field(default_factory=list)
    """Probe and role that asked first, and the sample concerned."""
    _rows: dict[tuple[str, ...], int] = field(default_factory=dict)

    def add(self, probe: str, trial: Trial) -> None:
        for role, ask in trial.asks.items():
            key = _key(ask)
            if key not in self._rows:
                self._rows[key] = len(self.asks)
                self.asks.append(ask)
                self.labels.append({"probe": probe, "role": role})

    def __contains__(self, ask: ProbeTask) -> bool:
        return _key(ask) in self._rows

    def row(self, ask: ProbeTask) -> int:
        return self._rows[_key(ask)]


def _key(ask: ProbeTask) -> tuple[str, ...]:
    orders = str(ask.work.both_orders) if isinstance(ask.work, PairTask) else ""
    return ask.work.id, ask.apart, orders


class Auditor:
    """One audit of one judge: its questions, their answers and the results."""

    def __init__(self, subjects: Sequence[Subject], probes: Sequence[str], *, seed: int) -> None:
        """Plan the first round.

        Args:
            subjects: what the data holds.
            probes: names.
            seed: for every random choice; each probe draws from its own stream.

        Raises:
            UnknownName: no such probe.
        """
        self.subjects, self.seed = subjects, seed
        self._probes: list[Probe] = [PROBES.get(name)() for name in probes]
        self._plan = _Plan()
        self._said: dict[int, Outcome] = {}
        self._trials = {p.name: p.trials(subjects, self._rng(p, 0)) for p in self._probes}
        for name, trials in self._trials.items():
            for trial in trials:
                self._plan.add(name, trial)

    @property
    def planned(self) -> int:
        """Number of questions in the first round."""
        return len(self._plan.asks)

    def _rng(self, probe: Probe, purpose: int) -> Rng:
        return np.random.default_rng([self.seed, purpose, *probe.name.encode()])

    def judge(self, judge: Judge, run: RunFolder, on_outcome: OnOutcome) -> None:
        """Ask the judge every open question, then the second round.

        Raises:
            RunError: the run folder cannot be written; what it already contains is safe.
        """
        self._said |= {row: outcome for row, outcome in outcomes(run.path)}
        self._ask(judge, run, on_outcome)
        for probe in self._probes:
            more = probe.more(self._answered(probe), self._rng(probe, 1))
            for trial in more:
                self._plan.add(probe.name, trial)
            self._trials[probe.name] += more
        self._ask(judge, run, on_outcome)

    def _ask(self, judge: Judge, run: RunFolder, on_outcome: OnOutcome) -> None:
        for row, outcome in judge.stream(self._open(run)):
            run.record(row, outcome)
            self._said[row] = outcome
            on_outcome(row, outcome)

    def _open(self, run: RunFolder) -> Iterator[tuple[int, Work]]:
        for row, ask in enumerate(self._plan.asks):
            if row not in self._said:
                work = ask.work
                described = _described(work.sample, self._plan.labels[row])
                run.record_sample(row, described, work.criterion)
                yield row, work

    def _answered(self, probe: Probe) -> list[Trial]:
        return [
            replace(
                trial,
                said={role: self._said[self._plan.row(ask)] for role, ask in trial.asks.items()},
            )
            for trial in self._trials[probe.name]
        ]

    def report(
        self,
        *,
        judge: str,
        data: str,
        settings: Mapping[str, Any],
        bounds: Mapping[str, float],
        unreadable: int = 0,
    ) -> Audit:
        """Evaluate the answers.

        Raises:
            UnknownName: a bound for a number this audit does not have.
        """
        reports = []
        for probe in self._probes:
            effects = probe.effects(self._answered(probe), self._rng(probe, 2))
            reports.append(
                ProbeReport(
                    name=probe.name,
                    title=probe.title,
                    asks=probe.asks,
                    advice=probe.advice,
                    findings=tuple(finding(probe.name, effect, bounds) for effect in effects),
                )
            )
        check_bounds(bounds, reports)
        return Audit(
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            glider=__version__,
            judge=judge,
            settings=json.loads(json.dumps(settings)),
            data=data,
            subjects=len(self.subjects),
            samples=len({subject.sample.id for subject in self.subjects}),
            criteria=tuple(dict.fromkeys(s.criterion.name for s in self.subjects)),
            unreadable=unreadable,
            asked=len(self._said),
            judged=sum(not _failures(outcome) for outcome in self._said.values()),
            failures=dict(self._lost().most_common()),
            notes=tuple(self._notes(unreadable)),
            probes=tuple(reports),
        )

    def _notes(self, unreadable: int) -> Iterator[str]:
        if unreadable:
            yield f"{unreadable:,} rows of the data hold no sample and were left out."
        plain = [grade(s.sample, s.criterion) for s in singles(self.subjects)]
        outcomes = [self._said[self._plan.row(ask)] for ask in plain if ask in self._plan]
        levels = Counter(o.score for o in outcomes if isinstance(o, Judgment))
        if levels.total() >= _FEWEST and max(levels.values()) >= _MOST_ALIKE * levels.total():
            ((level, most),) = levels.most_common(1)
            yield (
                f"{most} of {levels.total()} texts, as they are, got the score {level}. A judge "
                "that hardly tells texts apart is hardly swayed either: passing says little."
            )

    def _lost(self) -> Counter[str]:
        return Counter(
            f"{failure.stage}/{failure.code}"
            for outcome in self._said.values()
            for failure in _failures(outcome)
        )


def _failures(outcome: Outcome) -> list[Failure]:
    parts = outcome.orders if isinstance(outcome, Comparison) else (outcome,)
    return [part for part in parts if isinstance(part, Failure)]


def _described(sample: Sample, label: Mapping[str, str]) -> Sample:
    """Return the sample with a label of its purpose, so that the run folder is self-explanatory."""
    return sample.model_copy(update={"metadata": {**sample.metadata, **label}})
