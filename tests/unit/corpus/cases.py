"""Small labelled sets that several tests share."""

from glider.core.criteria import Criterion
from glider.core.judgments import Span
from glider.core.samples import Sample
from glider.gold.items import Item
from glider.gold.sets import LabelledSet

LEVELS = {1: "useless", 2: "poor", 3: "fair", 4: "good", 5: "perfect"}
CRITERION = Criterion(name="quality", question="How good is the {output}?", rubric=LEVELS)


def item(gold, *, scale=(1.0, 5.0), levels=None, ratings=(), spans=(), **options) -> Item:
    """One graded text; texts and criterion can be given."""
    texts = {"input": "What is rain?", "output": "Rain is water that falls from the clouds."}
    texts |= {name: options.pop(name) for name in ("input", "output", "context") if name in options}
    asked = CRITERION if levels is None else CRITERION.model_copy(
        update={"rubric": Criterion(name="x", question="x", rubric=levels).rubric}
    )  # fmt: skip
    return Item(
        sample=Sample.of(id=options.pop("id", "a"), **texts),
        criterion=options.pop("criterion", asked),
        gold=gold,
        scale=scale,
        part="quality",
        cluster=options.pop("cluster", "c"),
        ratings=ratings,
        spans=tuple(Span(field="output", start=a, end=b) for a, b in spans),
        **options,
    )


def pair(gold, *, reason=None, ratings=()) -> Item:
    """Two texts compared."""
    return Item(
        sample=Sample.of(id="p", input="Say hello.", outputs=["Hello there!", "Go away."]),
        criterion=CRITERION,
        gold=gold,
        scale=(0.0, 1.0),
        part="quality",
        cluster="c",
        ratings=ratings,
        reason=reason,
    )


def labelled(name="toy", **options) -> LabelledSet:
    """A set's description."""
    fields = {
        "title": name, "data": f"{name}.jsonl", "kind": "graded", "family": "toys",
        "labels_by": "people", "licence": "CC0", "use": "train", "metrics": ("mae",), "part": "",
    }  # fmt: skip
    return LabelledSet(name=name, **{**fields, **options})
