"""Items and judgments by hand, for the tests of this folder."""

from glider.core.criteria import Criterion, Rubric
from glider.core.judgments import Failure, Judgment, Span
from glider.core.samples import Sample
from glider.gold.items import Item
from glider.text.spans import place

CRITERION = Criterion(
    name="quality", question="How good is {output}?", rubric=Rubric(levels={1: "bad", 5: "good"})
)
_numbers = iter(range(10**9))


def item(
    output="some text",
    gold=1.0,
    *,
    id=None,
    part="quality",
    cluster=None,
    scale=(1.0, 5.0),
    ratings=(),
    spans=(),
    criterion=CRITERION,
    **fields,
):
    """One item; a list of two outputs makes a pair. Spans are phrases of the output."""
    name = f"s{next(_numbers)}" if id is None else id
    pair = isinstance(output, list)
    return Item(
        sample=Sample.of(
            None if pair else output, outputs=output if pair else None, id=name, **fields
        ),
        criterion=criterion,
        gold=float(gold),
        scale=(0.0, 1.0) if pair else scale,
        part=part,
        cluster=name if cluster is None else cluster,
        ratings=tuple(map(float, ratings)),
        spans=tuple(
            Span(field="output", start=output.index(s), end=output.index(s) + len(s)) for s in spans
        ),
    )


def judgment(item, *phrases, score=1, expected=None):
    """What a judge said that quoted these phrases."""
    fields = [(field.name, field.text) for field in item.sample.judged]
    return Judgment(
        task_id="t",
        sample_id=item.sample.id,
        criterion=item.criterion.name,
        judge="by hand",
        score=score,
        normalized=item.criterion.rubric.normalize(score),
        expected=expected,
        highlights=tuple(place(phrase, fields) for phrase in phrases),
    )


def failure(item):
    """A judgment that could not be read."""
    return Failure(
        task_id="t",
        sample_id=item.sample.id,
        criterion=item.criterion.name,
        judge="by hand",
        stage="read",
        code="missing_part",
        message="no score",
    )
