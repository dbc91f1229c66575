"""Where the words of a text are, in any script: the unit of overlap measures.

A word is a run of letters, digits and their marks; the underscore parts words. Scripts that are
written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) have no such runs: there each
letter with its marks is a word of its own. Korean has spaces and keeps its words. Punctuation and
symbols are no words. No stemming, no dictionary.
"""

import re
import unicodedata
from functools import cache

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # kana and iteration marks
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)


@cache
def _word() -> re.Pattern[str]:
    # \w knows no combining marks, without which Hindi falls apart.
    points = map(chr, range(0x300, 0xFE30))
    marks = "".join(c for c in points if unicodedata.category(c).startswith("M"))
    return re.compile(
        rf"(?!_)\w(?:(?<=[{_UNSPACED}])[{marks}]*|(?:(?![{_UNSPACED}_])[\w{marks}])*)"
    )


def word_places(text: str) -> list[tuple[int, int]]:
    """Start and end of every word, rising; `text[start:end]` is the word."""
    return [match.span() for match in _word().finditer(text)]


def words(text: str) -> list[str]:
    """Every word in lower case. Of plain English text these are the tokens of `rouge-score`."""
    return [match[0].lower() for match in _word().finditer(text)]
