"""Does a judge's reason say something true and specific about its text?

Four questions, each a figure with its interval over clusters (docs/explanations.md):

- *specific to the note*, *specific to the text*: is the reason more like what people wrote of this
  item, or like its text, than of other items? The probability that it is (AUC): 0.5 says nothing.
- *agrees with its score*: a second model reads the reason alone and names the level it speaks for;
  the share that lies within a quarter of the scale of the score, beside the same for reasons that
  were dealt out among the items of a criterion.
- *true*: the share of checkable claims that hold (`claims`).
- *well formed*: it ends as a sentence, does not go round in circles, and is written in the script
  of the text or in Latin letters.

A failed judgment has no reason: it is not well formed, agrees with nothing and is like nothing
(0.5); of a claim nothing can be said, so *true* counts claims alone.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from glider.bench.results import Figure
from glider.bench.run import Streams
from glider.bench.scored import cluster_codes
from glider.core.base import Frozen
from glider.core.criteria import Criterion
from glider.core.judgments import Comparison, Failure, Judgment
from glider.core.samples import Field, Sample
from glider.core.tasks import JudgeTask
from glider.gold.items import Item
from glider.stats.clustered import clustered_share
from glider.stats.estimates import Estimate, Undefined
from glider.stats.resampling import bootstrap
from glider.stats.statistic import mean_of, ratio_of
from glider.text.claims import claims
from glider.text.words import words

Floats = NDArray[np.float64]
Outcomes = Mapping[int, Judgment | Failure | Comparison]
Similarity = Callable[[Sequence[str], Sequence[str]], Floats]
"""Similarities of two lists of texts, shape (first, second)."""

AGREES_WITHIN = 0.25
"""Share of the scale: one level of 1 to 5, and equality on shorter scales."""
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_ENDS = re.compile(r"[.!?。！？…][\"”’')\]»]*$")
_GLUED = re.compile(r"[A-Za-z]{30,}")
"""Words written without spaces."""
_MOST_OTHERS = 200
"""Maximum number of other items a reason is compared with; sampled if there are more."""


def word_similarity(first: Sequence[str], second: Sequence[str]) -> Floats:
    """Cosine similarity of word counts, weighted by inverse document frequency in these texts.

    Weights are log(1 + N / df), N the number of texts and df how many have the word.
    """
    counted = [Counter(words(text)) for text in (*first, *second)]
    rarity = Counter(word for counts in counted for word in counts)
    code = {word: n for n, word in enumerate(rarity)}
    table = np.zeros((len(counted), max(len(code), 1)))
    for row, counts in zip(table, counted, strict=True):
        for word, n in counts.items():
            row[code[word]] = n * np.log1p(len(counted) / rarity[word])
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    table = np.divide(table, lengths, out=np.zeros_like(table), where=lengths > 0)
    similarity: Floats = table[: len(first)] @ table[len(first) :].T
    return similarity


def is_well_formed(reasoning: str, sample: Sample) -> bool:
    """Whether it ends as a sentence, does not repeat itself, and is in an expected script."""
    text = reasoning.strip()
    if not _ENDS.search(text) or any(_GLUED.match(word) for word in text.split()):
        return False
    return not _circles(words(text)) and _fitting_script(text, sample)


def _circles(found: Sequence[str]) -> bool:
    """Whether a word occurs three times in a row, or a four-word sequence three times in all."""
    in_row = any(a == b == c for a, b, c in zip(found, found[1:], found[2:], strict=False))
    runs = Counter(zip(found, found[1:], found[2:], found[3:], strict=False))
    return in_row or any(n >= 3 for n in runs.values())


def _fitting_script(text: str, sample: Sample) -> bool:
    letters = [char for char in text if char.isalpha()]
    if not letters:
        return False
    latin = sum(bool(_LATIN.match(char)) for char in letters) / len(letters)
    if latin >= 0.7:
        return True
    own = {char for field in sample.fields for char in field.text if char.isalpha()}
    return sum(char in own for char in letters) / len(letters) >= 0.7


def reasons_of(items: Sequence[Item], outcomes: Outcomes) -> list[str | None]:
    """Return each item's reason; None if there is no judgment. Pairs have none of their own."""
    found: list[str | None] = []
    for number in range(len(items)):
        outcome = outcomes.get(number)
        found.append((outcome.reasoning or "") if isinstance(outcome, Judgment) else None)
    return found


