"""Make pairs from single outputs; the labels or the way a pair is made decide the winner.

- *rated*: two outputs for one prompt that people labelled differently under one criterion.
- *strayed*: an output rated good against an output for a similar prompt of the same set, which is
  more often than not longer.
- *padded*: an output against a copy of itself with useless filler added.
- *cut*: an output rated good against its own beginning.
- *lengthened* is not a pair: an output with the same kind of filler added, judged alone under its
  own question with its own label. If the original is a training item too, training sees both.

The longer output loses in padded pairs and wins in cut pairs, so length alone does not reveal the
winner. Each kind has its own random draws and takes its sets in turn, so that a large set does not
crowd out a small one. A rated pair keeps its criterion; `derived.yaml` has the questions for the
other kinds.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from itertools import islice, zip_longest
from random import Random
from typing import Any, NamedTuple

import yaml
from pydantic import Field

from glider.core.base import Frozen
from glider.core.criteria import Criterion
from glider.core.samples import Field as Text
from glider.core.samples import Sample
from glider.core.tasks import COMPARED
from glider.corpus.augment import worded
from glider.corpus.minimal_pairs import of_one_prompt
from glider.corpus.overlap import instructions_of, normalized
from glider.gold.items import Item

LEAST_GAP = 0.25
"""Smallest label difference of a rated pair, as a share of the scale. From twice this difference on
the winner is certain; in between, its probability rises linearly from 3/4."""
_LOOKED_AT = 60
_NEAREST = 4
_LONGER = 0.5
_SAME_PROMPT = 0.8
_LEAST_TO_CUT = 12
_THE_OUTPUT = re.compile(r"\b(the) \{output\}|\{output\}", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+")


class Derived(Frozen):
    """Maximum number of pairs of one kind, and the sets they come from."""

    pairs: int = Field(ge=1)
    sets: tuple[str, ...] = Field(min_length=1)


class DerivedPairs(Frozen):
    """The kinds of pairs to make; none by default."""

    rated: Derived | None = None
    strayed: Derived | None = None
    padded: Derived | None = None
    cut: Derived | None = None
    lengthened: Derived | None = None


class DerivedPair(NamedTuple):
    """A pair and the set its outputs come from."""

    set: str
    item: Item


def derived_pairs(
    pools: Mapping[str, Sequence[Item]],
    settings: DerivedPairs,
    *,
    seed: int,
    fits: Callable[[Item], bool] = lambda _item: True,
) -> list[DerivedPair]:
    """Make the pairs.

    Args:
        pools: usable items of each set.
        fits: whether a pair can be used; pairs that do not fit are skipped.
    """
    found: list[DerivedPair] = []
    for kind, make in _KINDS.items():
        wanted: Derived | None = getattr(settings, kind)
        if wanted is None:
            continue
        names = [name for name in wanted.sets if pools.get(name)]
        streams = [
            _of_set(name, make(pools[name], Random(f"{seed}:{kind}:{name}"))) for name in names
        ]
        found += islice((m for m in _in_turn(streams) if fits(m.item)), wanted.pairs)
    return found


def of_two(criterion: Criterion) -> Criterion:
    """Reword the criterion for `pairwise`: "the {output}" becomes "an output"."""

    def spoken(match: re.Match[str]) -> str:
        the = match[1]
        return "output" if the is None else "An output" if the[0] == "T" else "an output"

    question = _THE_OUTPUT.sub(spoken, criterion.question)
    return criterion.model_copy(update={"question": question})


def _of_set(name: str, items: Iterator[Item]) -> Iterator[DerivedPair]:
    return (DerivedPair(name, item) for item in items)


def _in_turn(streams: Sequence[Iterator[DerivedPair]]) -> Iterator[DerivedPair]:
    for row in zip_longest(*streams):
        yield from (made for made in row if made is not None)


# Kinds


def _rated(items: Sequence[Item], rng: Random) -> Iterator[Item]:
    """Pair the lower half of a prompt's items with the upper half; use each item at most once."""
    pairs: list[Item] = []
    for numbers in of_one_prompt(items):
        group = [items[number] for number in numbers]
        rng.shuffle(group)
        group.sort(key=lambda item: item.gold)
        half = len(group) // 2
        for worse, better in zip(group[:half], group[len(group) - half :], strict=True):
            gap = _share(better) - _share(worse)
            if gap >= LEAST_GAP - 1e-9:
                sure = min(1.0, 0.5 + gap)
                pairs.append(_pair("rated", worse, better.sample.judged[0].text, sure, rng))
    rng.shuffle(pairs)
    yield from pairs


def _strayed(items: Sequence[Item], rng: Random) -> Iterator[Item]:
    """Pair a good output with one for a similar prompt, found in a sample of other prompts."""
    fixed = instructions_of(item.sample for item in items)
    answers = list(_good(items, fixed))
    rng.shuffle(answers)
    bags = [frozenset(normalized(asked).split()) for asked, _, _ in answers]
    for number, (asked, text, item) in enumerate(answers):
        others = rng.sample(range(len(answers)), min(_LOOKED_AT, len(answers)))
        alike = {n: _overlap(bags[number], bags[n]) for n in others}
        near = sorted(
            (
                n
                for n in others
                if n != number and alike[n] < _SAME_PROMPT and answers[n][1] != text
            ),
            key=lambda n: (-alike[n], n),
        )[:_NEAREST]
        longer = [n for n in near if len(answers[n][1]) > len(text)]
        if longer and rng.random() < _LONGER:
            near = longer
        if not near:
            continue
        other = answers[rng.choice(near)][1]
        single = _single(item, asked, other, rng.choice(questions()["strayed"]))
        yield _pair("strayed", single, text, 1.0, rng)


