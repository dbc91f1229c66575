"""Do a judge's highlights show what decided the score?

Three questions. Is a quoted phrase really in the text? Does it cover the words that people marked?
And does the score move when the highlighted words are taken out? The last two mean something only
beside words taken at random: in a short text much is marked by people, so that any words hit.

The unit is the word (`glider.text.words`: in scripts without spaces a letter); a word counts as
marked when any letter of it is. Counts are added up over the items before dividing (micro average),
so an item weighs as its words do. Pairs are left out: nobody has marked spans in them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glider.bench.results import Difference, Figure
from glider.bench.run import Outcome, Streams
from glider.bench.scored import cluster_codes
from glider.core.base import Frozen
from glider.core.judgments import Judgment, Span
from glider.core.samples import Field, Sample
from glider.core.tasks import JudgeTask
from glider.gold.items import Item
from glider.judging.judge import Work
from glider.stats.classification import matthews
from glider.stats.estimates import Estimate, Undefined, proportion
from glider.stats.overlap import f1, precision, recall, substring_rate
from glider.stats.resampling import (
    Swapped,
    bootstrap,
    paired_difference,
    paired_permutation,
)
from glider.stats.statistic import mean_of
from glider.text.words import word_places

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

RANDOM, FIRST_SENTENCE = "random spans", "first sentence"
_SENTENCE = re.compile(r"\s*.*?(?:[.!?](?=\s)|[。！？]|\n|\Z)", re.DOTALL)
_STEP = re.compile(r"(?im)^\s*step\s*\d+\s*[:.]")


# ---- words under spans


def marked(text: str, spans: Iterable[tuple[int, int]]) -> Bools:
    """Which words of a text lie at least in part under a span, shape (words,)."""
    places = np.array(word_places(text), np.int64).reshape(-1, 2)
    mask = np.zeros(len(places), np.bool_)
    for start, end in spans:
        first = np.searchsorted(places[:, 1], start, side="right")
        last = np.searchsorted(places[:, 0], end, side="left")
        mask[first:last] = True
    return mask


def first_sentence(text: str) -> tuple[int, int]:
    """From the start to a full stop before a space, a Chinese full stop, or a new line."""
    match = _SENTENCE.match(text)
    return match.span() if match else (0, len(text))


def _inside(spans: Iterable[Span], field: str) -> list[tuple[int, int]]:
    return [(span.start, span.end) for span in spans if span.field == field]


def _highlighted(outcome: Outcome | None, field: str) -> list[tuple[int, int]]:
    """Every place of every highlight, in the order the judge named them."""
    if not isinstance(outcome, Judgment):
        return []
    return [place for h in outcome.highlights for place in _inside(h.spans, field)]


# ---- against human spans


_MEASURES = {"precision": precision, "recall": recall, "F1": f1}


def against_people(
    benchmark: str,
    system: str,
    items: Sequence[Item],
    outcomes: Mapping[int, Outcome],
    *,
    rng: np.random.Generator,
) -> tuple[list[Figure], list[Difference]]:
    """Highlights of a run against human spans, beside random spans and the first sentence.

    Only items whose text people marked count: elsewhere no word is right or wrong. A failed
    judgment highlights nothing, which costs recall.

    `random spans` is what the judge's spans would score on average if they were pushed round the
    text to every place alike (lengths and gaps kept, the end joined to the start): each word is
    then covered with the same probability, so the mean needs no drawing: |judge| x |human| / words.

    Args:
        outcomes: by the item's number, as `scored` takes them.

    Returns:
        Figures of the judge and the two stand-ins; F1 of the judge less that of each.
    """
    chosen = [n for n, item in enumerate(items) if not item.is_pair and _human(item)]
    judged = sum(isinstance(outcomes.get(n), Judgment) for n in chosen)
    where = {"benchmark": benchmark, "asked": len(chosen), "judged": judged}
    figures = [_exact(system, items, outcomes, where, rng)]
    if not chosen:
        none = Undefined("people marked no spans in this set", 0, len(items))
        figures += [
            Figure.of(none, system=system, metric=f"highlight {what}", **where)
            for what in _MEASURES
        ]
        return figures, []
    counts = _count(items, outcomes, chosen)
    clusters = cluster_codes([items[n] for n in chosen])
    for name, of in zip((system, RANDOM, FIRST_SENTENCE), counts, strict=True):
        for what, measure in _MEASURES.items():
            estimate = bootstrap(measure.on(of), clusters, rng=rng)
            figures.append(Figure.of(estimate, system=name, metric=f"highlight {what}", **where))
    own = counts[0]
    differences = [
        _difference(benchmark, system, name, own, other, clusters, rng)
        for name, other in zip((RANDOM, FIRST_SENTENCE), counts[1:], strict=True)
    ]
    return figures, differences


def _human(item: Item) -> list[tuple[int, int]]:
    return _inside(item.spans, item.sample.judged[0].name)


def _count(
    items: Sequence[Item], outcomes: Mapping[int, Outcome], chosen: Sequence[int]
) -> tuple[Floats, Floats, Floats]:
    """Words marked by both, by the one, by people, shape (items, 3); of judge and stand-ins."""
    rows = []
    for n in chosen:
        field = items[n].sample.judged[0]
        human = marked(field.text, _human(items[n]))
        own = marked(field.text, _highlighted(outcomes.get(n), field.name))
        first = marked(field.text, [first_sentence(field.text)])
        by_chance = own.sum() * human.sum() / max(len(human), 1)
        rows.append(
            [
                [(own & human).sum(), own.sum(), human.sum()],
                [by_chance, own.sum(), human.sum()],
                [(first & human).sum(), first.sum(), human.sum()],
            ]
        )
    judge, random, first_ = np.array(rows, np.float64).transpose(1, 0, 2)
    return judge, random, first_


def _difference(
    benchmark: str,
    system: str,
    name: str,
    own: Floats,
    other: Floats,
    clusters: NDArray[np.int64],
    rng: np.random.Generator,
) -> Difference:
    found = paired_difference(f1.on(own), f1.on(other), clusters, rng=rng)
    plain = Difference(
        benchmark=benchmark, metric="highlight F1", a=system, b=name, value=None, n=found.n
    )
    if isinstance(found, Undefined):
        return plain.model_copy(update={"undefined": found.reason})
    swapped = Swapped(f1.on(np.concatenate([own, other])))
    return plain.model_copy(
        update={
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "p": paired_permutation(swapped, clusters, rng=rng),
            "method": found.method,
        }
    )


def _exact(
    system: str,
    items: Sequence[Item],
    outcomes: Mapping[int, Outcome],
    where: Mapping[str, object],
    rng: np.random.Generator,
) -> Figure:
    """Share of quoted phrases that stand in the text letter for letter, over all judged items."""
    judged = {n: o for n, o in outcomes.items() if isinstance(o, Judgment)}
    counts = [
        (sum(h.match == "exact" for h in o.highlights), len(o.highlights)) for o in judged.values()
    ]
    estimate = _share(counts, cluster_codes([items[n] for n in judged]), rng)
    everyone = {**where, "asked": len(items), "judged": len(judged)}
    return Figure.of(estimate, system=system, metric="exact quotes", **everyone)


def _share(
    counts: Sequence[tuple[int, int]], clusters: NDArray[np.int64], rng: np.random.Generator
) -> Estimate | Undefined:
    """Hits of tries per item as one share; where all or none hit, each cluster is one try."""
    if not counts:
        return Undefined("nothing was judged", 0, 0)
    hits, tries = np.array(counts, np.float64).T
    if tries.any() and hits.sum() in (0, tries.sum()):
        # A bootstrap sees no spread here; Wilson's interval knows that there may be some.
        k = len(np.unique(clusters[tries > 0]))
        return proportion(k if hits.any() else 0, k)
    return bootstrap(substring_rate.on(counts), clusters, rng=rng)


# ---- the deletion test


class Deletions(Frozen):
    """What a judge said of texts without their highlighted words, and without as many others.

    Scores are places on the rubric in 0..1: the expected one where the judge tells probabilities,
    else the level.
    """

    rows: tuple[int, ...]
    """Numbers of the items that were tried."""
    before: tuple[float, ...]
    after: tuple[tuple[float | None, float | None], ...]
    """Highlighted words out, other words out; None where that text could not be judged."""
    skipped: int
    """Judged items without a placed highlight, or where it leaves no other place for such runs."""


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
        own = marked(field.text, _highlighted(outcome, field.name))
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
            after[key // 2][key % 2] = _place(outcome, items[tried[key // 2]])
    return Deletions(
        rows=tuple(tried),
        before=tuple(_place(outcomes[n], items[n]) for n in tried),
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
    """How far the score moves when words are taken out, in shares of the rubric's width.

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
    """The text without its masked words and what stands between neighbours of them."""
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
        # One space stays where the words stood between two.
        kept.append(before.rstrip(" ") if text[end : end + 1].isspace() else before)
        at, n = end, last + 1
    return "".join([*kept, text[at:]])