def explanation_figures(
    benchmark: str,
    system: str,
    items: Sequence[Item],
    outcomes: Outcomes,
    *,
    rng: np.random.Generator,
    similarity: Similarity = word_similarity,
) -> list[Figure]:
    """Compute figures of a run's reasons that need no other model; pairs are left out.

    Args:
        outcomes: by the item's number, as `scored` takes them.
        similarity: of two lists of texts.
    """
    single = [n for n, item in enumerate(items) if not item.is_pair]
    chosen = [items[n] for n in single]
    reasons = reasons_of(chosen, {k: outcomes[n] for k, n in enumerate(single) if n in outcomes})
    judged = sum(reason is not None for reason in reasons)
    where = {"benchmark": benchmark, "system": system, "asked": len(chosen), "judged": judged}
    notes = [item.reason for item in chosen]
    texts = [" ".join(field.text for field in item.sample.judged) for item in chosen]
    found = {
        "reason specific to the note": _specific(chosen, reasons, notes, similarity, rng),
        "reason specific to the text": _specific(chosen, reasons, texts, similarity, rng),
        "reason true": _true(chosen, reasons, rng),
        "reason well formed": _well_formed(chosen, reasons),
    }
    return [Figure.of(estimate, metric=metric, **where) for metric, estimate in found.items()]


def _specific(
    items: Sequence[Item],
    reasons: Sequence[str | None],
    targets: Sequence[str | None],
    similarity: Similarity,
    rng: np.random.Generator,
) -> Estimate | Undefined:
    """Mean AUC: how often a reason is more similar to its own target than to another item's."""
    with_target = [n for n, target in enumerate(targets) if target]
    if len(with_target) < 2:
        return Undefined("people wrote no notes on these items", len(with_target), 0)
    clusters = cluster_codes([items[n] for n in with_target])
    kept = [targets[n] or "" for n in with_target]
    values = np.full(len(with_target), np.nan)
    for place, n in enumerate(with_target):
        # Notes on the same prompt or document are about the same things: no fair comparison.
        others = np.flatnonzero(clusters != clusters[place])
        if not len(others):
            continue
        if len(others) > _MOST_OTHERS:
            others = rng.choice(others, _MOST_OTHERS, replace=False)
        reason = reasons[n]
        if reason is None:
            values[place] = 0.5
            continue
        to = similarity([reason], [kept[place], *(kept[o] for o in others)])[0]
        values[place] = ((to[0] > to[1:]).mean() + (to[0] >= to[1:]).mean()) / 2
    there = np.isfinite(values)
    if not there.any():
        return Undefined("all items are of one prompt or document", len(with_target), 0)
    return bootstrap(mean_of(values[there], (0, 1)), clusters[there], rng=rng)


def _true(
    items: Sequence[Item], reasons: Sequence[str | None], rng: np.random.Generator
) -> Estimate | Undefined:
    counts = [
        (sum(claim.holds for claim in found), len(found))
        for item, reason in zip(items, reasons, strict=True)
        for found in [claims(reason, JudgeTask(item.sample, item.criterion)) if reason else []]
    ]
    table = np.array(counts, np.float64).reshape(-1, 2)
    with_claims = table[:, 1] > 0
    if not with_claims.any():
        return Undefined("no reason makes a claim that can be checked", 0, len(items))
    clusters = cluster_codes([item for item, has in zip(items, with_claims, strict=True) if has])
    hits, made = table[with_claims].T
    share = ratio_of(hits, made, nothing="no claims", limits=(0, 1))
    return bootstrap(share, clusters, rng=rng)


def _well_formed(items: Sequence[Item], reasons: Sequence[str | None]) -> Estimate | Undefined:
    values = np.array(
        [
            reason is not None and is_well_formed(reason, item.sample)
            for item, reason in zip(items, reasons, strict=True)
        ],
        np.bool_,
    )
    if not len(values):
        return Undefined("there are no items with one text to judge", 0, 0)
    return clustered_share(values, cluster_codes(items))


# Agrees with its score: a second model reads the reason alone.


