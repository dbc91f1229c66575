"""`sentences`: every sentence of the text is judged alone, and the worst one decides.

For criteria that one sentence can break: a claim that the context does not hold, an insult, a
promise that must not be made. Checking claim by claim is how SummaC (Laban et al. 2022, arXiv
2111.09525) and MiniCheck (Tang et al. 2024, arXiv 2404.10774) find what a reader of the whole text
misses. What it costs: one call a sentence, and a sentence is read without those before it.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from glider.core.errors import TaskError
from glider.core.judgments import Failure, Highlight, Judgment, Span, Step
from glider.core.samples import Field, Sample
from glider.core.tasks import JudgeTask
from glider.judging.judge import Work
from glider.judging.strategies.base import Plan, Result, Strategy, changed
from glider.text.sentences import sentence_places

MOST = 32
"""Pieces of one text; of a longer one neighbouring sentences are judged together."""


class Sentences(Strategy):
    """The score, the reason and the marks are those of the sentences that the text fails by."""

    name = "sentences"

    def plan(self, work: Work) -> Plan:
        if not isinstance(work, JudgeTask) or len(work.sample.judged) != 1:
            raise TaskError(
                "sentences of several outputs cannot be held against each other",
                hint="sentences is for judging one output at a time; see pointwise",
            )
        (field,) = work.sample.judged
        places = _pieces(sentence_places(field.text))
        if len(places) < 2:
            return Plan((work,))
        works = tuple(
            changed(work, sample=_with(work.sample, field, field.text[start:end]))
            for start, end in places
        )
        return Plan(works, fold=partial(_worst, work, field, places))


def _pieces(places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """At most `MOST` runs of neighbouring sentences, of nearly equal number."""
    n = min(len(places), MOST)
    bounds = [len(places) * k // n for k in range(n + 1)] if n else [0]
    return [(places[a][0], places[b - 1][1]) for a, b in pairwise(bounds)]


def _with(sample: Sample, judged: Field, text: str) -> Sample:
    fields = (f.model_copy(update={"text": text}) if f is judged else f for f in sample.fields)
    return Sample(id=sample.id, fields=tuple(fields), metadata=sample.metadata)


def _worst(
    work: JudgeTask,
    field: Field,
    places: Sequence[tuple[int, int]],
    outcomes: Sequence[Result],
) -> Result:
    """The worst sentence's judgment, with the marks of all that are below the middle of the scale.

    Its level probabilities are that sentence's own; a failure of any sentence is the whole's.
    """
    judged: list[tuple[tuple[int, int], Judgment]] = []
    for number, (place, outcome) in enumerate(zip(places, outcomes, strict=True), start=1):
        if isinstance(outcome, Failure):
            return outcome.model_copy(update={"message": f"sentence {number}: {outcome.message}"})
        assert isinstance(outcome, Judgment)
        judged.append((place, outcome))
    rubric = work.criterion.rubric
    middle = (rubric.low + rubric.high) / 2
    worst_place, worst = min(judged, key=lambda one: one[1].expected_or_score)
    steps = tuple(
        Step(
            name=f"sentence {number}", text=field.text[start:end], score=judgment.expected_or_score
        )
        for number, ((start, end), judgment) in enumerate(judged, start=1)
    )
    highlights = tuple(
        highlight
        for place, judgment in judged
        if place == worst_place or judgment.expected_or_score < middle
        for highlight in _marks(judgment, field, place)
    )
    return worst.model_copy(
        update={
            "highlights": highlights,
            "repaired": tuple(dict.fromkeys(r for _, j in judged for r in j.repaired)),
            "adjusted": tuple(dict.fromkeys(a for _, j in judged for a in j.adjusted)),
            "warnings": tuple(dict.fromkeys(w for _, j in judged for w in j.warnings)),
        }
    ).with_steps((*worst.steps, *steps))


def _marks(judgment: Judgment, field: Field, place: tuple[int, int]) -> list[Highlight]:
    """A sentence's quotes at their places in the whole text; without any, the sentence itself."""
    start, end = place
    quotes = [
        quote.model_copy(
            update={
                "spans": tuple(
                    Span(field=s.field, start=s.start + start, end=s.end + start)
                    if s.field == field.name
                    else s
                    for s in quote.spans
                )
            }
        )
        for quote in judgment.highlights
    ]
    whole = Span(field=field.name, start=start, end=end)
    sentence = Highlight(phrase=field.text[start:end], spans=(whole,), match="exact")
    return quotes or [sentence]
