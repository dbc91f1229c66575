"""Agreement with people on the development part, during training."""

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
    """What one example of the development part came to."""

    set: str
    score_loss: float | None
    text_loss: float
    """Sum over text tokens."""
    n_text: int
    expected: float | None = None
    """Of the probabilities of the labels alone, 0 to 1; None where no score is read first."""
    gold: float | None = None
    right: bool | None = None
    """The likeliest label is the likeliest of people."""
    id: str = ""
    likeliest: float = 0.0
    """The likeliest label, on the scale of `expected`."""


def measure(
    one: dict[str, Any],
    output: dict[str, Any],
    rows: Sequence[BatchRow],
    examples: Sequence[Encoded],
) -> list[ExampleResult]:
    """Each example of a pass, from the very logits that serving would read."""
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
    """Where a distribution over levels has its mean: 0 the lowest level, 1 the highest."""
    return sum(n * p for n, p in enumerate(probs)) / (len(probs) - 1)


def figures(
    measured: Sequence[ExampleResult],
    *,
    score_weight: float,
    text_weight: float,
    bench: Bench | None = None,
) -> dict[str, float]:
    """Loss as in training, and agreement with people: the mean over sets, each as it counts alone.

    A set whose predictions do not vary has a correlation of 0 here: it tells nothing. `pearson` is
    there only where some set has 20 items or more whose labels vary.

    Args:
        score_weight: of the mean loss of scores; `text_weight` of that of other tokens.
        bench: also say what `glider bench` would of the same answers.
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
    """There are labels enough for a correlation, and they vary."""
    return len(gold) >= LEAST and len({round(value, 6) for value in gold}) > 1


def _pearson(items: Sequence[ExampleResult]) -> float:
    from glider.stats.correlation import pearson
    from glider.stats.estimates import Degenerate

    try:
        r = pearson([m.expected or 0.0 for m in items], [m.gold or 0.0 for m in items])
    except Degenerate:
        return 0.0
    return float(r) if math.isfinite(r) else 0.0
