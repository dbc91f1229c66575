"""A run together with human labels of some of its items.

Labels come from the run itself (a `label` column that the preset `record` keeps, or the answers
of its review), from another reviewed run, or from a file with the columns `id` and `label`.
Unusable labels are refused with their id, or left out and reported. An item without a label is
simply unlabelled.

Items that share an input and a context share a prompt or document, and are one cluster.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from glider.core.errors import DataError, SetupError, UnknownName
from glider.core.judgments import Comparison, Failure, Judgment
from glider.data.clusters import Clusters
from glider.data.columns import start_of, value_at
from glider.data.covariates import covariates as covariates_of
from glider.data.labels import label_of
from glider.data.presets import parse_maps
from glider.data.rows import BadRow
from glider.data.values import Unfit
from glider.gold.source import is_run, open_labels
from glider.judging.readings import Readings
from glider.review.answers import is_answered
from glider.stats.statistic import Bools, Floats, Ints
from glider.store.run import AskedCriteria, load_manifest, outcomes, samples

Kind = Literal["graded", "pairs"]
_PAIR_LEVELS = (0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledRun:
    """N items of a run under one criterion; arrays have shape (N,)."""

    judge: str
    criterion: str
    criterion_id: str
    """Hash of the criterion's content; empty if each row had its own."""
    kind: Kind
    levels: tuple[int, ...]
    scale: tuple[float, float]
    """Lowest and highest label."""
    ids: tuple[str, ...]
    judged: Bools
    readings: Readings
    """Readings of the judged items, in order: shape (judged.sum(),)."""
    label: Floats
    """NaN for unlabelled items."""
    weight: Floats | None = None
    """Number of items that each labelled one stands for, shape (N,); NaN for unlabelled items. None
    if the labelled items are a plain random draw."""
    cluster: Ints
    notes: tuple[str, ...] = ()
    covariates: Mapping[str, Floats] = field(default_factory=dict)
    """The requested covariates, each of shape (N,); NaN where an item has none."""

    @property
    def labelled(self) -> Bools:
        """Whether each item is labelled."""
        return np.isfinite(self.label)

    @property
    def both(self) -> Bools:
        """Whether each judged item is labelled, shape (judged.sum(),)."""
        return self.labelled[self.judged]

    @classmethod
    def load(
        cls,
        run: Path,
        *,
        labels: str | None = None,
        maps: Sequence[str] = (),
        encoding: str = "utf-8",
        criterion: str | None = None,
        scale: tuple[float, float] | None = None,
        cluster: str | None = None,
        covariates: Sequence[str] = (),
    ) -> Self:
        """Read a run folder and its labels.

        Args:
            labels: file of labels, or a reviewed run; if not given, the labels that the run's
                samples carry, or else the answers of its own review.
            maps: `id=COLUMN`, `label=COLUMN`, of the labels file or of the samples' metadata.
            criterion: which one, where the run has several.
            scale: lowest and highest label there can be; the rubric's if not given.
            cluster: field or metadata column that items share which are not independent; `none`
                makes every item its own cluster.
            covariates: names of what is measured of each sample (data/covariates.py).

        Raises:
            DataError: labels that cannot be used, with the first of their ids.
            SetupError: several criteria or judges, nothing judged.
        """
        load_manifest(run)
        found = _of_criterion(run, criterion)
        rows = {row: outcome for row, outcome in found}
        notes: list[str] = []
        if len(rows) < len(found):
            raise SetupError("rows with more than two outputs to compare cannot be calibrated")
        name = next((o.criterion for o in rows.values() if o.criterion), "")
        judges = sorted({outcome.judge for outcome in rows.values()})
        if len(judges) > 1:
            raise SetupError(f"the run holds {len(judges)} judges: {', '.join(judges)}")
        judged = {row: o for row, o in rows.items() if not isinstance(o, Failure) and _is_judged(o)}
        if not judged:
            raise DataError(f"none of its {len(rows)} items was judged", path=str(run))
        columns = _columns(maps)
        # Without the texts: a large set would not fit in memory.
        known = {
            row: _Known(
                sample.id,
                value_at(sample.metadata, columns["label"]),
                covariates_of(sample, covariates),
            )
            for row, sample in samples(run)
            if row in rows
        }
        order = sorted(rows)
        ids = [known[row].id if row in known else rows[row].sample_id for row in order]
        if again := len(ids) - len(set(ids)):
            notes.append(f"{again} of {len(ids)} items repeat an earlier id; each counts.")
        told: dict[int, _Label] = {}
        if labels is None:
            told = _own_labels(order, known, columns["label"])
        if labels is None:
            labels = _of_review(run, bool(told), maps)
        if labels is not None:
            told = _given_labels(order, ids, labels, columns, encoding, name, notes)
        elif not told:
            raise _without_labels(run, len(order), columns["label"])
        clusters = Clusters.of(samples(run), cluster)
        notes += [clusters.note] if clusters.note else []
        kind, levels, criterion_id = _scale_of(run, name, judged)
        if kind == "pairs":
            for label, _ in told.values():
                label_of(label, pair=True, path=labels or str(run))
        ends = scale or (float(levels[0]), float(levels[-1]))
        _check_scale(told, dict(zip(order, ids, strict=True)), ends, given=scale is not None)
        return cls(
            judge=judges[0],
            criterion=name,
            criterion_id=criterion_id,
            kind=kind,
            levels=levels,
            scale=ends,
            ids=tuple(ids),
            judged=np.array([row in judged for row in order], np.bool_),
            readings=Readings.of([judged[row] for row in order if row in judged], levels, ends),
            label=np.array([told.get(row, _UNLABELLED).label for row in order], np.float64),
            weight=_weights(order, told, notes),
            cluster=np.array(clusters.codes(order), np.int64),
            notes=tuple(notes),
            covariates=_by_name(covariates, [known.get(row) for row in order]),
        )