def pushed(mask: Bools, rng: np.random.Generator) -> Bools | None:
    """The mask moved round by a random distance so that it touches none of itself, or None."""
    if not mask.any():
        return None
    apart = [d for d in range(1, len(mask)) if not (np.roll(mask, d) & mask).any()]
    return np.roll(mask, int(rng.choice(apart))) if apart else None


def _with_text(sample: Sample, field: Field, text: str) -> Sample:
    changed = field.model_copy(update={"text": text})
    fields = tuple(changed if f is field else f for f in sample.fields)
    return Sample(id=sample.id, fields=fields, metadata=sample.metadata)


def _place(outcome: Outcome | None, item: Item) -> float:
    """The score in 0..1 of the rubric."""
    assert isinstance(outcome, Judgment)
    score = outcome.score if outcome.expected is None else outcome.expected
    return item.criterion.rubric.normalize(score)


# ---- MR-Ben


def first_errors(
    benchmark: str,
    system: str,
    items: Sequence[Item],
    outcomes: Mapping[int, Outcome],
    *,
    rng: np.random.Generator,
) -> list[Figure]:
    """MR-Ben (Zeng et al. 2024) as far as scores and highlights tell.

    `MCC`: is the solution right? The judge says so with a score above the middle of the rubric; a
    failed judgment says the opposite of the gold. `first error step`: among wrong solutions with a
    marked step, the share that the judge called wrong and whose first highlight in the text stands
    in that step. `MR-Score` also weighs the reason for the error, which somebody must grade:
    undefined here.
    """
    middle = [(item.scale[0] + item.scale[1]) / 2 for item in items]
    right = np.array([item.gold > m for item, m in zip(items, middle, strict=True)])
    judged = np.array([isinstance(outcomes.get(n), Judgment) for n in range(len(items))], bool)
    said = np.array([_says_right(outcomes.get(n), items[n]) for n in range(len(items))], bool)
    said = np.where(judged, said, ~right)
    where = {"benchmark": benchmark, "system": system}
    everyone = {"asked": len(items), "judged": int(judged.sum())}
    clusters = cluster_codes(items)
    mcc = bootstrap(matthews.on(said * 1.0, right * 1.0), clusters, rng=rng)
    wrong = [n for n, item in enumerate(items) if not right[n] and _human(item)]
    hits = [not said[n] and _same_step(outcomes.get(n), items[n]) for n in wrong]
    some = {"asked": len(wrong), "judged": int(judged[wrong].sum())}
    step: Estimate | Undefined = Undefined("no wrong solution has a marked step", 0, len(items))
    if wrong:
        step = _share([(int(hit), 1) for hit in hits], clusters[wrong], rng)
    reason = Undefined("the reason for the error needs a grader", 0, len(items))
    return [
        Figure.of(mcc, metric="MCC", **where, **everyone),
        Figure.of(step, metric="first error step", **where, **some),
        Figure.of(reason, metric="MR-Score", **where, **everyone),
    ]


def _says_right(outcome: Outcome | None, item: Item) -> bool:
    return isinstance(outcome, Judgment) and _place(outcome, item) > 0.5


def _same_step(outcome: Outcome | None, item: Item) -> bool:
    field = item.sample.judged[0]
    own = _highlighted(outcome, field.name)
    starts = [match.start() for match in _STEP.finditer(field.text)]
    if not own or not starts:
        return False
    first, human = (
        np.searchsorted(starts, s, side="right") for s in (own[0][0], _human(item)[0][0])
    )
    return bool(first == human)
