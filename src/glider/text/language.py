"""Detect the language of a text by script and common words; no model, no dictionary.

The script decides if only one language uses it (Greek, Korean) or if certain letters distinguish
its languages (Japanese kana, Ukrainian and Persian letters). For Latin script, function words
decide: the language with the most matches wins if they are a tenth of all words and 1.5 times those
of the runner-up. Anything else is unknown: short texts, code, lists of names, languages without a
word list here. An unknown language is never taken for another one.
"""

import re
from collections import Counter
from functools import cache

_MOST = 4_000
"""Maximum code points to examine."""
_FEWEST_LETTERS = 20
_FEWEST_WORDS = 8
_LEAST_SHARE = 0.1
_LEAD = 1.5
_MAIN = 0.5
"""Minimum share of letters for a script to be the text's main script."""
_KANA = 0.1
"""Minimum share of kana among the East Asian letters for Japanese."""

_SCRIPTS = {
    "latin": r"A-Za-z\u00c0-\u024f\u1e00-\u1eff",
    "han": r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
    "kana": r"\u3041-\u30ff",
    "ko": r"\uac00-\ud7af\u1100-\u11ff",
    "cyrillic": r"\u0400-\u04ff",
    "arabic": r"\u0620-\u06d3\u0750-\u077f",
    "he": r"\u05d0-\u05ea",
    "el": r"\u0370-\u03ff\u1f00-\u1fff",
    "hi": r"\u0900-\u097f",
    "th": r"\u0e01-\u0e4e",
    "bn": r"\u0980-\u09ff",
    "ta": r"\u0b80-\u0bff",
    "ka": r"\u10a0-\u10ff",
    "hy": r"\u0530-\u058f",
}
_UKRAINIAN, _RUSSIAN, _PERSIAN = re.compile("[іїєґ]"), re.compile("[ыэё]"), re.compile("[پچژگک]")
_WORDS = {
    "en": "the of and to in is that it for was with as on are this be by not or have you at from",
    "de": "der die das und ist in zu den von mit nicht ein eine auf für sich dem des auch es im",
    "fr": "le la les de des et est un une du en que qui dans pour pas sur il au ce avec plus par",
    "es": "el la los las de que y en un una es por con para no se del al lo su como más pero",
    "it": "il la di che e è un una per non in del della con le i sono si da come al più gli",
    "pt": "o a os as de que e é um uma em para não com do da no na por se mais dos como",
    "nl": "de het een en van in is dat op te zijn met voor niet aan er om ook maar bij als",
    "pl": "i w na z się nie że do jest to o jak za po od przez dla tym ale są oraz",
    "cs": "a v na je se že s z do o to i pro jako ve by ale jsou od které byl také",
    "ro": "și de în la cu a pe nu că este din mai un o pentru care sunt să ce lui",
    "tr": "ve bir bu için da de ile olarak çok daha ne gibi olan kadar sonra değil ama o var",
    "vi": "là và của có không được cho một các trong người với này để những đã khi từ",
    "id": "yang dan di dengan untuk dari ini itu tidak pada adalah dalam ke akan atau juga oleh",
    "sv": "och att det i en som på är av för den med till inte har ett om var så men",
}


@cache
def _script() -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{name}>[{letters}])" for name, letters in _SCRIPTS.items()))


@cache
def _by_word() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for language, listed in _WORDS.items():
        for word in listed.split():
            found.setdefault(word, []).append(language)
    return {word: tuple(languages) for word, languages in found.items()}


def language_of(text: str) -> str | None:
    """Return the ISO 639-1 code of a text's language; None if unknown."""
    text = text[:_MOST]
    letters = Counter(match.lastgroup for match in _script().finditer(text))
    total = letters.total()
    if total < _FEWEST_LETTERS and not letters["han"] + letters["kana"] + letters["ko"] >= 8:
        return None
    east = letters["han"] + letters["kana"]
    if east >= _MAIN * total:
        return "ja" if letters["kana"] >= _KANA * east else "zh"
    script, n = letters.most_common(1)[0]
    if n < _MAIN * total:
        return None
    lower = text.casefold()
    match script:
        case "latin":
            return _latin(lower)
        case "cyrillic":
            # Both sets of letters are rare elsewhere; other Cyrillic languages remain unknown.
            ukrainian, russian = len(_UKRAINIAN.findall(lower)), len(_RUSSIAN.findall(lower))
            if ukrainian == russian:
                return None
            return "uk" if ukrainian > russian else "ru"
        case "arabic":
            return "fa" if len(_PERSIAN.findall(text)) >= 0.02 * n else "ar"
    return script


def _latin(text: str) -> str | None:
    words = re.findall(r"[^\W\d_]+", text)
    if len(words) < _FEWEST_WORDS:
        return None
    hits: Counter[str] = Counter()
    for word in words:
        for language in _by_word().get(word, ()):
            hits[language] += 1
    if not hits:
        return None
    (best, n), *rest = hits.most_common(2)
    if n < _LEAST_SHARE * len(words) or (rest and n < _LEAD * rest[0][1]):
        return None
    return best
