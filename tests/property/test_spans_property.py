"""A place is never invented: what is found is what was asked for."""

import re
import unicodedata

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from glider.text.spans import locate, locate_folded, place

# Few letters, so that phrases are found, and the ones that fold in odd ways.
LETTERS = st.sampled_from(
    list("abAB sSßİıﬁfi’'“\"–-…. \t\n\u00a0e\u0301éÉ\u0323\u0345ςσΣ´¨가각＃#‹<")
)
ODD = st.text(LETTERS, max_size=24)
ANY = st.one_of(ODD, st.text(max_size=40))


def plain(text):
    """Folding by another road: the text as a whole, with no places kept."""
    text = unicodedata.normalize("NFKD", re.sub(r"\s+", " ", text))
    return text.translate(str.maketrans("’“–‹", "'\"-<")).casefold()


def in_order(places, text):
    edges = [0, *(edge for place in places for edge in place), len(text)]
    return edges == sorted(edges) and all(start < end for start, end in places)


@given(ANY, ANY)
@settings(max_examples=500)
def test_exact_places_hold_the_phrase(text, phrase):
    places = locate(text, phrase)
    assert all(text[start:end] == phrase for start, end in places)
    assert in_order(places, text)
    assert bool(places) == (bool(phrase) and phrase in text)


@given(ODD, ODD)
@settings(max_examples=2_000)
@example("sß", "ss")
@example("e\u0301", "e")
@example("a  b", "A B")
def test_folded_places_fold_to_the_phrase(text, phrase):
    places = locate_folded(text, phrase)
    assert all(plain(text[start:end]) == plain(phrase.strip()) for start, end in places)
    assert in_order(places, text)


@given(ANY, st.data())
@settings(max_examples=500)
def test_whole_words_in_other_case_and_spacing_are_found(text, data):
    words = text.split()
    assume(words)
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(words) - 1)] * 2)))
    phrase = "\n ".join(words[first : last + 1])
    shouted = re.sub("[a-z]+", lambda match: match[0].upper(), phrase)
    assert place(shouted, [("output", text)]).match != "unplaced"


@given(st.lists(st.tuples(st.sampled_from("abc"), ANY), max_size=3, unique_by=lambda f: f[0]), ANY)
@settings(max_examples=500)
def test_place_never_lies(fields, phrase):
    found = place(phrase, fields)
    texts = dict(fields)
    assert (found.match == "unplaced") == (not found.spans)
    assert len(found.spans) <= 20
    for span in found.spans:
        quoted = texts[span.field][span.start : span.end]
        assert quoted
        if found.match == "exact":
            assert quoted == found.phrase
