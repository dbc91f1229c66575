"""Measure agreement with human labels on the development split during training."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from glider.training.batches import BatchRow
from glider.training.benched import LEAST, Bench, Prediction
from glider.training.logits import cross_entropies
from glider.training.tokens import Encoded


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """The result on one development example."""

    set: str
    score_loss: float | None
    text_loss: float
    """Sum over text tokens."""
    n_text: int
    expected: float | None = None
    """Expected score under the label probabilities alone, 0 to 1; None if the answer does not start
    with the score."""
    gold: float | None = None
    right: bool | None = None
    """Whether the model's most likely label is the annotators' most likely label."""
    id: str = ""
    likeliest: float = 0.0
    """The most likely label, on the same scale as `expected`."""


def measure(
    one: dict[str, Any],
    output: dict[str, Any],
    rows: Sequence[BatchRow],
    examples: Sequence[Encoded],
) -> list[ExampleResult]:
    """Measure each example of a pass from the same logits that serving reads."""
    losses = cross_entropies(output, one).tolist()
    scored = one["scored"].tolist()
    numbers = one["model"]["positions"][0].tolist()
    columns = one["model"]["positions"][1].tolist()
    found = []
    for number, row in enumerate(rows):
        if not row.counts:
            continue
        example = examples[row.index]
        mine = [n for n, of in enumerate(numbers) if of == number]
        of_score = [losses[n] for n in mine if scored[n]]
        of_text = [losses[n] for n in mine if not scored[n]]
        expected = gold = right = None
        likeliest = 0.0
        if example.score_is_read and example.score is not None:
            at = next(n for n in mine if columns[n] == example.score.start - 1)
            k = len(example.score.label_ids)
            probs = output["logits"][at, :k].softmax(-1).tolist()
            expected, gold = mean_level(probs), mean_level(example.score.probs)
            best = max(range(k), key=probs.__getitem__)
            right = best == max(range(k), key=example.score.probs.__getitem__)
            likeliest = best / (k - 1)
        found.append(
            ExampleResult(
                set=example.set,
                score_loss=sum(of_score) / len(of_score) if of_score else None,
                text_loss=sum(of_text),
                n_text=len(of_text),
                expected=expected,
                gold=gold,
                right=right,
                id=example.id,
                likeliest=likeliest,
            )
        )
    return found


def mean_level(probs: Sequence[float]) -> float:
    """Return the mean of a distribution over levels: 0 is the lowest level, 1 the highest."""
    return sum(n * p for n, p in enumerate(probs)) / (len(probs) - 1)


def figures(
    measured: Sequence[ExampleResult],
    *,
    score_weight: float,
    text_weight: float,
    bench: Bench | None = None,
) -> dict[str, float]:
    """Compute the training loss and agreement with human labels, averaged over sets.

    A set with constant predictions has a correlation of 0. `pearson` is present only if some set
    has at least 20 items with varying labels.

    Args:
        score_weight: weight of the mean score loss; `text_weight` weights that of the other tokens.
        bench: if given, also compute the `glider bench` figure for the same answers.
    """
    scores = [m.score_loss for m in measured if m.score_loss is not None]
    n_text = sum(m.n_text for m in measured)
    found: dict[str, float] = {"examples": len(measured)}
    loss = 0.0
    if scores:
        found["score_loss"] = sum(scores) / len(scores)
        loss += score_weight * found["score_loss"]
    if n_text:
        found["text_loss"] = sum(m.text_loss for m in measured) / n_text
        loss += text_weight * found["text_loss"]
    found["loss"] = loss
    sets: dict[str, list[ExampleResult]] = defaultdict(list)
    for one in measured:
        if one.expected is not None:
            sets[one.set].append(one)
    if sets:
        rates = [sum(bool(m.right) for m in items) / len(items) for items in sets.values()]
        found["accuracy"] = sum(rates) / len(rates)
    enough = [items for items in sets.values() if correlates([m.gold or 0.0 for m in items])]
    if enough:
        found["pearson"] = sum(map(_pearson, enough)) / len(enough)
    if bench is not None:
        predictions = {
            m.id: Prediction(m.expected, m.likeliest) for m in measured if m.expected is not None
        }
        if (mean := bench.mean(predictions)) is not None:
            found["bench"] = mean
    return found


def correlates(gold: Sequence[float]) -> bool:
    """Whether there are enough labels for a correlation and they vary."""
    return len(gold) >= LEAST and len({round(value, 6) for value in gold}) > 1


def _pearson(items: Sequence[ExampleResult]) -> float:
    from glider.stats.correlation import pearson
    from glider.stats.estimates import Degenerate

    try:
        r = pearson([m.expected or 0.0 for m in items], [m.gold or 0.0 for m in items])
    except Degenerate:
        return 0.0
    return float(r) if math.isfinite(r) else 0.0
