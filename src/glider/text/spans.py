"""Locate a quoted phrase in the judged text.

Judges quote phrases; readers need their positions. This module converts one to the other. It uses
no model and changes no text, and it reports a phrase that it cannot locate instead of guessing.

Offsets count Unicode code points, with start included and end excluded, so that text[start:end] is
the phrase (for a folded match, its original spelling).
"""

import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from glider.core.judgments import Highlight, Match, Span

_TYPOGRAPHY = str.maketrans({
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"',
    "«": '"', "»": '"', "‹": "<", "›": ">", "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-",
    "−": "-", "⁅": "[",
})  # fmt: skip
_WRAPPING = " \t\n\"'“”‘’«»`*"
_Find = Callable[[str, str], list[tuple[int, int]]]
_MAX_PLACES = 20
"""A phrase with more occurrences than this is too common to be a highlight."""


def locate(text: str, phrase: str) -> list[tuple[int, int]]:
    """Return all non-overlapping exact occurrences of `phrase` in `text`."""
    if not phrase:
        return []
    places = []
    start = text.find(phrase)
    while start >= 0:
        places.append((start, start + len(phrase)))
        start = text.find(phrase, start + len(phrase))
    return places


def locate_folded(text: str, phrase: str) -> list[tuple[int, int]]:
    """Return all occurrences of `phrase`, ignoring case, spacing and typographic marks."""
    folded, origin = _fold(text)
    wanted, _ = _fold(phrase.strip())
    places: list[tuple[int, int]] = []
    start = folded.find(wanted) if wanted else -1
    while start >= 0:
        end = start + len(wanted)
        # A letter may fold to several ("ß" to "ss"), and a mark belongs to the preceding letter:
        # a match must split neither.
        whole = (start == 0 or origin[start - 1] != origin[start]) and (
            end == len(folded)
            or (origin[end - 1] != origin[end] and not unicodedata.combining(folded[end]))
        )
        if whole:
            places.append((origin[start], origin[end - 1] + 1))
        start = folded.find(wanted, end if whole else start + 1)
    return places


@lru_cache(maxsize=8)  # one text is searched for several phrases
def _fold(text: str) -> tuple[str, list[int]]:
    """Return the folded text and, for each character, its code point index in `text`."""
    out: list[str] = []
    origin: list[int] = []
    space = False
    for index, char in enumerate(text):
        if char.isspace():
            if not space:
                out.append(" ")
                origin.append(index)
            space = True
            continue
        space = False
        folded = _fold_char(char)
        out.append(folded)
        origin.extend([index] * len(folded))
    return "".join(out), origin


@lru_cache(maxsize=4096)
def _fold_char(char: str) -> str:
    # Decomposed, so that a precomposed accented letter equals the letter plus its accent.
    return unicodedata.normalize("NFKD", char).translate(_TYPOGRAPHY).casefold()


def place(phrase: str, fields: Sequence[tuple[str, str]]) -> Highlight:
    """Make a phrase a Highlight in (name, text) pairs: exact, else folded, else unplaced.

    A model may wrap its quote in quotation marks or shorten it with an ellipsis: if the phrase as
    written does not occur, the words inside are tried.
    """
    methods: tuple[tuple[Match, _Find], ...] = (("exact", locate), ("folded", locate_folded))
    for wording in _wordings(phrase):
        for match, find in methods:
            spans = tuple(
                Span(field=name, start=start, end=end)
                for name, text in fields
                for start, end in find(text, wording)[:_MAX_PLACES]
            )
            if spans:
                return Highlight(phrase=wording, spans=spans[:_MAX_PLACES], match=match)
    return Highlight(phrase=phrase)


def _wordings(phrase: str) -> list[str]:
    stripped = phrase.strip()
    bare = stripped.strip(_WRAPPING)
    short = bare.removeprefix("...").removeprefix("…").removesuffix("...").removesuffix("…")
    return [w for w in dict.fromkeys((stripped, bare, short.strip())) if w]
