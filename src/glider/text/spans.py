"""Find where a quoted phrase sits in the text that was judged.

Judges quote phrases; readers want places. This module turns one into the other. It asks no model
and edits no text, and a phrase it cannot place is reported, not guessed.

Offsets count Unicode code points, start included and end excluded, so that text[start:end] gives
the phrase back (for a folded match: the original wording of it).
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
"""A phrase that stands in more places than this decided nothing in particular."""


def locate(text: str, phrase: str) -> list[tuple[int, int]]:
    """Every place where `phrase` stands in `text`, letter for letter, not overlapping."""
    if not phrase:
        return []
    places = []
    start = text.find(phrase)
    while start >= 0:
        places.append((start, start + len(phrase)))
        start = text.find(phrase, start + len(phrase))
    return places


def locate_folded(text: str, phrase: str) -> list[tuple[int, int]]:
    """Every place where `phrase` stands in `text` but for case, spacing and typographic marks."""
    folded, origin = _fold(text)
    wanted, _ = _fold(phrase.strip())
    places: list[tuple[int, int]] = []
    start = folded.find(wanted) if wanted else -1
    while start >= 0:
        end = start + len(wanted)
        # A letter may fold to several ("ß" to "ss"), and a mark belongs to the letter before it:
        # neither is cut.
        whole = (start == 0 or origin[start - 1] != origin[start]) and (
            end == len(folded)
            or (origin[end - 1] != origin[end] and not unicodedata.combining(folded[end]))
        )
        if whole:
            places.append((origin[start], origin[end - 1] + 1))
        start = folded.find(wanted, end if whole else start + 1)
    return places


@lru_cache(maxsize=8)  # one text is searched for one phrase after another
def _fold(text: str) -> tuple[str, list[int]]:
    """Folded text and, for each of its characters, the code point of `text` it came from."""
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
    # Decomposed, so that a letter with its accent in one code point equals the two apart.
    return unicodedata.normalize("NFKD", char).translate(_TYPOGRAPHY).casefold()


def place(phrase: str, fields: Sequence[tuple[str, str]]) -> Highlight:
    """Turn a phrase into a Highlight over (name, text) pairs: exact, else folded, else unplaced.

    A model that wraps its quote in quotation marks, or shortens it with an ellipsis, still means
    the words inside: these are tried when the phrase as written is nowhere.
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
