"""Changes to a text: what they add, what they keep."""

from collections import Counter

import numpy as np
import pytest

from glider.audit.wordings import (
    bulleted,
    emboldened,
    fenced,
    headed,
    misspelt,
    padded,
    sentences,
    shortened,
)

TEXT = "One goes first. Two comes after it!\nThree is last? Four ends 1.5 things."


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            TEXT,
            ["One goes first.", "Two comes after it!", "Three is last?", "Four ends 1.5 things."],
        ),
        ("一是一。二是二!", ["一是一。", "二是二!"]),
        ("no stop", ["no stop"]),
        ("a\n\n\nb", ["a", "b"]),
        ("  ", []),
    ],
)
def test_sentences(text, parts):
    assert sentences(text) == parts


def test_padding_says_nothing_new():
    longer = padded(TEXT, np.random.default_rng(0))
    assert longer.startswith(TEXT + "\n\n")
    again = sentences(longer.removeprefix(TEXT))
    assert len(again) == 2
    assert set(again) <= set(sentences(TEXT))
    assert padded("", np.random.default_rng(0)) == ""


@pytest.mark.parametrize(
    ("text", "half"),
    [(TEXT, "One goes first. Two comes after it!"), ("abcdef", "abc"), ("", "")],
)
def test_half_of_a_text(text, half):
    assert shortened(text) == half


def test_misspelling_swaps_inner_letters_of_long_words_only():
    text = "The quick brown foxes jumped over a lazy dog, lvl3 and all those others."
    wrong = misspelt(text, np.random.default_rng(0))
    assert wrong != text
    assert [Counter(w) for w in wrong.split()] == [Counter(w) for w in text.split()]
    for before, after in zip(text.split(), wrong.split(), strict=True):
        assert before[0] == after[0]
        if len(before.strip(",.")) < 4:
            assert before == after
    assert "lvl3" in wrong


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (bulleted, "- One goes first.\n- Two comes after it!"),
        (emboldened, "**One goes first.** **Two comes after** it!"),
        (headed, "## Answer\n\nOne goes first. Two comes after it!"),
        (fenced, "```\nOne goes first. Two comes after it!\n```"),
    ],
)
def test_form(change, text):
    assert change("One goes first. Two comes after it!") == text


def test_a_list_stays_a_list():
    assert bulleted("- a\n- b") == "- a\n- b"
