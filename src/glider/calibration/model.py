"""A calibration: what human labels show about one judge under one criterion, in one file.

It is fitted to a labelled run, stored as JSON, and applied to further judgments of the same judge
under the same criterion. Others are refused, since neither map nor guarantee is valid for them.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import ValidationError

from glider._version import __version__
from glider.calibration import figures
from glider.calibration.blocking import BlockingScores
from glider.calibration.combined import Combined, weigh, weighable
from glider.calibration.figures import Finding, ReliabilityRow, RiskRow
from glider.calibration.labelled import Kind, LabelledRun
from glider.calibration.maps import Maps, Method, best, pass_score, predicted
from glider.calibration.truth import truth
from glider.core.base import Frozen, first_problem
from glider.core.errors import DataError, SetupError, UnknownName, UnknownSchemaVersion
from glider.core.judgments import Comparison, Failure, Judgment
from glider.core.samples import Sample
from glider.data.covariates import covariates
from glider.judging.readings import AgreeOn, Readings
from glider.stats.estimates import Undefined
from glider.stats.selective import Certified, certified_threshold
from glider.stats.statistic import Floats
from glider.store.atomic import write_whole
from glider.store.run import load_criteria, load_manifest, outcomes, samples

VERSION = 3
"""The newest readable file version: 2 has `combined`, 3 has `blocking`. A file is written in the
oldest version that can represent it."""
FEWEST_LABELS = 20
_FEW_CLUSTERS = 15


class CalibrationSettings(Frozen):
    """Settings of a calibration."""

    method: Literal["auto", "none", "temperature", "isotonic"] = "auto"
    pass_at: float | None = None
    """Lowest label that passes; if not given and there are two levels, the upper one."""
    agree_on: AgreeOn | None = None
    """What counts as agreement; `pass` with a pass mark, else `level`."""
    alpha: float = 0.1
    """Highest allowed rate of disagreement among the kept judgments."""
    delta: float = 0.05
    """Allowed probability that the guarantee fails."""
    seed: int = 0
    covariates: tuple[str, ...] = ()
    """Covariates to combine with the judge: names from data/covariates.py."""


class Counts(Frozen):
    """Counts of items."""

    asked: int
    judged: int
    failed: int
    labelled: int
    labelled_judged: int
    clusters: int
    """Prompts or documents among the labelled items."""


class Applied(Frozen):
    """What a calibration says about one outcome."""

    score: float | None
    """Expected human score, on the labels' scale; None for a failure."""
    p_pass: float | None
    """Probability that people would pass it; None without a pass mark."""
    confidence: float | None
    """The judge's own confidence, to which the threshold applies."""
    keep: bool
    """Needs no human review, by the guarantee. Never true for a failure or without a threshold."""


_NOT_JUDGED = Applied(score=None, p_pass=None, confidence=None, keep=False)


