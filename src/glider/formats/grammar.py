"""Pieces of llguidance Lark grammars: legal scores, and quotes that can only be verbatim.

A grammar makes a quote exact. It does not make it relevant, nor the score right.
"""

import json
import re
from collections.abc import Sequence

QUOTE_CHARS = (20, 120)
"""Shortest and longest quote: without a lower bound models quote one word or one mark."""

_MAX_CHARS = 60_000
"""What can be quoted of all texts together; llguidance refuses a grammar from 80,000 on."""

_LONGEST_WORD = 40
LONGEST_UNSPACED = 120
"""Of scripts without spaces a word is as long as a sentence."""
_WORDS_TO_END = 15
"""Words beyond a reason's bound to end a sentence with."""
_ON_LINE = "[^\\n]"


def literal(text: str) -> str:
    """Text as a Lark string."""
    return json.dumps(text, ensure_ascii=False)


def one_of(texts: Sequence[str]) -> str:
    """An alternative of literals, longest first."""
    return " | ".join(literal(t) for t in sorted(texts, key=len, reverse=True))


def reason_chars(words: int) -> int:
    """Most characters of a reason of so many words."""
    return 8 * (words + _WORDS_TO_END)


def bounded_reason(words: int) -> str:
    """A Lark terminal: one line of so many words, and where it ends inside a sentence, its end.

    Bounded in words, since small models slip into counting, where a word is a digit; and in what
    stands without a space, since a model that may not begin another word glues it to the last one.
    """
    latin, other = "[!-ɏ]", r"[^\s!-ɏ]"
    begun = rf"{latin}{{0,{_LONGEST_WORD - 1}}}"
    unspaced = rf"{begun}{other}\S{{0,{LONGEST_UNSPACED}}}"
    word = rf"({begun}{latin}|{unspaced})"
    inside = rf"({begun}|{unspaced})[^\s.!?。！？]"
    within = rf"{word}( {word}){{0,{words - 1}}}"
    beyond = rf"({word} ){{{words - 1}}}{inside}( {inside}){{0,{_WORDS_TO_END - 1}}}( {word})?"
    return rf"/{within}|{beyond}/ & /[^\n]{{1,{reason_chars(words)}}}/"


# A wide gap ends a line too: with words on both edges, no quote of legal length could cross it.
_LINE_END = re.compile(r"[\r\n\u2028\u2029\x85]+|\s{8,}")


def quotable(text: str) -> str:
    """The part of a text a quote can be taken from: its lines, each stripped of its edges."""
    return "\n".join(line.strip() for line in _LINE_END.split(text))


def quote_at(text: str, start: int, end: int) -> str | None:
    """What the rules of `quote_rules` let a judge quote of `text[start:end]`, in whole words.

    A short place is widened to the shortest legal length, a long one cut at its end, and of a place
    over several lines the longest line is taken.

    Returns:
        The quote; None where no line of the place can be quoted.
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
            return None  # the whole line is shorter than a quote may be
        head, tail = (head, after) if after is not None else (before or first, tail)
    fitting = [at for at in edges if head < at <= min(tail, head + QUOTE_CHARS[1])]
    quote = text[head : max(fitting, default=head)].strip()
    return quote if len(quote) >= low else None


def _lines_of(text: str) -> list[tuple[int, int]]:
    """Where the lines of `quotable` stand in the text; empty ones left out."""
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
    """Lark rules that define `quote` as a stretch of one line of one of `texts`.

    Of very long texts only the beginnings can be quoted, an equal share of each.

    Returns:
        The rules, and whether there is anything to quote at all.
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
        # Scripts without spaces have no words to cut at: there, any run of characters will do.
        longest_word = max(len(word) for word in within.split())
        unit = "substring_chars" if longest_word > _LONGEST_WORD else "substring_words"
        n = len(names)
        # No space at either edge: what is quoted is words.
        middle = f"({_ON_LINE}{{{max(low - 2, 0)},{high - 2}}}\\S)" + ("?" if low < 2 else "")
        rules.append(
            f"SUB{n}: %regex {{{literal(unit)}: {literal(chr(10).join(lines))}}}\n"
            f"QUOTE{n}: SUB{n} & /\\S{middle}/"
        )
        names.append(f"QUOTE{n}")
    if not names:
        return "", False
    return "\n".join([*rules, f"quote: {' | '.join(names)}"]), True
