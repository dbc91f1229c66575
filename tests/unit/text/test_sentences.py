"""Sentences: where they end, and that nothing is lost."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glider.text.sentences import sentence_places


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        (" \n ", []),
        ("No stop", ["No stop"]),
        ("One. Two! Three? Four… Five", ["One.", "Two!", "Three?", "Four…", "Five"]),
        ('He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
        ("Dr. Who met J. Smith at 9.40 a.m. today.", ["Dr. Who met J. Smith at 9.40 a.m. today."]),
        ("See e.g. Rome. It is old.", ["See e.g. Rome.", "It is old."]),
        ("1. Wash it.\n2. Dry it.\n\nDone", ["1. Wash it.", "2. Dry it.", "Done"]),
        ("- a line\r\n- another", ["- a line", "- another"]),
        ("今天很好。我们走吧！「好。」他说", ["今天很好。", "我们走吧！", "「好。」", "他说"]),
        ("क्या है? यह ठीक है। हाँ", ["क्या है?", "यह ठीक है।", "हाँ"]),
    ],
)
def test_where_sentences_end(text, sentences):
    assert [text[start:end] for start, end in sentence_places(text)] == sentences


@given(st.text(alphabet="aB .!?…\n\r\t\"'1。」\u2028😀", max_size=60))
def test_every_character_but_space_is_in_one_sentence(text):
    places = sentence_places(text)
    assert all(start < end for start, end in places)
    assert all(a[1] <= b[0] for a, b in pairwise(places))
    held = {at for start, end in places for at in range(start, end)}
    assert {at for at, char in enumerate(text) if not char.isspace()} <= held
