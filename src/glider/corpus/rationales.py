"""Turn human explanations into reasons that fit a short answer.

A reason keeps its language and wording: whole sentences are selected, none are composed. Sentences
that mention a number on some scale or another answer, or only state the verdict, are dropped, so
that the reason stays true under another rubric and in the other order. A reason that cannot be used
raises `Unclear`; the data card counts its messages.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from glider.formats.grammar import LONGEST_UNSPACED
from glider.text.defuse import defuse
from glider.text.words import words


class Unclear(ValueError):
    """The text cannot be used as a reason; the message is generic enough to be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The item that the reason is about."""

    texts: Sequence[str] = ()
    """Texts that the reason must not just repeat."""
    level: float | None = None
    """The label rescaled to 0..1; None for a pair."""
    lang: str = "en"
    swapped: bool = False
    """Whether the pair is shown in the other order."""
    words: int = 30
    """Maximum number of words in the reason."""

    @property
    def of_pair(self) -> bool:
        """Whether two outputs are compared."""
        return self.level is None


_LEAD = re.compile(
    r"^[\s:;,.*–-]*(?:(?:the )?(?:answer(?: is)?|reason(?:ing)?|explanation|evidence|feedback)"
    r"\s*:?\s+(?=yes\b|no\b)"
    r"|(?:reason(?:ing)?|explanation|evidence|feedback|begründung)\s*:\s*"
    r"|(?:yes|no|ja|nein|correct|incorrect)\b[\s.,:;!-]+)*",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+")
_SENTENCE_END = re.compile(
    r"(?<=[.!?])[\"'”’»)\]]*\s+(?=[\"'“‘„«(\[]*[A-ZÀ-Þ0-9])|(?<=[。！？])(?![」』”）])"
)
_GLUED_END = re.compile(r"(?<=[a-zäöüß]{3}[.!?])(?=[A-ZÄÖÜ][a-zäöüß])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Za-z]|e\.g|i\.e|mr|mrs|ms|dr|st|vs|approx|fig|eq|etc|cf|nr|bzw|ca|z\.\s?b|u\.a|d\.h|usw))\.$",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(
    r";\s|；|,\s(?=(?:but|which|while|whereas|because|so|as|and it|instead|however)\b)"
    r"|\s(?=because\b)|，(?=但|因为|而)"
)
_SCALE = re.compile(
    r"\b(?:score|rating|grade|mark)s? (?:of|is|was|would be|should be|given)\b|\[\[|\[RESULT\]"
    r"|\b(?:score|rating|grade|mark)s?\b\W{0,3}\d|\b(?:scored?|rated?|graded?) (?:it |this )?\d"
    r"|\b(?:overall|final|maximum|lower|lowest|higher|highest|full|perfect) (?:score|rating|grade)"
    r"|\b\d+ out of (?:five|ten|5|10|100)\b|\bfull (?:marks?|credit|points)\b"
    r"|(?<![\w.])[-–]?\d*\.\d+ (?:points?|credits?|marks?)\b|\bdeduct\w*\b"
    r"|\b(?:deserves?|earns?|gets?|loses?) (?:\w+ )?\d+ points?\b"
    r"|\bPunkt(?:e|en|zahl|abzug)?\b|评分|打分|評価は|スコア",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"\b(?:the )?(?:other|another|both|two|either) (?:assistant|answer|response|reply|output|"
    r"summar(?:y|ie)|candidate)s?\b"
    r"|\b(?:Answer|Response|Assistant|Output|Candidate) ?#?(?:[12]|[AB])\b",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"\b(?:the )?(?:response|answer|assistant|argument|output|candidate|post|option|side|number"
    r"|a|r|arg)\s*#?\s*(?P<en>[12])\b(?!st|nd|\.\d)"
    r"|(?:アシスタント|回答|応答|答え)\s*(?P<ja>[12１２])",
    re.IGNORECASE,
)
_BY_PLACE = re.compile(
    r"\b(?:former|latter|(?:the )?(?:first|second|1st|2nd) (?:one|argument|response|answer|post|"
    r"assistant|option|person|writer|author)|(?:response|answer|assistant|argument|output) [AB])\b"
    r"|\b(?:response|answer|assistant|argument)s? ?\d"
    r"|前者|後者",
    re.IGNORECASE,
)
_VERDICT = re.compile(
    r"(?:the |this |overall,? (?:the )?)?(?:summary|response|answer|statement|reply|output|"
    r"solution|student|it)?(?:'s answer)? ?(?:is|are|was)? ?(?:not |in)?(?:factually |completely |"
    r"fully |entirely |totally |partially |partly )*(?:in|un)?"
    r"(?:correct|consistent|accurate|right|wrong|true|false|korrekt|richtig|falsch|yes|no)"
    r"(?:ly answered)?(?: with (?:the|what the) (?:document|text|article)(?: says)?)?\W*",
    re.IGNORECASE,
)
_FAULT = re.compile(
    r"\b(?:however|but|although|though|instead|incorrect\w*|wrong\w*|fail\w*|lack\w*|miss(?:es|ed|ing)"
    r"|not|cannot|\w+n[’']t|no|never|errors?|mistakes?|inaccura\w*|contradict\w*|unclear|vague|confus\w*"
    r"|irrelevant|only|could have|should have|should be|insufficient\w*|incomplete\w*|partial\w*"
    r"|unsupported|false|unrelated|rather than|without|apart from|except|otherwise|mis\w+"
    r"|nicht|falsch\w*|fehl\w*|jedoch|aber|leider|allerdings|kein\w*|nur|sollte\w*|noch|bitte|zudem)\b",
    re.IGNORECASE,
)
_BAD = re.compile(
    r"\b(?:incorrect(?:ly)?|wrong(?:ly)?|fail(?:s|ed)? to|is missing|lacks?|not correct|incomplete"
    r"|partially correct|partly correct|does ?n[o’']t (?:answer|explain|mention|address|state"
    r"|provide)|falsch|fehlt|nicht korrekt|teilweise)\b",
    re.IGNORECASE,
)
_GOOD = re.compile(
    r"\b(?:correct(?:ly)?|excellent|perfect(?:ly)?|fully|accurate(?:ly)?|all (?:the )?(?:\w+ )?"
    r"(?:requirements?|points)|great|outstanding|korrekt|richtig|vollständig)\b",
    re.IGNORECASE,
)
_CLOSED = re.compile(r"[.!?。！？…][\"'”’»)\]」』]*$")
_TORN = re.compile(
    r"(?:However|But|Also|Additionally|Furthermore|Moreover|Thus|Hence|Therefore|Jedoch|Allerdings"
    r"|Zudem)\b,?\s*"
)
_POINTS_BACK = re.compile(r"(?:This|These|That|Those|It|They|Such|He|She|Dies\w*|Es|Sie)\b")
_SUBORDINATE = re.compile(
    r"(?:According|Since|If|When|Because|Although|Though|While|Whereas|Given|As|In|On|For|By|After"
    r"|Before|Despite|Due|Wenn|Da|Weil|Solltest|Sofern|Falls|Ob\w*)\b"
)
_CLAUSE_WORDS = 6
_FEW_WORDS = 3
_REPEATS = frozenset(
    words(
        "a an and are as at be by do does for from has have he her his if in is it its means of on "
        "or she so that the their then there they this to was were who with"
    )
)


def cleaned(text: str, about: About) -> str:
    """Clean a reason: one line, in its original language, as short as a `nano` reason.

    Raises:
        Unclear: the reason mentions neither text of the pair, only states the verdict, repeats the
            text, contradicts the label, or has no sentence that fits.
    """
    # A line that continues in lower case was only wrapped.
    text = re.sub(r"(?<=:)\n|(?<![.!?])\n(?=[a-zäöüß])", " ", defuse(text))
    if about.of_pair:
        text = _renamed(text, about.swapped)
    usable = [_tidy(s, about.lang) for s in _sentences(_LEAD.sub("", text.strip()), about.lang)]
    usable = [s for s in usable if s and not s.endswith(":")]
    if not usable:
        raise Unclear("only a verdict")
    without_scale = [s for s in usable if not _SCALE.search(s)]
    if not without_scale:
        raise Unclear("speaks of a score only")
    if not about.of_pair:
        without_scale = [s for s in without_scale if not _OTHERS.search(s)]
        if not without_scale:
            raise Unclear("speaks of another answer")
    telling = [s for s in without_scale if not _VERDICT.fullmatch(s) and not _is_thin(s)]
    if not telling:
        raise Unclear("only a verdict")
    kept = _chosen(telling, about)
    _check(kept, about)
    return kept


def _is_thin(sentence: str) -> bool:
    return len(words(sentence)) < _FEW_WORDS


def _renamed(text: str, swapped: bool) -> str:
    """Replace each name of an output by its name in the prompt, in the order shown."""

    def name(match: re.Match[str]) -> str:
        number = int(match["en"] or match["ja"])
        called = "Output" if match[0][0].isupper() else "output"
        return f"{called} {3 - number if swapped else number}"

    return _NAMED.sub(name, text)


def _sentences(text: str, lang: str) -> list[str]:
    found: list[str] = []
    for line in text.split("\n"):
        pieces: list[str] = []
        start = 0
        for end in _SENTENCE_END.finditer(line):
            pieces.append(line[start : end.end()])
            start = end.end()
        pieces.append(line[start:])
        if lang == "de":
            pieces = [part for piece in pieces for part in _GLUED_END.split(piece)]
        whole: list[str] = []
        for piece in pieces:
            if whole and _ABBREVIATION.search(whole[-1].rstrip()):
                whole[-1] += piece
            else:
                whole.append(piece)
        found += whole
    return found


def _tidy(sentence: str, lang: str) -> str:
    """Strip bullet and leading punctuation; capitalize and end the sentence."""
    line = _BULLET.sub("", " ".join(sentence.split())).lstrip(":;,.-–—•* ").rstrip(" ,;-–—")
    if not line:
        return ""
    first = re.match(r"[a-zäöü][a-zäöüß'’]+(?=[\s,])|a(?= )", line)
    if first and lang in ("en", "de", "pt"):
        line = line[0].upper() + line[1:]
    if not _CLOSED.search(line) and not line.endswith(":"):
        line += "。" if lang in ("zh", "ja") else "."
    return line


def _fits(text: str, words: int) -> bool:
    parts = text.split(" ")
    return (
        len(text) <= 8 * words
        and len(parts) <= words
        and all(len(part) <= LONGEST_UNSPACED for part in parts)
    )


def _chosen(sentences: list[str], about: About) -> str:
    """Choose as many whole sentences as fit; below the top label, a fault comes first."""
    joiner = "" if about.lang in ("zh", "ja") else " "
    if _fits(whole := joiner.join(sentences), about.words):
        return whole
    pieces = [_shortened(sentence, about) for sentence in sentences]
    order = [n for n, piece in enumerate(pieces) if piece]
    if not order:
        raise Unclear("no sentence that is short enough")
    if about.level is not None and about.level < 1:
        order.sort(key=lambda n: _rank(pieces[n] or "", is_first=n == 0))
    kept: list[int] = []
    for n in order:
        trial = sorted([*kept, n])
        if not _fits(joiner.join(pieces[k] or "" for k in trial), about.words):
            break
        kept = trial
    text = joiner.join(pieces[n] or "" for n in kept)
    # Without the sentence before it, a connective refers to nothing.
    return _tidy(_TORN.sub("", text, count=1) if _TORN.match(text) else text, about.lang)


def _rank(sentence: str, *, is_first: bool) -> int:
    """Rank how well a sentence explains a label below the top; lower is better."""
    if not _FAULT.search(sentence):
        return 2
    return 1 if _POINTS_BACK.match(sentence) and not is_first else 0


def _shortened(sentence: str, about: About) -> str | None:
    """Shorten a sentence to the clauses that fit; None if the first is too long."""
    if _fits(sentence, about.words):
        return sentence
    for end in reversed([match.start() for match in _CLAUSE_END.finditer(sentence)]):
        clause = _tidy(sentence[:end], about.lang)
        if _fits(clause, about.words) and _stands_alone(clause):
            return clause
    return None


def _stands_alone(clause: str) -> bool:
    return (
        len(words(clause)) >= _CLAUSE_WORDS
        and not _SUBORDINATE.match(clause)
        and clause.count('"') % 2 == 0
    )


def _check(kept: str, about: About) -> None:
    if about.of_pair:
        if _BY_PLACE.search(kept):
            raise Unclear("names an output by its place")
        if not re.search(r"\boutput [12]", kept, re.IGNORECASE):
            raise Unclear("does not say which output it speaks of")
        return
    assert about.level is not None
    if about.level == 1 and _BAD.search(kept) and not _GOOD.search(kept):
        raise Unclear("contradicts the label")
    if about.level < 1 and _GOOD.search(kept) and not _FAULT.search(kept):
        raise Unclear("contradicts the label")
    said = set(words(kept)) - _REPEATS
    if any(said <= set(words(text)) for text in about.texts):
        raise Unclear("only repeats the text")


def quoted(text: str) -> list[str]:
    """Return the quoted passages of the text, in order."""
    found = re.finditer(
        r"“([^”\n]{2,300})”|\"([^\"\n]{2,300})\"|「([^」\n]{2,300})」|『([^』\n]{2,300})』"
        r"|«([^»\n]{2,300})»|‘([^’\n]{2,300})’|(?<!\w)'([^'\n]{2,300})'(?!\w)",
        text,
    )
    return [next(group for group in match.groups() if group).strip(" .,;") for match in found]