class Calibration(Frozen):
    """Maps, threshold and figures of one judge under one criterion."""

    version: int = 1
    glider: str = __version__
    made_at: str
    judge: str
    criterion: str
    criterion_id: str
    kind: Kind
    levels: tuple[int, ...]
    scale: tuple[float, float]
    settings: CalibrationSettings
    pass_at: float | None
    agree_on: AgreeOn
    maps: Maps
    uses_probs: bool
    """Whether maps and threshold use the judge's level probabilities."""
    threshold: float | None
    counts: Counts
    findings: tuple[Finding, ...]
    reliability: tuple[ReliabilityRow, ...]
    risk_coverage: tuple[RiskRow, ...]
    notes: tuple[str, ...]
    combined: Combined | None = None
    """The judge combined with covariates; if set, it replaces the map for `score` and `p_pass`."""
    blocking: BlockingScores | None = None
    """What a rule needs that blocks low scores; with a pass mark, and not for pairs."""

    @classmethod
    def of(cls, run: LabelledRun, settings: CalibrationSettings | None = None) -> Self:
        """Fit to a labelled run.

        Raises:
            DataError: fewer than 20 labels, or fewer than 20 labels on judged items.
            SetupError: the settings do not fit the judge or the rubric.
        """
        asked = settings or CalibrationSettings()
        _check(asked, run)
        rng = np.random.default_rng(asked.seed)
        pass_at = asked.pass_at
        if pass_at is None and len(run.levels) == 2:
            pass_at = run.scale[1]
        agree_on: AgreeOn = asked.agree_on or ("level" if pass_at is None else "pass")
        if agree_on == "pass" and pass_at is None:
            raise SetupError("agreement on passing needs a pass mark", hint="--pass-at LEVEL")
        readings = run.readings.only(run.both)
        labels = run.label[run.judged][run.both]
        clusters = run.cluster[run.judged][run.both]
        notes = [*run.notes, *_oddities(run, labels, pass_at)]
        alike = bool(np.ptp(labels) == 0)
        one_cluster = len(np.unique(clusters)) == 1
        if one_cluster and asked.method in ("isotonic", "temperature"):
            raise DataError(
                f"all {len(labels)} labels belong to one prompt, so no map can "
                f"be checked on another",
                hint="label items of other prompts; `--cluster none` treats all as independent",
            )
        method: Method
        if one_cluster:
            method = "none"
            notes.append("All labels belong to one prompt: no map can be checked on another.")
        elif alike and asked.method in ("auto", "isotonic", "temperature"):
            method = "none"
        elif asked.method == "auto":
            method = best(readings, labels, clusters, pass_at, rng)
        else:
            method = asked.method
        weighed = None
        if asked.covariates:
            hinders = weighable(run, pass_at)
            if hinders is not None:
                notes.append(f"Covariates cannot be weighed: {hinders}.")
            else:
                weighed = weigh(run, pass_at, rng)
                notes += [weighed.note] if weighed.note else []
        found = truth(run, pass_at, score=None if weighed is None else weighed.score)
        notes += found.notes
        findings = figures.true_value(found, run, pass_at, asked.covariates if weighed else ())
        findings += weighed.findings if weighed else ()
        findings += figures.agreement(run, agree_on, pass_at)
        scores, passing = predicted(method, readings, labels, clusters, pass_at, rng)
        if pass_at is None or passing is None:
            raw, mapped, actual, by = readings.expected, scores, labels, readings.expected
        else:
            raw, mapped = readings.p_pass(pass_at), passing
            actual = (labels >= pass_at).astype(np.float64)
            by = pass_score(readings, pass_at)
        event = pass_at is not None
        scale = run.scale if pass_at is None else (0.0, 1.0)
        findings += figures.errors(
            raw, mapped, actual, clusters, by=by, event=event, scale=scale, rng=rng
        )
        everyone = run.readings.confidence(agree_on, pass_at)
        confidence = readings.confidence(agree_on, pass_at)
        certified: Certified | Undefined = Undefined(
            "the judge gives no probabilities, so it has no confidence to choose by; with a pass "
            "mark, the distance from it would serve",
            len(labels),
            0,
        )
        points: tuple[RiskRow, ...] = ()
        if everyone is not None and confidence is not None:
            differ = readings.disagree(labels, agree_on, pass_at)
            findings.append(figures.ranking(confidence, differ, clusters, rng))
            points = figures.curve(confidence, differ, clusters, everyone, len(run.label))
            certified = (
                certified_threshold(
                    confidence, differ, clusters, everyone, alpha=asked.alpha, delta=asked.delta
                )
                if run.weight is None
                else Undefined(
                    "the labelled items were drawn with unequal probabilities", len(labels), 0
                )
            )
        findings += figures.selection(
            certified,
            alpha=asked.alpha,
            delta=asked.delta,
            n_judged=len(run.readings),
            n_asked=len(run.label),
        )
        maps = Maps.fit(method, readings, labels, pass_at)
        threshold = certified.threshold if isinstance(certified, Certified) else None
        blocking = None
        if pass_at is not None and run.kind == "graded" and run.weight is None:
            decided = _decided(run, maps.p_pass(run.readings, pass_at), everyone, threshold)
            blocking = BlockingScores.of(run, pass_at, decided)
        return cls(
            version=3 if blocking is not None else 1 if weighed is None else 2,
            blocking=blocking,
            combined=None if weighed is None else Combined.fit(run, pass_at),
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            judge=run.judge,
            criterion=run.criterion,
            criterion_id=run.criterion_id,
            kind=run.kind,
            levels=run.levels,
            scale=run.scale,
            settings=asked,
            pass_at=pass_at,
            agree_on=agree_on,
            maps=maps,
            uses_probs=readings.probs is not None,
            threshold=threshold,
            counts=Counts(
                asked=len(run.label),
                judged=len(run.readings),
                failed=int((~run.judged).sum()),
                labelled=int(run.labelled.sum()),
                labelled_judged=len(labels),
                clusters=len(np.unique(run.cluster[run.labelled])),
            ),
            findings=tuple(findings),
            reliability=figures.diagram(raw, mapped, actual, clusters, by=by, scale=scale),
            risk_coverage=points,
            notes=tuple(notes),
        )

    def apply(
        self, outcome: Judgment | Failure | Comparison, sample: Sample | None = None
    ) -> Applied:
        """Apply this calibration to one outcome.

        Args:
            sample: the judged sample; required if covariates are combined with the judge.

        Raises:
            SetupError: another judge or criterion, or a judgment without the probabilities that
                this calibration rests on; or no sample where covariates are needed.
        """
        values = None
        if self.combined is not None and sample is not None:
            values = covariates(sample, self.combined.covariates)
        return self._applied(outcome, values)

    def _applied(
        self, outcome: Judgment | Failure | Comparison, values: Sequence[float] | None
    ) -> Applied:
        for what, ours, theirs in (
            ("judge", self.judge, outcome.judge),
            ("criterion", self.criterion, outcome.criterion),
        ):
            if ours != theirs:
                raise SetupError(
                    f"this calibration is for the {what} {ours!r}, not for {theirs!r}",
                    hint="each judge and each criterion needs its own calibration",
                )
        if isinstance(outcome, Failure) or (
            isinstance(outcome, Comparison) and outcome.p_first is None
        ):
            return _NOT_JUDGED
        if isinstance(outcome, Comparison) != (self.kind == "pairs"):
            raise SetupError(f"this calibration is for {self.kind}, not for a {outcome.kind}")
        reading = Readings.of([outcome], self.levels, self.scale)
        if self.uses_probs and reading.probs is None:
            raise SetupError(
                "this judgment has no level probabilities, which the calibration needs"
            )
        if not self.uses_probs:
            reading = Readings(
                ladder=reading.ladder,
                position=reading.position,
                expected=reading.expected,
                probs=None,
            )
        sure = reading.confidence(self.agree_on, self.pass_at)
        confidence = None if sure is None else float(sure[0])
        passing = None
        if self.combined is not None:
            if values is None:
                raise SetupError(
                    f"this calibration weighs the judge with {', '.join(self.combined.covariates)},"
                    " so it needs the sample that was judged"
                )
            score = self.combined.score(reading, values, self.scale)
            if self.pass_at is not None:
                passing = self.combined.p_pass(reading, values, self.pass_at)
        else:
            score = float(self.maps.score(reading)[0])
            if self.pass_at is not None:
                passing = float(self.maps.p_pass(reading, self.pass_at)[0])
        return Applied(
            score=score,
            p_pass=passing,
            confidence=confidence,
            keep=confidence is not None
            and self.threshold is not None
            and confidence >= self.threshold,
        )

    def over(self, run: Path) -> Iterator[tuple[int, Judgment | Failure | Comparison, Applied]]:
        """Yield (row, outcome, calibrated outcome) of a run, in the order of its journal.

        Outcomes of other criteria are skipped.

        Raises:
            RunError: there is no run.
            SetupError: as `apply`; or the run has a different wording of this criterion, or none.
        """
        load_manifest(run)
        asked: dict[str, set[str]] = {}
        for criterion in load_criteria(run):
            asked.setdefault(criterion.name, set()).add(criterion.content_id)
        if self.criterion not in asked:
            raise UnknownName("criterion in this run", self.criterion, list(asked))
        if self.criterion_id and asked[self.criterion] != {self.criterion_id}:
            raise SetupError(
                f"the run's criterion {self.criterion!r} differs in wording from the calibration's",
                hint="calibrate a run under the current criterion",
            )
        values: dict[int, Sequence[float]] = {}
        if self.combined is not None:
            values = {
                row: covariates(sample, self.combined.covariates) for row, sample in samples(run)
            }
        for row, outcome in outcomes(run):
            if outcome.criterion == self.criterion:
                yield row, outcome, self._applied(outcome, values.get(row))
            elif not outcome.criterion and len(asked) == 1:
                # A row that failed to load, if rows bring their own criterion.
                yield row, outcome, _NOT_JUDGED

    def finding(self, name: str) -> Finding:
        """Return a figure by name.

        Raises:
            KeyError: there is none.
        """
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)

    def as_json(self) -> dict[str, Any]:
        """Return the file's content: what a version does not have is left out."""
        data = self.model_dump(mode="json")
        if self.blocking is None:
            del data["blocking"]
        if self.combined is None:
            del data["combined"]
        if not self.settings.covariates:
            del data["settings"]["covariates"]
        return data

    def save(self, path: Path) -> None:
        """Write it as JSON, atomically.

        Raises:
            RunError: it cannot be written.
        """
        write_whole(path, json.dumps(self.as_json(), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load it from a file.

        Raises:
            DataError: the file is missing or not a calibration.
            UnknownSchemaVersion: a newer Glider wrote it.
        """
        try:
            data = json.loads(path.read_text("utf-8"))
        except OSError as exc:
            raise DataError(f"cannot be read: {exc.strerror}", path=str(path)) from exc
        except ValueError as exc:
            raise DataError(f"is not JSON: {exc}", path=str(path)) from exc
        if not isinstance(data, dict) or "version" not in data:
            raise DataError("is no calibration", path=str(path))
        if data["version"] not in range(1, VERSION + 1):
            raise UnknownSchemaVersion(
                f"calibration version {data['version']}; this Glider reads up to {VERSION}",
                path=str(path),
            )
        try:
            return cls.model_validate(data)
        except ValidationError as exc:
            raise DataError(f"is no calibration: {first_problem(exc)}", path=str(path)) from exc


def _decided(
    run: LabelledRun, p_pass: Floats, confidence: Floats | None, threshold: float | None
) -> list[str]:
    """Return what a calibration without covariates says of each item."""
    keeps = np.zeros(len(p_pass), np.bool_)
    if confidence is not None and threshold is not None:
        keeps = confidence >= threshold
    said = np.where(keeps, np.where(p_pass >= 0.5, "passed", "blocked"), "abstained")
    found = np.full(len(run.label), "failed   ")
    found[run.judged] = said
    return [str(each).strip() for each in found]


def _check(asked: CalibrationSettings, run: LabelledRun) -> None:
    for name, share in (("alpha", asked.alpha), ("delta", asked.delta)):
        if not 0 < share < 1:
            raise SetupError(f"--{name} must lie between 0 and 1, not {share:g}")
    if asked.pass_at is not None:
        run.readings.cut(asked.pass_at)
    n, judged = int(run.labelled.sum()), int(run.both.sum())
    if judged < FEWEST_LABELS:
        on = "" if judged == n else f", {judged} of them on items that could be judged"
        raise DataError(
            f"{n} labels{on}: at least {FEWEST_LABELS} are needed, and about 100 for useful "
            "figures",
            hint="`glider plan-labels` says how many",
        )


def _oddities(run: LabelledRun, labels: Floats, pass_at: float | None) -> list[str]:
    """Return notes on the data that a reader should see before the figures."""
    notes = []
    failed = int((~run.judged).sum())
    if failed:
        notes.append(
            f"{failed:,} of {len(run.label):,} items were not judged. They are never kept, count "
            "as disagreement, and belong to the set whose true value is given."
        )
    if np.ptp(labels) == 0:
        notes.append(
            f"Every label is {labels[0]:g}: no map can be fitted, and whether the judge tells good "
            "from bad is not known."
        )
    elif pass_at is not None and (np.all(labels >= pass_at) or np.all(labels < pass_at)):
        kind = "pass" if labels[0] >= pass_at else "fail"
        notes.append(
            f"All labelled items {kind}: the judge's pass probabilities cannot be checked against "
            "the other kind."
        )
    n_clusters = len(np.unique(run.cluster[run.labelled]))
    if n_clusters < _FEW_CLUSTERS:
        notes.append(
            f"The labels come from only {n_clusters} prompts or documents: "
            f"intervals and guarantees "
            "are rough, especially for other prompts."
        )
    if len(np.unique(run.readings.expected)) == 1:
        notes.append("The judge gives every item the same score, so it is uninformative.")
    return notes
