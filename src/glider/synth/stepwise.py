"""Writing in small steps, for teachers that cannot write a whole record at once.

A small model that is told the criterion writes about the criterion. So it is not told: it invents
facts, writes each text from them as somebody in that situation would, and only then rewrites the
judged text so that the drawn level is true of it. Each step is a short plain prompt with one worked
example before it, and its answer is the text alone, without tags.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from glider.core.criteria import Criterion
from glider.core.errors import MissingPart
from glider.core.generation import Grammar, Message
from glider.core.samples import Sample
from glider.formats.base import Prompt
from glider.formats.grammar import literal, quote_rules
from glider.synth.draw import BRACED, FAULTS, Draw
from glider.synth.plan import Role
from glider.synth.steps import QUOTES, REASON_CHARS, most_characters
from glider.synth.taxonomy import read_yaml
from glider.synth.worked import WorkedExample, worked_examples
from glider.text.defuse import defuse
from glider.text.words import words

_SYSTEM = "You write short, lifelike texts. You answer with the text alone and add nothing."
_FACTS = ("Who", "Where", "What", "Detail", "Wanted")
_KEYS: Mapping[Role, str] = {
    "input": "message", "context": "material", "reference": "reference", "output": "answer",
}  # fmt: skip
_LABELS: Mapping[Role, str] = {
    "input": "Message", "context": "Material", "reference": "Best answer", "output": "Answer",
}  # fmt: skip
ORDER: tuple[Role, ...] = ("context", "input", "reference", "output")
"""The order in which texts are written: each may rest on those before it."""
_OTHER_WORDS = 60
"""Requested length of texts that are not judged."""
_CHATTER = re.compile(
    r"\A\W*(?:sure|certainly|of course|okay|here(?:'s| is| are)\b)[^\n]{0,120}"
    r"(?:[:!.]\s*\n+|:\s*\Z)",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"\A\W*(?:text|answer|message|material|best answer|rewritten text)\s*:\s*", re.I
)


def _example(draw: Draw) -> WorkedExample:
    examples = worked_examples()
    return examples[draw.number % len(examples)]


def _prompt(
    turns: Sequence[str],
    *,
    least: int,
    most: int,
    grammar: str = "",
    opening: str = "",
    code: bool = False,
) -> Prompt:
    """Return a prompt of alternating turns, the last one the question."""
    # Small models like to leave blanks, "[Your name]", and to set headings: prose has neither.
    body = "[^<]" if code else r"[^<>\[\]*#]"
    roles = ("user", "assistant")
    chat = [Message(roles[n % 2], turn) for n, turn in enumerate(turns)]  # type: ignore[arg-type]
    return Prompt(
        messages=(Message("system", _SYSTEM), *chat),
        opening=opening,
        grammar=Grammar(lark=grammar or f"start: TEXT\nTEXT: /{body}{{{least},{most}}}/\n"),
        max_tokens=round(most / 3) + 40,
    )


# The facts


def ask_facts(draw: Draw) -> Prompt:
    """Ask for the facts of one situation; neither the criterion nor a score is told."""

    def asked(subject: str) -> str:
        return (
            f"Subject: {subject}. Invent one situation from real life about it, with names, places "
            f"and numbers. Give it in five lines: {', '.join(_FACTS)}."
        )

    example = _example(draw)
    lines = " ".join(f'{literal(f"{name}: ")} LINE "\\n"' for name in _FACTS[:-1])
    grammar = f"start: {lines} {literal(f'{_FACTS[-1]}: ')} LINE\nLINE: /[^\\n<]{{8,160}}/\n"
    turns = [asked(example.subject), example.facts, asked(draw.domain)]
    return _prompt(turns, least=60, most=900, grammar=grammar)


def read_facts(text: str) -> str:
    """Parse the facts, one a line.

    Raises:
        MissingPart: fewer than three of them are there.
    """
    found = [
        line.strip()
        for line in text.splitlines()
        if line.strip().startswith(tuple(f"{name}:" for name in _FACTS))
    ]
    if len(found) < 3:
        raise MissingPart("facts", raw_text=text)
    return "\n".join(found)


# The texts


def ask_text(draw: Draw, role: Role, facts: str, written: Mapping[Role, str]) -> Prompt:
    """Ask for one text of the situation.

    Args:
        facts: what `read_facts` returned.
        written: the texts that are there already, which are shown.
    """
    alone = role in ("output", "reference") and "input" not in draw.tags
    n = draw.words if role == draw.judged else _OTHER_WORDS
    parts = [f"Facts:\n{facts}"]
    parts += [f"{_LABELS[r]}:\n{defuse(t)}" for r, t in written.items() if r != "reference"]
    in_language = "" if draw.language == "English" else f" Write in {draw.language}."
    parts.append(f"{_what(draw, role, alone)} About {n} words.{in_language}")
    least, most = _bounds(n if role == draw.judged else 0, draw)
    return _prompt(["\n\n".join(parts)], least=least, most=most, code=draw.code)


def _what(draw: Draw, role: Role, alone: bool) -> str:
    """Return what is to be written.

    Args:
        alone: there is no message to answer.
    """
    # The judged text is of the kind that the criterion is about, whatever its role.
    key = "answer" if role == draw.judged else _KEYS[role]
    own = _texts_of_group(draw.criterion_group).get(key)
    if own is not None and ("the material" not in own or "context" in draw.tags):
        what = f"Write {own}."
    elif role == "input":
        what = "Write the message that this person sends to an assistant."
    elif role == "context":
        what = "Write a page that exists in this situation: a letter, rules, a report or notes."
    elif role == "reference":
        what = "Write the best answer: short, right and complete."
    elif alone:
        what = "Write a text from this situation: a note, a report, an article or a letter."
    else:
        what = "Write the assistant's answer to the message."
    if draw.code and role == draw.judged:
        what += " It is source code, with comments."
    if draw.aspects and role == draw.judged:
        what = f"Write this text. {draw.brief}"
    elif draw.brief:
        what += f" Mind this: {_named(draw.brief, draw)}"
    if draw.demands and role == "input":
        what += f" It asks for {' and '.join(draw.demands)}."
    return what


@cache
def _texts_of_group(group: str) -> Mapping[str, str]:
    """Return what the texts under a group of criteria are, where they are of a special kind."""
    texts: Mapping[str, str] = read_yaml("criteria.yaml").get(group, {}).get("texts", {})
    return texts


def _named(brief: str, draw: Draw) -> str:
    """Replace tags by the names that the steps use."""
    for role, tag in draw.tags.items():
        brief = brief.replace(tag, _LABELS[role].lower())
    return brief


def ask_adapted(draw: Draw, role: Role, written: Mapping[Role, str]) -> Prompt:
    """Ask for a real text about another subject, with what is good and bad about it kept."""
    assert draw.original is not None
    text = draw.original.texts[role]
    parts = [f"{_LABELS[r]}, already written:\n{defuse(t)}" for r, t in written.items()]
    parts.append(f"{_LABELS[role]}:\n{defuse(text)}")
    parts.append(
        f"Write this {_LABELS[role].lower()} anew about another subject: {draw.domain}. Other "
        "names, places and numbers; the same length, tone, order, mistakes and gaps."
    )
    least, most = _bounds(len(words(text)), draw)
    return _prompt(["\n\n".join(parts)], least=least, most=max(most, 2 * len(text)), code=True)


def ask_level(
    draw: Draw, text: str, aspects: Sequence[tuple[Criterion, int]], written: Mapping[Role, str]
) -> Prompt:
    """Ask for a text to be rewritten so that it deserves a score under each criterion.

    Args:
        written: the other texts of the record; those that the criteria name are shown.
    """
    example = _example(draw)
    # The worked example becomes worse or better, as this text should.
    model = example.lower if is_low(aspects) else example.higher

    def asked(base: str, said: Sequence[tuple[str, str]], beside: Mapping[Role, str]) -> str:
        parts = [f"{_LABELS[r]}:\n{defuse(t)}" for r, t in beside.items()]
        parts.append(f"Text:\n{defuse(base)}")
        parts.append("\n".join(f"Question: {question} Answer: {level}" for question, level in said))
        parts.append(
            "Rewrite the text so that this answer is right. Keep what it is about and how long it "
            "is. Show it; the text does not speak of itself."
        )
        return "\n\n".join(parts)

    said = [(_question(c), c.rubric.levels[score]) for c, score in aspects]
    # Only what the criteria name is shown: the less there is, the better a small model copes.
    named = {role for c, _ in aspects for role in BRACED.findall(c.question)}
    turns = [
        asked(example.text, [(model["question"], model["level"])], {}),
        model["text"],
        asked(text, said, {role: t for role, t in written.items() if role in named}),
    ]
    if draw.code:
        turns = turns[2:]
    least, most = _bounds(draw.words, draw)
    return _prompt(turns, least=least, most=most, code=draw.code)


def is_low(aspects: Sequence[tuple[Criterion, int]]) -> bool:
    """Whether the scores lie in the lower half of their scales, on average."""
    return sum(2 * c.rubric.normalize(score) for c, score in aspects) < len(aspects)


def _question(criterion: Criterion) -> str:
    """Return the question with the names that the steps use."""
    question = criterion.question.replace("{output}", "text")
    return BRACED.sub(lambda found: _LABELS[found[1]].lower(), question).strip()  # type: ignore[index]


def _bounds(n: int, draw: Draw) -> tuple[int, int]:
    """Return the least and most characters of a text of n words."""
    return max(40, round(2.5 * n)), most_characters(draw)


def read_text(text: str) -> str:
    """Parse a text: what a model says before it is no part of it.

    Raises:
        MissingPart: nothing is left.
    """
    found = _LABEL.sub("", _CHATTER.sub("", text.strip())).strip()
    if len(found) > 1 and found[0] in '"“' and found[-1] in '"”':
        found = found[1:-1].strip()
    if not found:
        raise MissingPart("text", raw_text=text)
    return found


# The judgment


def ask_reason(
    draw: Draw, sample: Sample, criterion: Criterion, score: int, *, wrong: bool
) -> Prompt:
    """Ask for quotes and a reason for what a level says of the judged text.

    Args:
        wrong: the level is not that of the text; the reason argues for it nevertheless.
    """
    example = _example(draw)
    rubric = criterion.rubric
    model = example.lower if is_low([(criterion, score)]) else example.higher
    judged = " or ".join(field.name for field in sample.judged)
    labels = {field.name: field.name for field in sample.fields}

    def asked(texts: Mapping[str, str], name: str, question: str, said: str, more: str = "") -> str:
        shown = "\n".join(f"<{n}>\n{defuse(t, labels)}\n</{n}>" for n, t in texts.items())
        return (
            f"{shown}\n\nQuestion: {question} Answer: {said}\n{more}Show it. First up to three "
            f"quotes, copied letter for letter from {name}; then the reason in two sentences, "
            "which names what stands in the text."
        )

    more = ""
    if wrong:
        more = f"This is mistaken: it {FAULTS[draw.fault]}. Argue for it as if you believed it. "
    answer = "\n".join(f"- {quote}" for quote in model["quotes"])
    rules, any_text = quote_rules([field.text for field in sample.judged])
    quotes = f'("- " quote "\\n"){{1,{QUOTES}}}' if any_text else '"none\\n"'
    lark = f'start: {quotes} "Reason: " REASON\nREASON: /[^\\n]{{20,{REASON_CHARS}}}/\n{rules}\n'
    turns = [
        asked({"TEXT": model["text"]}, "TEXT", model["question"], model["level"]),
        f"Quotes:\n{answer}\nReason: {model['reason']}",
        asked(
            {f.name: f.text for f in sample.fields},
            judged,
            criterion.question_for(sample, labels),
            rubric.levels[score],
            more,
        ),
    ]
    return _prompt(turns, least=20, most=1800, grammar=lark, opening="Quotes:\n")