def _padded(items: Sequence[Item], rng: Random) -> Iterator[Item]:
    """Pair an output with itself plus a greeting, the prompt or sentences of another output."""
    fixed = instructions_of(item.sample for item in items)
    answers = list(_good(items, fixed, least=0.0))
    rng.shuffle(answers)
    for asked, text, item in answers:
        way = rng.randrange(3)
        if way < 2:
            more = _with_talk(text, asked, rng, greets=way == 0)
        else:
            foreign = _SENTENCE_END.split(rng.choice(answers)[1].strip())
            more = f"{text} {' '.join(foreign[:2])}"
        if item.lang != "en" or normalized(more) == normalized(text):
            continue
        single = _single(item, asked, more, rng.choice(questions()["padded"]))
        yield _pair("padded", single, text, 1.0, rng)


def _lengthened(items: Sequence[Item], rng: Random) -> Iterator[Item]:
    """Add a greeting and farewell, or the prompt, to an output; its human label still holds."""
    singles = [item for item in items if not item.is_pair and len(item.sample.judged) == 1]
    rng.shuffle(singles)
    for item in singles:
        asked, judged = item.sample.with_role("input"), item.sample.judged[0]
        if item.lang != "en" or asked is None or not judged.text.strip():
            continue
        text = _with_talk(judged.text, asked.text, rng, greets=rng.random() < 0.5)
        fields = tuple(
            Text(name=f.name, text=text, role=f.role) if f is judged else f
            for f in item.sample.fields
        )
        sample = Sample(
            id=f"lengthened:{item.sample.id}", fields=fields, metadata=item.sample.metadata
        )
        yield replace(item, sample=sample, part="lengthened", spans=(), reason=None)


def _with_talk(text: str, asked: str, rng: Random, *, greets: bool) -> str:
    """Put a text between a greeting and a farewell, or after the prompt it answers."""
    talk = _written()["talk"]
    if greets:
        return f"{rng.choice(talk['before'])}\n\n{text}\n\n{rng.choice(talk['after'])}"
    return f"{rng.choice(talk['asked'])} {asked.strip()}\n\n{text}"


def _cut(items: Sequence[Item], rng: Random) -> Iterator[Item]:
    """Pair a good output with itself, cut off between a third and two thirds of its words."""
    fixed = instructions_of(item.sample for item in items)
    answers = list(_good(items, fixed))
    rng.shuffle(answers)
    for asked, text, item in answers:
        places = [match.start() for match in re.finditer(r"\s+", text.strip())]
        if len(places) < _LEAST_TO_CUT:
            continue
        kept = text.strip()[: places[round(len(places) * rng.uniform(1 / 3, 2 / 3))]]
        single = _single(item, asked, kept, rng.choice(questions()["cut"]))
        yield _pair("cut", single, text, 1.0, rng)


_KINDS: Mapping[str, Callable[[Sequence[Item], Random], Iterator[Item]]] = {
    "rated": _rated,
    "strayed": _strayed,
    "padded": _padded,
    "cut": _cut,
    "lengthened": _lengthened,
}


# Parts


@cache
def _written() -> Mapping[str, Any]:
    text = files("glider").joinpath("corpus", "derived.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text))


@cache
def questions() -> Mapping[str, tuple[Criterion, ...]]:
    """Map each kind to the criteria its pairs are judged by."""
    listed = _written()["questions"]
    return {kind: worded(kind, asked) for kind, asked in listed.items()}


def _good(
    items: Iterable[Item], fixed: frozenset[str], *, least: float = 0.5
) -> Iterator[tuple[str, str, Item]]:
    """Yield prompt, output and item once for each output labelled good or winning a pair."""
    seen: set[tuple[str, str]] = set()
    for item in items:
        asked = item.sample.with_role("input")
        if asked is None or normalized(asked.text) in fixed:
            continue
        if item.is_pair:
            if item.gold == 0.5:
                continue
            text = item.sample.judged[int(item.gold > 0.5)].text
        elif len(item.sample.judged) == 1 and _share(item) >= least:
            text = item.sample.judged[0].text
        else:
            continue
        if text.strip() and (asked.text, text) not in seen:
            seen.add((asked.text, text))
            yield asked.text, text, item


def _overlap(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / max(1, len(a | b))


def _share(item: Item) -> float:
    """Return the label rescaled to 0..1."""
    low, high = item.scale
    return (item.gold - low) / (high - low)


def _single(item: Item, asked: str, text: str, criterion: Criterion) -> Item:
    """Make an item of the losing output alone, with only the input, under its own question."""
    sample = Sample.of(text, input=asked, id=item.sample.id)
    return Item(
        sample=sample, criterion=criterion, gold=0.0, scale=(0.0, 1.0), part=item.part,
        cluster=item.cluster, lang=item.lang,
    )  # fmt: skip


def _pair(kind: str, worse: Item, better: str, sure: float, rng: Random) -> Item:
    """Pair an item's output with a better one, in random order."""
    texts = [worse.sample.judged[0].text, better]
    gold = sure
    if rng.random() < 0.5:
        texts.reverse()
        gold = 1 - sure
    outputs = tuple(
        Text(name=name, text=text, role="judged")
        for name, text in zip(COMPARED, texts, strict=True)
    )
    sample = Sample(id=f"{kind}:{worse.sample.id}", fields=worse.sample.told + outputs)
    return Item(
        sample=sample, criterion=of_two(worse.criterion), gold=gold, scale=(0.0, 1.0), part=kind,
        cluster=worse.cluster, lang=worse.lang,
    )  # fmt: skip
