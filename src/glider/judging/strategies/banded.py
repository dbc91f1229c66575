"""`banded`: five bands from 0 to 100 in place of the criterion's levels, integrated to one number.

After Retro* (2025, arXiv 2509.24869): s = sum w_i s_i / sum w_i. Here s_i are the middles of the
bands, 10 to 90, and w_i their probabilities; over several answers (`mean`) the s are averaged. A
score is therefore never below 10 nor above 90 of 100, and is carried linearly to the criterion's
own scale. Where a model tells no probabilities and one answer is drawn, s is the middle of its
band.
"""

from collections.abc import Sequence
from functools import partial

from glider.core.criteria import Criterion, Rubric
from glider.core.errors import TaskError
from glider.core.judgments import Judgment, Step
from glider.core.tasks import JudgeTask
from glider.judging.judge import Work
from glider.judging.strategies.base import Plan, Result, Strategy, changed

_BANDS = {
    10: "0 to 20: it is not met at all.",
    30: "20 to 40: it is met in a small part.",
    50: "40 to 60: it is met in about half.",
    70: "60 to 80: it is mostly met, with clear gaps.",
    90: "80 to 100: it is met fully or nearly so.",
}


class Banded(Strategy):
    """A finer scale than the rubric's; for single texts."""

    name = "banded"

    def plan(self, work: Work) -> Plan:
        if not isinstance(work, JudgeTask):
            raise TaskError(
                "two outputs are compared, and a preference has no bands",
                hint="banded is for judging one output at a time",
            )
        return Plan(
            (changed(work, criterion=_in_bands(work.criterion)),),
            fold=partial(_on_own_scale, work.criterion.rubric),
        )


def _in_bands(criterion: Criterion) -> Criterion:
    """The criterion on 0 to 100; the words of its lowest and highest level stand at the ends."""
    own = criterion.rubric
    levels = dict(_BANDS)
    levels[min(levels)] += f" {own.levels[own.low]}"
    levels[max(levels)] += f" {own.levels[own.high]}"
    return Criterion(
        name=criterion.name,
        title=criterion.title,
        group=criterion.group,
        question=criterion.question,
        rubric=Rubric(levels=levels),
    )


def _on_own_scale(rubric: Rubric, outcomes: Sequence[Result]) -> Result:
    (outcome,) = outcomes
    if not isinstance(outcome, Judgment):
        return outcome

    def carried(hundredths: float) -> float:
        return rubric.low + (rubric.high - rubric.low) * hundredths / 100

    integrated = outcome.expected_or_score
    expected = carried(integrated)
    score = min(rubric.scores, key=lambda level: abs(level - expected))
    probs = outcome.score_probs or {}
    step = Step(
        name="0 to 100",
        text=", ".join(f"{band}: {p:.3f}" for band, p in probs.items()),
        score=integrated,
    )
    return outcome.model_copy(
        update={
            "score": score,
            "normalized": rubric.normalize(score),
            "expected": expected,
            # Five bands are not the levels of the rubric.
            "score_probs": None,
            "sampled": tuple(carried(s) for s in outcome.sampled),
        }
    ).with_steps((*outcome.steps, step))
