"""Where a phrase stands: drawn, so that a reader can count."""

import time

import pytest

from glider.text.spans import locate, locate_folded, place


@pytest.mark.parametrize(
    ("text", "phrase", "places"),
    [
        ("the cat sat", "cat", [(4, 7)]),
        ("cat, cat", "cat", [(0, 3), (5, 8)]),  # every place, not the first
        ("aaaa", "aa", [(0, 2), (2, 4)]),  # not overlapping
        ("aaaaa", "aa", [(0, 2), (2, 4)]),
        ("naïve café", "café", [(6, 10)]),  # code points, not bytes
        ("👍🏽 yes", "yes", [(3, 6)]),
        ("the cat", "dog", []),  # unplaced is an answer
        ("the cat", "", []),  # an empty quote quotes nothing
        ("", "cat", []),
        ("", "", []),
        ("The Cat", "cat", []),  # letter for letter
        ("a  b", "a b", []),
        ("cat", "cat", [(0, 3)]),
        ("cat", "cats", []),
    ],
)
def test_locate(text, phrase, places):
    assert locate(text, phrase) == places
    assert all(text[start:end] == phrase for start, end in places)


@pytest.mark.parametrize(
    ("text", "phrase", "found"),
    [
        ("The Cat sat", "the cat", ["The Cat"]),
        ("the cat", "THE CAT", ["the cat"]),
        ("the   cat\n sat", "the cat sat", ["the   cat\n sat"]),
        ("the cat sat", "the\n\n cat", ["the cat"]),
        ("the\u00a0cat", "the cat", ["the\u00a0cat"]),
        ("  cat  ", " cat ", ["cat"]),  # edges of the phrase do not count
        ("it’s “so”", 'it\'s "so"', ["it’s “so”"]),
        ('it\'s "so"', "it’s «so»", ['it\'s "so"']),
        ("a–b — c−d", "a-b - c-d", ["a–b — c−d"]),
        ("</output>", "‹/output>", ["</output>"]),  # as the prompt showed it
        ("###Feedback: [RESULT]", "＃##Feedback: ⁅RESULT]", ["###Feedback: [RESULT]"]),
        ("wait…", "wait...", ["wait…"]),
        ("ﬁne oﬃce", "fine office", ["ﬁne oﬃce"]),
        ("ﬁne", "f", []),  # half a ligature is no place
        ("ﬁne", "ine", []),
        ("ｆｕｌｌ ｗｉｄｔｈ", "full width", ["ｆｕｌｌ ｗｉｄｔｈ"]),
        ("Straße", "strasse", ["Straße"]),
        ("strasse", "STRAßE", ["strasse"]),
        ("Straße", "stras", []),  # half an ß
        ("sß", "ss", ["ß"]),  # the first try cuts the ß, the second does not
        ("İstanbul", "i\u0307stanbul", ["İstanbul"]),
        ("İstanbul", "istanbul", []),  # a dot more is another letter
        ("ΟΔΟΣ", "οδος", ["ΟΔΟΣ"]),  # the two small sigmas are one
        ("café", "cafe\u0301", ["café"]),
        ("cafe\u0301 x", "CAFÉ", ["cafe\u0301"]),
        ("cafe\u0301 x", "CAFE", []),  # the accent belongs to the letter
        ("CAFÉ", "cafe", []),
        ("ệ e\u0323\u0302", "ệ", ["ệ", "e\u0323\u0302"]),
        ("각", "가", []),  # half a syllable
        ("cat CAT Cat", "cAt", ["cat", "CAT", "Cat"]),
        ("aAaA", "aa", ["aA", "aA"]),
        ("the cat", "dog", []),
        ("the cat", "  ", []),
        ("", "cat", []),
    ],
)
def test_locate_folded(text, phrase, found):
    places = locate_folded(text, phrase)
    assert [text[start:end] for start, end in places] == found


@pytest.mark.parametrize(
    ("phrase", "wording", "match", "spans"),
    [
        ("the cat", "the cat", "exact", [("output", 0, 7)]),
        ("  the cat \n", "the cat", "exact", [("output", 0, 7)]),
        ("THE CAT", "THE CAT", "folded", [("output", 0, 7)]),
        ('"the cat"', "the cat", "exact", [("output", 0, 7)]),
        ("“the cat”", "the cat", "exact", [("output", 0, 7)]),
        ("`the cat`", "the cat", "exact", [("output", 0, 7)]),
        ("**the cat**", "the cat", "exact", [("output", 0, 7)]),
        ("the cat...", "the cat", "exact", [("output", 0, 7)]),
        ("… the cat …", "the cat", "exact", [("output", 0, 7)]),
        ('"said"', '"said"', "exact", [("output", 8, 14)]),  # as written comes first
        ("sat", "sat", "exact", [("output", 15, 18), ("other", 2, 5)]),  # every field
        ("the dog", "the dog", "unplaced", []),
        ("", "", "unplaced", []),
        ('""', '""', "unplaced", []),
        ("...", "...", "unplaced", []),
    ],
)
def test_place(phrase, wording, match, spans):
    found = place(phrase, [("output", 'the cat "said" sat'), ("other", "I sat")])
    assert (found.phrase, found.match) == (wording, match)
    assert [(span.field, span.start, span.end) for span in found.spans] == spans


def test_a_phrase_that_is_everywhere_keeps_its_first_places():
    found = place("a", [("output", "a " * 1_000)])
    assert [span.start for span in found.spans] == list(range(0, 40, 2))


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("a" * 100_000, "A"),
        ("ß" * 100_000, "s"),
        ("lorem ipsum " * 9_000, "dolor sit amet"),
        ("x", '"' * 100_000 + "x" + '"' * 100_000 + "y"),
        ("x", " " * 100_000 + "." * 100_000),
    ],
)
def test_a_long_text_is_searched_in_no_time(text, phrase):
    start = time.thread_time()
    place(phrase, [("output", text)])
    # A tenth of it is usual; a search that costs the square of the text takes minutes.
    assert time.thread_time() - start < 2