class _Label(NamedTuple):
    label: float
    weight: float = 1.0


_UNLABELLED = _Label(math.nan, math.nan)


def _weights(order: Sequence[int], told: Mapping[int, _Label], notes: list[str]) -> Floats | None:
    given = [found.weight for found in told.values()]
    if not given or max(given) - min(given) < 1e-9:
        return None
    notes.append(
        "The labelled items were drawn with unequal probabilities. The true value is weighted for "
        "that; agreement, errors and the map are those of the drawn items, and no threshold is "
        "certified."
    )
    return np.array([told.get(row, _UNLABELLED).weight for row in order], np.float64)


_Any = Judgment | Failure | Comparison


class _Known(NamedTuple):
    """The parts of a sample that are needed."""

    id: str
    label: Any
    covariates: tuple[float, ...]


def _by_name(names: Sequence[str], known: Sequence[_Known | None]) -> dict[str, Floats]:
    """Return each covariate over the items.

    Raises:
        SetupError: no item has a requested covariate.
    """
    found = {
        name: np.array([math.nan if k is None else k.covariates[n] for k in known], np.float64)
        for n, name in enumerate(names)
    }
    for name, values in found.items():
        if not np.isfinite(values).any():
            raise SetupError(
                f"--with {name}: no item has a reference, a context or an input to compare with",
                hint="--with length needs the judged text alone",
            )
    return found


def _of_criterion(run: Path, wanted: str | None) -> list[tuple[int, _Any]]:
    found = [(row, _slim(outcome)) for row, outcome in outcomes(run)]
    counts = Counter(outcome.criterion for _, outcome in found if outcome.criterion)
    if not counts:
        raise DataError("holds no outcome", path=str(run))
    if wanted is None and len(counts) > 1:
        listed = ", ".join(f"{name} ({n})" for name, n in counts.most_common(12))
        raise SetupError(
            f"the run has {len(counts)} criteria: {listed}",
            hint="choose one with --criterion; each needs its own calibration",
        )
    if wanted is not None and wanted not in counts:
        raise UnknownName("criterion in this run", wanted, list(counts))
    # A row that failed to load has no criterion if rows bring their own.
    names = {wanted or next(iter(counts))} | ({""} if len(counts) == 1 else set())
    return [(row, outcome) for row, outcome in found if outcome.criterion in names]


def _slim(outcome: _Any) -> _Any:
    if isinstance(outcome, Judgment):
        return outcome.model_copy(update={"reasoning": None, "highlights": (), "raw_text": ""})
    return outcome.model_copy(update={"orders": ()} if isinstance(outcome, Comparison) else {})


def _is_judged(outcome: Judgment | Comparison) -> bool:
    return isinstance(outcome, Judgment) or outcome.p_first is not None


def _scale_of(
    run: Path, name: str, judged: Mapping[int, Judgment | Comparison]
) -> tuple[Kind, tuple[int, ...], str]:
    """Return the question, its levels, and the criterion's content id (empty if there are several).

    Raises:
        DataError: the run does not record its criterion.
        SetupError: scores and comparisons, or rubrics with different levels, under one name.
    """
    compared = {isinstance(outcome, Comparison) for outcome in judged.values()}
    if len(compared) > 1:
        raise SetupError("the run holds both grades and comparisons under one criterion")
    asked = AskedCriteria(run)
    found = {}
    for row, outcome in judged.items():
        criterion = asked.of(row, outcome)
        if criterion is None:
            raise DataError(f"does not record the criterion {name!r} of row {row}", path=str(run))
        found[criterion.content_id] = criterion
    content_id = next(iter(found)) if len(found) == 1 else ""
    if compared == {True}:
        return "pairs", _PAIR_LEVELS, content_id
    levels = {criterion.rubric.scores for criterion in found.values()}
    if len(levels) > 1:
        raise SetupError(
            f"{len(found)} criteria are called {name!r}, and their rubrics have different levels",
            hint="a calibration is of one scale: judge the rows of each rubric into a run of its "
            "own",
        )
    return "graded", levels.pop(), content_id


def _columns(maps: Sequence[str]) -> dict[str, str]:
    asked = parse_maps(maps)
    strange = sorted(set(asked) - {"id", "label"})
    if strange:
        raise SetupError(f"--map {strange[0]}=... is unknown here; use id and label")
    return {"id": "id", "label": "label"} | asked


