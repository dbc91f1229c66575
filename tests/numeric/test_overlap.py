"""Spans against spans, counted by hand."""

import pytest

from glider.stats.estimates import Degenerate
from glider.stats.overlap import (
    character_counts,
    f1,
    precision,
    recall,
    substring_counts,
    substring_rate,
    token_counts,
)

TEXT = "The parcel, left on Tuesday, is gone."


def at(phrase, text=TEXT):
    return (text.index(phrase), text.index(phrase) + len(phrase))


@pytest.mark.parametrize(
    ("text", "predicted", "human", "characters", "tokens"),
    [
        # words: The parcel left on Tuesday is gone
        (TEXT, ["parcel, left"], ["left on Tuesday"], (4, 12, 15), (1, 2, 3)),
        (TEXT, ["Tues"], ["Tuesday"], (4, 4, 7), (1, 1, 1)),
        (TEXT, ["parcel", "cel, le"], [], (0, 10, 0), (0, 2, 0)),
        (TEXT, [], [], (0, 0, 0), (0, 0, 0)),
        # No spaces between words: by character.
        ("包裹在周二丢了", ["周二"], ["在周二"], (2, 2, 3), (2, 2, 3)),
        ("GPT4模型", ["GPT4模"], ["GPT"], (3, 5, 3), (1, 2, 1)),
    ],
)
def test_counts(text, predicted, human, characters, tokens):
    spans = [at(p, text) for p in predicted], [at(p, text) for p in human]
    assert character_counts(text, *spans) == characters
    assert token_counts(text, *spans) == tokens


@pytest.mark.parametrize("place", [(-1, 2), (3, 2), (0, 38)])
def test_a_place_outside_the_text(place):
    with pytest.raises(ValueError, match="outside a text of 37 characters"):
        character_counts(TEXT, [place], [])


def test_rates_by_hand():
    counts = [(4, 12, 15), (4, 4, 7), (0, 10, 0), (0, 0, 0)]
    assert precision(counts) == pytest.approx(8 / 26)
    assert recall(counts) == pytest.approx(8 / 22)
    p, r = 8 / 26, 8 / 22
    assert f1(counts) == pytest.approx(2 * p * r / (p + r))
    assert precision(counts, [1, 1, 0, 5]) == pytest.approx(8 / 16)
    assert f1([(0, 3, 0)]) == 0


def test_substring_rate():
    counts = [substring_counts(TEXT, ["parcel", "Parcel", "is  gone", ""]), (1, 1)]
    assert counts[0] == (1, 4)
    assert substring_rate(counts) == pytest.approx(2 / 5)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: precision([(0, 0, 5)]), "nothing was predicted"),
        (lambda: recall([(0, 5, 0)]), "people marked nothing"),
        (lambda: f1([(0, 0, 0)]), "nothing was predicted or marked"),
        (lambda: substring_rate([(0, 0)]), "no phrases"),
        (lambda: precision([]), "no items"),
    ],
)
def test_no_honest_value(call, reason):
    with pytest.raises(Degenerate, match=reason):
        call()
