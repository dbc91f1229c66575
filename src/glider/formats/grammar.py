"""Parts of llguidance Lark grammars: legal scores, and quotes that must be verbatim.

A grammar makes a quote exact. It does not make the quote relevant or the score right.
"""

import json
import re
from collections.abc import Sequence

QUOTE_CHARS = (20, 120)
"""Shortest and longest quote: without a minimum, models quote one word or punctuation mark."""

_MAX_CHARS = 60_000
"""Quotable characters in all texts together; llguidance refuses grammars from 80,000 on."""

_LONGEST_WORD = 40
LONGEST_UNSPACED = 120
"""Longest run without a space: in scripts without spaces, a sentence is one word."""
_WORDS_TO_END = 15
"""Extra words allowed beyond a reason's limit to finish a sentence."""
_ON_LINE = "[^\\n]"


def literal(text: str) -> str:
    """Quote text as a Lark string."""
    return json.dumps(text, ensure_ascii=False)


def one_of(texts: Sequence[str]) -> str:
    """Return an alternation of literals, longest first."""
    return " | ".join(literal(t) for t in sorted(texts, key=len, reverse=True))


def reason_chars(words: int) -> int:
    """Return the maximum number of characters of a reason with this many words."""
    return 8 * (words + _WORDS_TO_END)


def bounded_reason(words: int) -> str:
    """Return a Lark terminal for one line of at most this many words, plus the end of a sentence.

    It limits words, since small models drift into counting, where each word is a digit. It also
    limits runs without spaces, since a model that cannot start a new word appends it to the last.
    """
    latin, other = "[!-ɏ]", r"[^\s!-ɏ]"
    begun = rf"{latin}{{0,{_LONGEST_WORD - 1}}}"
    unspaced = rf"{begun}{other}\S{{0,{LONGEST_UNSPACED}}}"
    word = rf"({begun}{latin}|{unspaced})"
    inside = rf"({begun}|{unspaced})[^\s.!?。！？]"
    within = rf"{word}( {word}){{0,{words - 1}}}"
    beyond = rf"({word} ){{{words - 1}}}{inside}( {inside}){{0,{_WORDS_TO_END - 1}}}( {word})?"
    return rf"/{within}|{beyond}/ & /[^\n]{{1,{reason_chars(words)}}}/"


# A wide gap also ends a line: with words at both edges, no legal quote could span it.
_LINE_END = re.compile(r"[\r\n\u2028\u2029\x85]+|\s{8,}")


def quotable(text: str) -> str:
    """Return the quotable part of a text: its lines, stripped."""
    return "\n".join(line.strip() for line in _LINE_END.split(text))


def quote_at(text: str, start: int, end: int) -> str | None:
    """Return the quote of whole words that `quote_rules` allows for `text[start:end]`.

    A short span is extended to the minimum length, a long one is cut at its end, and a span over
    several lines is reduced to its longest line.

    Returns:
        The quote; None if no line of the span can be quoted.
    """
    lines = _lines_of(text)
    touched = [(max(a, start), min(b, end), a, b) for a, b in lines if a < end and start < b]
    if not touched:
        return None
    head, tail, first, last = max(touched, key=lambda place: place[1] - place[0])
    spaced = max(map(len, text[first:last].split())) <= _LONGEST_WORD
    edges = [
        at
        for at in range(first, last + 1)
        if not spaced or at in (first, last) or text[at - 1].isspace() != text[at].isspace()
    ]
    head = max((at for at in edges if at <= head), default=first)
    tail = min((at for at in edges if at >= tail), default=last)
    low = min(QUOTE_CHARS[0], max(b - a for a, b in lines))
    while len(text[head:tail].strip()) < low:
        after = next((at for at in edges if at > tail), None)
        before = next((at for at in reversed(edges) if at < head), None)
        if after is None and before is None:
            return None  # the whole line is shorter than the shortest quote
        head, tail = (head, after) if after is not None else (before or first, tail)
    fitting = [at for at in edges if head < at <= min(tail, head + QUOTE_CHARS[1])]
    quote = text[head : max(fitting, default=head)].strip()
    return quote if len(quote) >= low else None


def _lines_of(text: str) -> list[tuple[int, int]]:
    """Return the offsets of the non-empty lines of `quotable` in the text."""
    ends = [*(match.span() for match in _LINE_END.finditer(text)), (len(text), len(text))]
    lines, start = [], 0
    for end, following in ends:
        line = text[start:end]
        a = start + len(line) - len(line.lstrip())
        b = start + len(line.rstrip())
        if a < b:
            lines.append((a, b))
        start = following
    return lines


def quote_rules(texts: Sequence[str]) -> tuple[str, bool]:
    """Return Lark rules that define `quote` as a substring of one line of one of `texts`.

    In very long texts only the beginnings are quotable, with an equal share for each text.

    Returns:
        The rules, and whether there is anything to quote.
    """
    names: list[str] = []
    rules: list[str] = []
    for text in texts:
        within = quotable(text)[: _MAX_CHARS // len(texts)].rstrip()
        lines = [line for line in within.split("\n") if line]
        if not lines:
            continue
        longest = max(map(len, lines))
        low = min(QUOTE_CHARS[0], longest)
        high = max(QUOTE_CHARS[1], low)
        # Scripts without spaces have no word boundaries: there, any run of characters is allowed.
        longest_word = max(len(word) for word in within.split())
        unit = "substring_chars" if longest_word > _LONGEST_WORD else "substring_words"
        n = len(names)
        # No space at either edge: a quote consists of words.
        middle = f"({_ON_LINE}{{{max(low - 2, 0)},{high - 2}}}\\S)" + ("?" if low < 2 else "")
        rules.append(
            f"SUB{n}: %regex {{{literal(unit)}: {literal(chr(10).join(lines))}}}\n"
            f"QUOTE{n}: SUB{n} & /\\S{middle}/"
        )
        names.append(f"QUOTE{n}")
    if not names:
        return "", False
    return "\n".join([*rules, f"quote: {' | '.join(names)}"]), True
