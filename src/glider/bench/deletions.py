"""The deletion test: does the score change when the highlighted words are removed?

The effect is meaningful only in comparison with as many random words, in runs of the same lengths.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glider.bench.highlights import RANDOM, highlighted_places, marked, place_on_rubric
from glider.bench.results import Difference, Figure
from glider.bench.run import Outcome, Streams
from glider.bench.scored import cluster_codes
from glider.core.base import Frozen
from glider.core.judgments import Judgment
from glider.core.samples import Field, Sample
from glider.core.tasks import JudgeTask
from glider.gold.items import Item
from glider.judging.judge import Work
from glider.stats.estimates import Estimate, Undefined
from glider.stats.resampling import (
    bootstrap,
)
from glider.stats.statistic import mean_of
from glider.text.words import word_places

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Deletions(Frozen):
    """A judge's scores of texts without their highlighted words, and without as many others.

    Scores are positions on the rubric in 0..1: the expected level if the judge gives probabilities,
    else the chosen level.
    """

    rows: tuple[int, ...]
    """Numbers of the items tested."""
    before: tuple[float, ...]
    after: tuple[tuple[float | None, float | None], ...]
    """Without highlighted words, without other words; None if that text could not be judged."""
    skipped: int
    """Judged items without a located highlight, or without room for other runs of these lengths."""


def deletions(
    judge: Streams,
    items: Sequence[Item],
    outcomes: Mapping[int, Outcome],
    *,
    rng: np.random.Generator,
) -> Deletions:
    """Judge each text again without its highlighted words, and without as many random ones.

    The random words are the highlighted runs pushed round the text by a drawn distance at which
    they touch no highlighted word.

    Args:
        judge: the judge that gave `outcomes`.
        outcomes: by the item's number; what highlights and first scores are taken from.
    """
    tasks: list[tuple[int, Work]] = []
    tried: list[int] = []
    skipped = 0
    for n, item in enumerate(items):
        outcome = outcomes.get(n)
        if item.is_pair or not isinstance(outcome, Judgment):
            continue
        field = item.sample.judged[0]
        own = marked(field.text, highlighted_places(outcome, field.name))
        control = pushed(own, rng)
        if control is None:
            skipped += 1
            continue
        for place, mask in enumerate((own, control)):
            shorter = _with_text(item.sample, field, without(field.text, mask))
            tasks.append((2 * len(tried) + place, JudgeTask(shorter, item.criterion)))
        tried.append(n)
    after: list[list[float | None]] = [[None, None] for _ in tried]
    for key, outcome in judge.stream(tasks):
        if isinstance(outcome, Judgment):
            after[key // 2][key % 2] = place_on_rubric(outcome, items[tried[key // 2]])
    return Deletions(
        rows=tuple(tried),
        before=tuple(place_on_rubric(outcomes[n], items[n]) for n in tried),
        after=tuple((own, other) for own, other in after),
        skipped=skipped,
    )


def score_moved(
    benchmark: str,
    system: str,
    items: Sequence[Item],
    found: Deletions,
    *,
    rng: np.random.Generator,
) -> tuple[list[Figure], list[Difference]]:
    """How far the score moves when words are deleted, in shares of the rubric's width.

    Means of |after - before|: of the highlighted words, of as many others, and the difference;
    above 0 the highlights tell where the score comes from. Items of which one of the two texts
    could not be judged are left out.
    """
    after = np.array(found.after, np.float64).reshape(-1, 2)
    kept = np.isfinite(after).all(axis=1)
    size = np.abs(after - np.array(found.before)[:, None])[kept]
    clusters = cluster_codes([items[n] for n in found.rows])[kept]
    asked = len(found.rows) + found.skipped
    where: dict[str, Any] = {"benchmark": benchmark, "metric": "score moved"}

    def of(values: Floats) -> Estimate | Undefined:
        if not len(values):
            return Undefined("no text could be shortened and judged again", 0, asked)
        return bootstrap(mean_of(values), clusters, rng=rng, skipped=asked - len(values))

    figures = [
        Figure.of(of(size[:, k]), system=name, asked=asked, judged=len(size), **where)
        for k, name in enumerate((system, RANDOM))
    ]
    surplus = of(size[:, 0] - size[:, 1])
    plain = Difference(a=system, b=RANDOM, value=None, n=surplus.n, **where)
    if isinstance(surplus, Undefined):
        return figures, [plain.model_copy(update={"undefined": surplus.reason})]
    ends = {name: getattr(surplus, name) for name in ("value", "low", "high", "method")}
    return figures, [plain.model_copy(update=ends)]


def without(text: str, mask: Bools) -> str:
    """Return the text without its masked words and the text between adjacent ones."""
    places = word_places(text)
    kept: list[str] = []
    at = 0
    n = 0
    while n < len(places):
        if not mask[n]:
            n += 1
            continue
        last = n
        while last + 1 < len(places) and mask[last + 1]:
            last += 1
        start, end = places[n][0], places[last][1]
        before = text[at:start]
        # One space remains where the words stood between two.
        kept.append(before.rstrip(" ") if text[end : end + 1].isspace() else before)
        at, n = end, last + 1
    return "".join([*kept, text[at:]])


def pushed(mask: Bools, rng: np.random.Generator) -> Bools | None:
    """Rotate the mask by a random distance so that it avoids itself; None if impossible."""
    if not mask.any():
        return None
    apart = [d for d in range(1, len(mask)) if not (np.roll(mask, d) & mask).any()]
    return np.roll(mask, int(rng.choice(apart))) if apart else None


def _with_text(sample: Sample, field: Field, text: str) -> Sample:
    changed = field.model_copy(update={"text": text})
    fields = tuple(changed if f is field else f for f in sample.fields)
    return Sample(id=sample.id, fields=fields, metadata=sample.metadata)
