"""`pointwise`: of two outputs each is judged alone; the two are compared outside the model.

A small judge that hardly tells two long texts in one prompt apart may still grade each (Wang et al.
2025, arXiv 2503.03064, found small judges best this way), and there is no first place to favour:
both orders name the same winner by construction, so a flip rate of 0 says nothing here. The price:
outputs are not held against each other, and equally good ones come near a tie.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from glider.core.judgments import Failure, Highlight, Judgment, Span, Step
from glider.core.samples import Field, Sample
from glider.core.tasks import COMPARED, JudgeTask
from glider.judging.judge import Work
from glider.judging.pairs import PairTask
from glider.judging.strategies.base import Plan, Result, Strategy

_ALONE = "output"


class Pointwise(Strategy):
    """Each output of a pair is judged alone; a single text is judged as ever."""

    name = "pointwise"

    def plan(self, work: Work) -> Plan:
        if not isinstance(work, PairTask):
            return Plan((work,))
        works = tuple(
            JudgeTask(_alone(work.sample, name), work.criterion)
            for name in (work.first, work.second)
        )
        return Plan(works, fold=partial(_compared, work))


def _alone(sample: Sample, name: str) -> Sample:
    """The sample with one of its outputs, under a name that does not tell which."""
    own = Field(name=_ALONE, text=sample[name], role="judged")
    return Sample(id=sample.id, fields=(*sample.told, own), metadata=sample.metadata)


def share_of_first(first: Judgment, second: Judgment) -> float:
    """Probability that the first got the higher level, a tie counted half.

    The two are taken for independent. Where the probabilities are not known the expected scores
    are compared, and the answer is 0, 0.5 or 1.
    """
    if first.score_probs is None or second.score_probs is None:
        a, b = first.expected_or_score, second.expected_or_score
        return 0.5 if a == b else float(a > b)
    return sum(
        p * q * (1.0 if a > b else 0.5 if a == b else 0.0)
        for a, p in first.score_probs.items()
        for b, q in second.score_probs.items()
    )


def _compared(work: PairTask, outcomes: Sequence[Result]) -> Result:
    names = (work.first, work.second)
    for name, outcome in zip(names, outcomes, strict=True):
        if not isinstance(outcome, Judgment):
            assert isinstance(outcome, Failure)
            told = outcome.model_copy(update={"message": f"{name}: {outcome.message}"})
            return work.fold([told] * len(work.tasks))
    first, second = (outcome for outcome in outcomes if isinstance(outcome, Judgment))
    steps = tuple(
        Step(name=name, score=judgment.expected_or_score)
        for name, judgment in zip(names, (first, second), strict=True)
    )
    shown = [_order(work, first, second), _order(work, second, first)][: len(work.tasks)]
    beneath = (*first.steps, *second.steps)
    return work.fold(shown).with_steps((*beneath, *steps))


def _order(work: PairTask, shown: Judgment, then: Judgment) -> Judgment:
    """The two judgments as one of a pair, the first of them shown first."""
    p = share_of_first(shown, then)
    masses = [judgment.mass for judgment in (shown, then) if judgment.mass is not None]
    both = dict(zip(COMPARED, (shown, then), strict=True))
    score = int(p < 0.5)
    return shown.model_copy(
        update={
            "score": score,
            "normalized": float(score),
            "expected": 1 - p,
            "score_probs": {0: p, 1: 1 - p},
            "mass": min(masses) if masses else None,
            "reasoning": _reasons(both),
            "highlights": tuple(
                _named(highlight, name)
                for name, judgment in both.items()
                for highlight in judgment.highlights
            ),
            "sampled": (),
            "repaired": tuple(dict.fromkeys(shown.repaired + then.repaired)),
            "adjusted": tuple(dict.fromkeys(shown.adjusted + then.adjusted)),
            "warnings": tuple(dict.fromkeys(shown.warnings + then.warnings)),
            "cuts": tuple(
                cut.model_copy(update={"field": name if cut.field == _ALONE else cut.field})
                for name, judgment in both.items()
                for cut in judgment.cuts
            ),
            "raw_text": "\n\n".join(judgment.raw_text for judgment in both.values()),
            "steps": (),
        }
    )


def _reasons(both: Mapping[str, Judgment]) -> str | None:
    told = [
        f"{name}: {judgment.reasoning}" for name, judgment in both.items() if judgment.reasoning
    ]
    return "\n".join(told) or None


def _named(highlight: Highlight, name: str) -> Highlight:
    """The same quote, in the output as the pair calls it."""
    spans = tuple(Span(field=name, start=s.start, end=s.end) for s in highlight.spans)
    return highlight.model_copy(update={"spans": spans})
