"""Split text in any script into words, the unit of overlap measures.

A word is a run of letters, digits and their combining marks; underscores separate words. In scripts
without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each letter with its marks is a word.
Korean is split at its spaces. Punctuation and symbols are not words. No stemming, no dictionary.
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
    # \w does not match combining marks, which Hindi needs.
    points = map(chr, range(0x300, 0xFE30))
    marks = "".join(c for c in points if unicodedata.category(c).startswith("M"))
    return re.compile(
        rf"(?!_)\w(?:(?<=[{_UNSPACED}])[{marks}]*|(?:(?![{_UNSPACED}_])[\w{marks}])*)"
    )


def word_places(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of every word, ascending; `text[start:end]` is the word."""
    return [match.span() for match in _word().finditer(text)]


def words(text: str) -> list[str]:
    """Return every word in lower case; for plain English, the tokens of `rouge-score`."""
    return [match[0].lower() for match in _word().finditer(text)]
