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

_ON_LINE = "[^\\n]"


def literal(text: str) -> str:
    """Text as a Lark string."""
    return json.dumps(text, ensure_ascii=False)


def one_of(texts: Sequence[str]) -> str:
    """An alternative of literals, longest first."""
    return " | ".join(literal(t) for t in sorted(texts, key=len, reverse=True))


# A wide gap ends a line too: with words on both edges, no quote of legal length could cross it.
_LINE_END = re.compile(r"[\r\n\u2028\u2029\x85]+|\s{8,}")


def quotable(text: str) -> str:
    """The part of a text a quote can be taken from: its lines, each stripped of its edges."""
    return "\n".join(line.strip() for line in _LINE_END.split(text))


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
        unit = "substring_chars" if longest_word > 40 else "substring_words"
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
