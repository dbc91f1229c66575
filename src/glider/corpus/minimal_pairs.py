"""Marks without annotators: where two texts on one prompt differ in one place and in their label.

If people call one summary of an article right and call another wrong that differs from it in three
words, these three words decided. They become a highlight of the worse text, as if somebody had
marked it. Texts that people did mark keep their marks, and a text of the top label gets none.

A pair is minimal if the texts differ in one place, of at most twelve words on either side and a
third of the words of the worse text. A difference that only leaves words out has no place in the
worse text and marks nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from glider.core.judgments import Span
from glider.gold.items import Item
from glider.text.words import word_places

_LARGEST_SHARE = 1 / 3
_MOST_WORDS = 12
_COMPARED = 100
"""Maximum number of better texts that one text is compared with, those nearest in length."""


def marked_by_pairs(items: Sequence[Item]) -> list[Item]:
    """Return the items, those that are the worse half of a minimal pair with a span.

    Of several better texts the one with the shortest difference decides.
    """
    found = list(items)
    for numbers in of_one_prompt(items):
        for number in numbers:
            item = items[number]
            if not item.spans:
                better = [items[n] for n in numbers if items[n].gold > item.gold]
                found[number] = _marked(item, better)
    return found


def of_one_prompt(items: Sequence[Item]) -> list[list[int]]:
    """Group the numbers of single texts that answer one prompt under one criterion."""
    groups: dict[object, list[int]] = {}
    for number, item in enumerate(items):
        if len(item.sample.judged) == 1:
            asked = tuple((field.name, field.text) for field in item.sample.told)
            groups.setdefault((item.part, item.criterion.content_id, asked), []).append(number)
    return list(groups.values())


def _marked(item: Item, better: Sequence[Item]) -> Item:
    field = item.sample.judged[0]
    texts = sorted(
        {other.sample.judged[0].text for other in better},
        key=lambda text: (abs(len(text) - len(field.text)), text),
    )
    places = _differences(field.text, texts[:_COMPARED])
    shortest = min(places, key=lambda place: (place[1] - place[0], place), default=None)
    if shortest is None:
        return item
    return replace(item, spans=(Span(field=field.name, start=shortest[0], end=shortest[1]),))


def _differences(text: str, others: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the place in `text`, of whole words, where it differs from each near twin."""
    places = word_places(text)
    own = [text[start:end] for start, end in places]
    for other in others:
        theirs = [other[start:end] for start, end in word_places(other)]
        before = _alike(own, theirs)
        after = _alike(own[before:][::-1], theirs[before:][::-1])
        changed = places[before : len(own) - after]
        largest = max(len(changed), len(theirs) - before - after)
        if changed and largest <= min(_MOST_WORDS, _LARGEST_SHARE * len(own)):
            yield changed[0][0], changed[-1][1]


def _alike(first: Sequence[str], second: Sequence[str]) -> int:
    """Count the words at the beginning that are the same in both."""
    both = enumerate(zip(first, second, strict=False))
    return next((n for n, (a, b) in both if a != b), min(len(first), len(second)))