def _own_labels(order: list[int], known: Mapping[int, _Known], column: str) -> dict[int, _Label]:
    told = {}
    for row in order:
        if row in known:
            label = _number(known[row].label, f"sample {known[row].id!r}")
            if label is not None:
                told[row] = _Label(label)
    return told


def _without_labels(run: Path, n: int, column: str) -> DataError:
    return DataError(
        f"none of the run's {n} samples has a {column!r}, and nobody has reviewed it",
        hint="--labels FILE names a file with the columns id and label; runs over files with a "
        f"`label` column keep it with --preset record; people label it with: glider review {run}",
    )


def _of_review(run: Path, has_labels: bool, maps: Sequence[str]) -> str | None:
    """Return the run if its own review is what labels it.

    Raises:
        SetupError: its samples have labels too, and neither was chosen.
    """
    if not is_answered(run) or (has_labels and "label" in parse_maps(maps)):
        return None
    if has_labels:
        raise SetupError(
            "the run has labels of its own and a review",
            hint=f"--labels {run} takes people's answers in the review, --map label=label the "
            "labels of its rows",
        )
    return str(run)


def _given_labels(
    order: list[int],
    ids: list[str],
    file: str,
    columns: dict[str, str],
    encoding: str,
    criterion: str,
    notes: list[str],
) -> dict[int, _Label]:
    given = _read_labels(file, columns, encoding, criterion, notes)
    places: dict[str, list[int]] = {}
    for row, name in zip(order, ids, strict=True):
        places.setdefault(name, []).append(row)
    twice = next((name for name in given if len(places.get(name, ())) > 1), None)
    if twice is not None:
        raise DataError(
            f"the id {twice!r} is on {len(places[twice])} rows of the run, so its label is "
            "ambiguous",
            path=file,
            hint="ids must differ within a run",
        )
    told = {places[name][0]: label for name, label in given.items() if name in places}
    if not told:
        raise DataError(
            f"none of its {len(given)} ids is in the run; it has {next(iter(given))!r}, the run "
            f"has {ids[0]!r}",
            path=file,
            hint="--map id=COLUMN names the column that holds the run's ids",
        )
    lost = len(given) - len(told)
    if lost:
        notes.append(f"{lost} of {len(given)} labels name ids that the run does not have.")
    return told


def _read_labels(
    file: str, columns: dict[str, str], encoding: str, criterion: str, notes: list[str]
) -> dict[str, _Label]:
    given: dict[str, _Label] = {}
    empty = again = 0
    of_run = is_run(Path(file))
    for row in open_labels(Path(file), encoding=encoding, only=_asked(columns)):
        if isinstance(row, BadRow):
            raise row.error
        # A file of labels is of one criterion; a review may be of several.
        if of_run and row.data["criterion"]["name"] != criterion:
            continue
        for needed in columns.values():
            if needed not in row.data and value_at(row.data, needed) is None:
                raise DataError(
                    f"no column {needed!r}; there are {', '.join(row.data)}",
                    path=file,
                    line=row.line,
                    hint="--map id=COLUMN --map label=COLUMN",
                )
        name = str(value_at(row.data, columns["id"])).strip()
        label = _number(value_at(row.data, columns["label"]), f"{file}:{row.line}")
        if label is None:
            empty += 1
        elif name in given and given[name].label != label:
            raise DataError(
                f"the id {name!r} has two labels, {given[name].label:g} and {label:g}",
                path=file,
                line=row.line,
                hint="give one label per item, such as the mean of its raters",
            )
        else:
            again += name in given
            given[name] = _Label(label, row.data.get("weight", 1.0) if of_run else 1.0)
    if not given:
        raise DataError("has no label in any row", path=file)
    if empty:
        notes.append(f"{empty} rows of the labels file have no label.")
    if again:
        notes.append(f"{again} labels are exact duplicates; they count once.")
    return given


def _asked(columns: Mapping[str, str]) -> set[str]:
    return {name for path in columns.values() for name in (path, start_of(path))}


def _number(value: Any, place: str) -> float | None:
    """Parse a label as a number; None if there is none."""
    try:
        return label_of(value, pair=False)
    except Unfit:
        raise DataError(
            f"{place}: the label {str(value)[:40]!r} is not a number",
            hint="labels are scores of the rubric, or numbers on a scale of their own (--scale)",
        ) from None


def _check_scale(
    told: Mapping[int, _Label], ids: Mapping[int, str], scale: tuple[float, float], *, given: bool
) -> None:
    low, high = scale
    outside = [(row, label) for row, (label, _) in told.items() if not low <= label <= high]
    if outside:
        row, label = outside[0]
        where = "the scale given" if given else "the rubric"
        raise DataError(
            f"{len(outside)} of {len(told)} labels are outside {low:g} to {high:g}, {where}: the "
            f"first is {label:g}, of {ids[row]!r}",
            hint="--scale LOW:HIGH says between what the labels lie",
        )