def reading_tasks(
    items: Sequence[Item], outcomes: Outcomes, *, rng: np.random.Generator
) -> Iterator[tuple[tuple[int, bool], JudgeTask]]:
    """Yield the second model's tasks: each reason with its own criterion, and each as dealt out.

    The reader sees the reason, the question and the levels; never the text nor the score. Reasons
    are dealt out among items of the same criterion, so that no item keeps its own.

    Yields:
        The item's number and whether the reason is another item's, with the task.
    """
    by_criterion: dict[str, list[int]] = {}
    for n, item in enumerate(items):
        outcome = outcomes.get(n)
        if not item.is_pair and isinstance(outcome, Judgment) and outcome.reasoning:
            by_criterion.setdefault(item.criterion.content_id, []).append(n)
    for numbers in by_criterion.values():
        dealt = _dealt(numbers, rng)
        for n, other in zip(numbers, dealt, strict=True):
            for of, shuffled in ((n, False), (other, True)):
                if shuffled and of == n:
                    continue
                outcome = outcomes[of]
                assert isinstance(outcome, Judgment)
                yield (n, shuffled), _reading_task(items[n], outcome.reasoning or "", n)


class ReasonReadings(Frozen):
    """A second model's readings of the reasons of a run."""

    reader: str
    """Model and format of the second model."""
    rows: tuple[int, ...]
    """Item of each reading."""
    dealt_out: tuple[bool, ...]
    """Whether the reason was another item's."""
    scores: tuple[int | None, ...]
    """The level the reason argues for; None if the reading failed."""


def read_reasons(
    reader: Streams, items: Sequence[Item], outcomes: Outcomes, *, rng: np.random.Generator
) -> ReasonReadings:
    """Have a second model read every reason of a run, once as its own and once dealt out."""
    tasks = list(reading_tasks(items, outcomes, rng=rng))
    scores: list[int | None] = [None] * len(tasks)
    for place, outcome in reader.stream((place, task) for place, (_, task) in enumerate(tasks)):
        if isinstance(outcome, Judgment):
            scores[place] = outcome.score
    return ReasonReadings(
        reader=reader.id,
        rows=tuple(row for (row, _), _ in tasks),
        dealt_out=tuple(dealt for (_, dealt), _ in tasks),
        scores=tuple(scores),
    )


def agreement_figures(
    benchmark: str, system: str, items: Sequence[Item], outcomes: Outcomes, read: ReasonReadings
) -> list[Figure]:
    """How often a reason argues for its own score, and how often a dealt-out one does.

    A reading that failed agrees with nothing.
    """
    found = {
        (row, dealt): score
        for row, dealt, score in zip(read.rows, read.dealt_out, read.scores, strict=True)
    }
    single = [n for n, item in enumerate(items) if not item.is_pair]
    judged = sum(isinstance(outcomes.get(n), Judgment) for n in single)
    where = {"benchmark": benchmark, "system": system, "asked": len(single), "judged": judged}
    figures = []
    for shuffled, metric in (
        (False, "reason agrees with its score"),
        (True, "dealt-out reason agrees with the score"),
    ):
        numbers = single if not shuffled else [n for n in single if (n, True) in found]
        values = [_agrees(items[n], outcomes.get(n), found.get((n, shuffled))) for n in numbers]
        estimate: Estimate | Undefined = (
            clustered_share(np.array(values, np.bool_), cluster_codes([items[n] for n in numbers]))
            if values
            else Undefined("there are no reasons to read", 0, len(single))
        )
        figures.append(Figure.of(estimate, metric=metric, **where))
    return figures


def _agrees(item: Item, outcome: Judgment | Failure | Comparison | None, read: int | None) -> bool:
    if not isinstance(outcome, Judgment) or read is None:
        return False
    rubric = item.criterion.rubric
    apart = abs(rubric.normalize(outcome.score) - rubric.normalize(read))
    return apart <= AGREES_WITHIN + 1e-9


def _reading_task(item: Item, reason: str, n: int) -> JudgeTask:
    criterion = item.criterion
    remark = Sample(id=f"reason-{n}", fields=(Field(name="remark", text=reason, role="judged"),))
    asked = re.sub(r"\{(input|context|reference|output)\}", "text", criterion.question)
    return JudgeTask(
        remark,
        Criterion(
            name=criterion.name,
            title=criterion.title,
            question=(
                "The {output} is what a judge wrote of a text that you do not see. The judge was "
                f"asked: {asked.strip()} Which of these scores does the {{output}} speak for?"
            ),
            rubric=criterion.rubric,
        ),
    )


def _dealt(numbers: Sequence[int], rng: np.random.Generator) -> list[int]:
    """The same numbers, each in a different place (if there are two or more)."""
    order = rng.permutation(len(numbers))
    shifted = np.empty(len(numbers), np.int64)
    shifted[order] = np.roll(order, 1)
    return [numbers[int(at)] for at in shifted]
