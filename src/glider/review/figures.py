"""The report of a review: every figure, and every answer by item.

Rows of each table are items, columns are people (`panel.py`). Intervals are clustered by prompt
(`data/clusters.py`).
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from glider._version import __version__
from glider.review.alternative import EPSILON
from glider.review.answered import Answered
from glider.review.answers import Answer
from glider.review.beside import alternative, beside, settled
from glider.review.panel import Panel, ends_of
from glider.review.persons import person_report
from glider.review.pull import pull
from glider.review.results import AnsweredRecord, ReviewFigure, ReviewReport
from glider.review.verdicts import VERDICTS, mean_agreement, questions, verdicts
from glider.store.manifest import NO_JUDGE
from glider.store.run import load_manifest


def review_report(answered: Answered, *, epsilon: float = EPSILON, seed: int = 0) -> ReviewReport:
    """Compute every statistic of a review.

    Args:
        answered: what `read_answered` gives for a run.
        epsilon: for the alternative-annotator test.
        seed: for the resamples.

    Raises:
        RunError: the run's manifest is gone or damaged.
    """
    judge = load_manifest(answered.review.run).judge
    panel = Panel(answered, seed, has_judge=judge != NO_JUDGE)
    asked, counted = questions(panel)
    lowest, highest = ends_of(panel.items[0])
    return ReviewReport(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        glider=__version__,
        run_id=panel.plan.run_id,
        judge=judge,
        has_judge=panel.has_judge,
        mode=panel.plan.mode,
        people=tuple(panel.names),
        drawn=len(panel.plan.items),
        answered=sum(bool(item.blind) for item in panel.items),
        answers=sum(len(item.blind) for item in panel.items),
        scale=f"{lowest:g} to {highest:g}" if panel.alike else "0 to 1, of several rubrics",
        verdicts=(*verdicts(panel), *asked),
        mean_agreement=mean_agreement(panel),
        alpha=ReviewFigure.made(
            panel.alpha(panel.scores, "interval"), name="Krippendorff's alpha", of="own scores",
            people=len(panel.names),
        ),
        beside=tuple(beside(panel)) if panel.plan.asks_score else (),
        settled=tuple(settled(panel)),
        alternative=alternative(panel, epsilon),
        pull=tuple(pull(panel)),
        each_person=tuple(person_report(panel, name) for name in panel.names),
        items=tuple(_record(panel, n) for n, item in enumerate(panel.items) if item.blind),
        notes=(*answered.review.notes, *_notes(panel), *counted),
    )  # fmt: skip


def _notes(panel: Panel) -> Iterator[str]:
    answered = panel.answered
    if not panel.alike:
        yield "The items have rubrics of several scales: scores are mapped to 0..1."
    if np.ptp(panel.weights) > 1e-9:
        yield (
            "Items were drawn by stratum: shares of verdicts are weighted back to the run; "
            "agreement on scores and marks is that of the drawn items."
        )
    if answered.outdated:
        yield (
            f"{answered.outdated} answers are to another text, question or rubric than the run "
            "holds now; they are not counted."
        )
    if answered.failed:
        yield (
            f"{answered.failed} of the run's {answered.asked} outcomes are failures: there was "
            "nothing to look at, and every figure here is of the others."
        )
    if n := sum(item.settled is not None for item in panel.items):
        yield (
            f"{n} items were adjudicated. Exports and other commands take the adjudicated answer "
            "as their label; the figures of agreement are of the people's own answers."
        )


def _record(panel: Panel, n: int) -> AnsweredRecord:
    """Return all answers to one item."""
    item = panel.items[n]
    given = panel.scores[n][np.isfinite(panel.scores[n])]

    def scores(answers: "dict[str, Answer]") -> dict[str, float]:
        found = {name: item.value(answer) for name, answer in answers.items()}
        return {name: value for name, value in found.items() if np.isfinite(value)}

    def marks(answers: Mapping[str, Answer]) -> dict[str, list[list[Any]]]:
        return {
            name: [[s.field, s.start, s.end] for s in answer.spans]
            for name, answer in answers.items()
            if answer.spans
        }

    return AnsweredRecord(
        id=item.id,
        sample_id=item.item.sample.id,
        row=item.row,
        criterion=item.item.criterion.name,
        cluster=item.cluster,
        weight=item.weight,
        judge=item.judge_value if panel.has_judge else None,
        judge_marks=[[s.field, s.start, s.end] for s in item.judge_spans],
        scores=scores(dict(item.blind)),
        scores_again=scores(dict(item.again)),
        scores_after_reveal=scores(dict(item.reveal)),
        marks=marks(item.blind),
        verdicts={
            name: {key: word for key, _ in VERDICTS if (word := getattr(answer, key))}
            for name, answer in item.reveal.items()
        },
        questions={n: dict(a.questions) for n, a in item.blind.items() if a.questions},
        notes={n: a.note for n, a in item.blind.items() if a.note.strip()},
        adjudicated=scores(dict(item.adjudicated)),
        adjudicated_marks=marks(item.adjudicated),
        label=None if np.isnan(item.label) else item.label,
        spread=float(np.ptp(given)) if len(given) > 1 else None,
        off=float(abs(given.mean() - panel.judge[n])) if panel.has_judge and len(given) else None,
    )
