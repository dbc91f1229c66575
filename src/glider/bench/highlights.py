"""Do a judge's highlights show what determined the score?

Is a quoted phrase really in the text, and does it cover the words that people marked? The latter
means something only beside words taken at random: in a short text much is marked by people, so that
any words hit. Whether the score moves without the highlighted words is asked in `deletions.py`.

The unit is the word (`glider.text.words`: in scripts without spaces a letter); a word counts as
marked when any letter of it is. Counts are added up over the items before dividing (micro average),
so an item weighs as its words do. Pairs are left out: nobody has marked spans in them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from glider.bench.results import Difference, Figure
from glider.bench.run import Outcome
from glider.bench.scored import cluster_codes
from glider.core.judgments import Judgment, Span
from glider.gold.items import Item
from glider.stats.classification import matthews
from glider.stats.estimates import Estimate, Undefined, proportion
from glider.stats.overlap import f1, precision, recall, substring_rate
from glider.stats.resampling import (
    Swapped,
    bootstrap,
    paired_difference,
    paired_permutation,
)
from glider.text.words import word_places

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

RANDOM, FIRST_SENTENCE = "random spans", "first sentence"
_SENTENCE = re.compile(r"\s*.*?(?:[.!?](?=\s)|[。！？]|\n|\Z)", re.DOTALL)
_STEP = re.compile(r"(?im)^\s*step\s*\d+\s*[:.]")


# ---- words under spans


def marked(text: str, spans: Iterable[tuple[int, int]]) -> Bools:
    """Return which words of a text lie at least partly under a span, shape (words,)."""
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


def highlighted_places(outcome: Outcome | None, field: str) -> list[tuple[int, int]]:
    """Return every place of every highlight, in the order the judge named them."""
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
    """Count words marked by both, by one, by people, shape (items, 3); for judge and stand-ins."""
    rows = []
    for n in chosen:
        field = items[n].sample.judged[0]
        human = marked(field.text, _human(items[n]))
        own = marked(field.text, highlighted_places(outcomes.get(n), field.name))
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
    """Share of quoted phrases that occur verbatim in the text, over all judged items."""
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
        # A bootstrap sees no variation here; Wilson's interval allows for some.
        k = len(np.unique(clusters[tries > 0]))
        return proportion(k if hits.any() else 0, k)
    return bootstrap(substring_rate.on(counts), clusters, rng=rng)


def place_on_rubric(outcome: Outcome | None, item: Item) -> float:
    """Return the score in 0..1 of the rubric."""
    assert isinstance(outcome, Judgment)
    return item.criterion.rubric.normalize(outcome.expected_or_score)


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
    return isinstance(outcome, Judgment) and place_on_rubric(outcome, item) > 0.5


def _same_step(outcome: Outcome | None, item: Item) -> bool:
    field = item.sample.judged[0]
    own = highlighted_places(outcome, field.name)
    starts = [match.start() for match in _STEP.finditer(field.text)]
    if not own or not starts:
        return False
    first, human = (
        np.searchsorted(starts, s, side="right") for s in (own[0][0], _human(item)[0][0])
    )
    return bool(first == human)
