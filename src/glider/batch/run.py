"""Judge every row of a file, record every outcome, skip what is already done.

Every row ends as exactly one outcome per criterion (and pair); an invalid row is a Failure in the
journal like any other.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from glider.core.criteria import Criterion
from glider.core.errors import CriterionError, GliderError
from glider.core.judgments import Comparison, Failure, Judgment
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.data.columns import Columns, sample_from
from glider.data.own_criteria import criterion_of
from glider.data.rows import BadRow, Row
from glider.judging.judge import Judge, Work
from glider.judging.pairs import round_robin
from glider.scale.cluster import Cluster
from glider.store.run import RunFolder

OnOutcome = Callable[[int, Judgment | Failure | Comparison], None]


@dataclass(frozen=True, kw_only=True)
class JudgingPlan:
    """What to judge of each row."""

    rows: Iterable[Row | BadRow]
    columns: Columns
    criteria: Sequence[Criterion]
    """Empty: each row brings its own."""
    both_orders: bool = True
    """Pairs are asked in both orders."""


def execute(
    judge: Judge | Cluster, plan: JudgingPlan, run: RunFolder, on_outcome: OnOutcome
) -> None:
    """Judge what is not done yet; `on_outcome` is told of each outcome once it is recorded.

    Raises:
        RunError: the run folder cannot be written; what it holds is safe.
    """

    def keep(row: int, outcome: Judgment | Failure | Comparison) -> None:
        run.record(row, outcome)
        on_outcome(row, outcome)

    for row, outcome in recorded(judge, _items(judge.id, plan, run, keep), run):
        on_outcome(row, outcome)


def recorded(
    judge: Judge | Cluster, items: Iterable[tuple[int, Work]], run: RunFolder
) -> Iterator[tuple[int, Judgment | Failure | Comparison]]:
    """Judge (row, work) pairs into a run; yield each outcome once it is on disk."""
    if isinstance(judge, Cluster):
        yield from judge.record_into(run, items)
        return
    for row, outcome in judge.stream(items):
        run.record(row, outcome)
        yield row, outcome


def _items(
    judge: str, plan: JudgingPlan, run: RunFolder, keep: OnOutcome
) -> Iterator[tuple[int, Work]]:
    names = [criterion.name for criterion in plan.criteria] or [""]
    for row in plan.rows:
        try:
            if isinstance(row, BadRow):
                raise row.error
            sample = sample_from(row, plan.columns)
        except GliderError as error:
            for name in names:
                if not run.is_done(row.index, name):
                    keep(row.index, _unloadable(row.index, name, error, judge))
            continue
        try:
            own = None if plan.criteria else _own_criterion(row)
        except GliderError as error:
            if not run.is_done(row.index, ""):
                keep(row.index, _unloadable(row.index, "", error, judge, sample.id))
            continue
        run.record_sample(row.index, sample, own)
        for criterion in plan.criteria if own is None else [own]:
            for work in _works(sample, criterion, plan.both_orders):
                pair = () if isinstance(work, JudgeTask) else (work.first, work.second)
                if not run.is_done(row.index, criterion.name, *pair):
                    yield row.index, work


def _works(sample: Sample, criterion: Criterion, both_orders: bool) -> Iterator[Work]:
    """One judged field is graded; two or more are compared."""
    if len(sample.judged) == 1:
        yield JudgeTask(sample, criterion)
    else:
        yield from round_robin(sample, criterion, both_orders=both_orders)


def _own_criterion(row: Row) -> Criterion:
    criterion = criterion_of(row)
    if criterion is None:
        raise CriterionError(
            f"{row.path}:{row.line}: the row has no criterion", hint="--criterion NAME"
        )
    return criterion


def _unloadable(
    row: int, criterion: str, error: GliderError, judge: str, sample_id: str | None = None
) -> Failure:
    return Failure(
        task_id="",
        sample_id=sample_id or f"row {row}",
        criterion=criterion,
        judge=judge,
        stage="load",
        code=error.code,
        message=str(error),
    )
