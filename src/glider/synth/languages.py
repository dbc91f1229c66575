"""Check that a text is in the requested language, by its script and its most common words.

This catches a teacher that answers in another language. It is not a language detector: for unknown
languages and short texts it reports nothing.
"""

import re
import unicodedata
from collections import Counter

from glider.text.words import words

_SCRIPTS = {
    "chinese": ("CJK",),
    "japanese": ("CJK", "HIRAGANA", "KATAKANA"),
    "korean": ("HANGUL",),
    "russian": ("CYRILLIC",),
    "ukrainian": ("CYRILLIC",),
    "greek": ("GREEK",),
    "arabic": ("ARABIC",),
    "hebrew": ("HEBREW",),
    "hindi": ("DEVANAGARI",),
    "thai": ("THAI",),
}
_COMMON = {
    "english": "the of and to in is that it was for with as are be this have not you",
    "german": "der die das und ist nicht ein eine zu den mit sich auf von dem für im es",
    "french": "le la les des et est une un du que dans pour pas qui sur au il plus",
    "spanish": "el los las y es una un del que por con para no se lo más está como",
    "italian": "il gli che di è una un per non con sono della del si nel alla dei più",
    "portuguese": "os as e é uma um do da que não para com em dos das mais por se",
    "dutch": "de het een en van is dat niet op te zijn voor met aan die er om",
}
_CODES = {
    "english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it",
    "portuguese": "pt", "dutch": "nl", "chinese": "zh", "japanese": "ja", "korean": "ko",
    "russian": "ru", "ukrainian": "uk", "greek": "el", "arabic": "ar", "hebrew": "he",
    "hindi": "hi", "thai": "th",
}  # fmt: skip
_COMMON_WORDS = {name: frozenset(common.split()) for name, common in _COMMON.items()}
_LEAST_WORDS = 12
_LEAST_SHARE = 0.5
_LETTER = re.compile(r"[^\W\d_]")


def code_of(language: str) -> str:
    """Return the two-letter code of a language's English name, or the name itself if unknown."""
    return _CODES.get(language.lower(), language.lower())


def other_language(text: str, language: str) -> str | None:
    """Return the evidence for another language, in a few words; None if there is none."""
    wanted = language.lower()
    letters = _LETTER.findall(text)[:2000]
    scripts = _SCRIPTS.get(wanted, ("LATIN",) if wanted in _COMMON else ())
    if letters and scripts:
        own = sum(
            n
            for letter, n in Counter(letters).items()
            if unicodedata.name(letter, "").startswith(scripts)
        )
        if own < _LEAST_SHARE * len(letters):
            return f"{own / len(letters):.0%} of its letters are of the script of {language}"
    found = words(text)
    if wanted in _COMMON and len(found) >= _LEAST_WORDS:
        counts = {
            name: sum(word in common for word in found) for name, common in _COMMON_WORDS.items()
        }
        likeliest = max(counts, key=lambda name: (counts[name], name == wanted))
        if counts[likeliest] >= max(4, 2 * counts[wanted] + 1):
            return f"its common words are those of {likeliest.capitalize()}"
    return None
