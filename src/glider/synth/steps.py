"""The calls that make up a record: each has a prompt, the shape of its answer, and a parser.

All of it is pure and engine-independent. Where the engine supports grammars, it cannot produce an
answer that breaks the format; elsewhere the parser is just as strict. A teacher's
text is data: instructions in it are never followed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glider.core.criteria import Criterion
from glider.core.errors import MissingPart
from glider.core.generation import Grammar, Message
from glider.core.judgments import Highlight
from glider.core.samples import Field, Sample
from glider.core.tasks import COMPARED
from glider.formats.base import Prompt
from glider.formats.grammar import literal, quote_rules
from glider.synth.draw import FAULTS, Draw
from glider.synth.plan import Role
from glider.synth.taxonomy import scenarios
from glider.text.defuse import defuse
from glider.text.spans import place

_SYSTEM = (
    "You write examples that train judges of text. "
    "You answer in the format asked for and add nothing."
)
_MEANINGS: Mapping[Role, str] = {
    "input": "what somebody asked or told an assistant",
    "output": "what the assistant answered",
    "context": "material that the answer can rest on",
    "reference": "a reference answer that is right and complete",
}
_NEWLINE = "\n"
REASON_CHARS = 600
QUOTES = 3
_TOKENS_A_WORD = 2.2
"""Token budget per word; tags and other fields are counted separately."""


@dataclass(frozen=True, slots=True)
class Written:
    """A written judgment: reason and quotes, located in the judged text."""

    reasoning: str
    highlights: tuple[Highlight, ...]


# The material


def tags_of(draw: Draw) -> dict[str, str]:
    """Return the teacher's tag for each field name, in the order of the record."""
    described: dict[str, str] = {}
    if draw.aspects:
        return {draw.tags[draw.judged]: draw.brief}
    for role, tag in draw.tags.items():
        if role == draw.judged and draw.kind == "pair":
            described |= dict(
                zip(COMPARED, (_MEANINGS[role], "another answer to the same"), strict=True)
            )
        elif role != "context" or draw.passage is None:
            described[tag] = _MEANINGS[role]
    return described


def most_characters(draw: Draw) -> int:
    """The longest text the grammar allows; a text this long was cut off."""
    return max(400, 12 * draw.words)


def is_cut_off(text: str, draw: Draw) -> bool:
    """Whether a text is as long as the grammar allows, so that it was cut off."""
    return len(text) >= most_characters(draw) - 2


def ask_material(
    draw: Draw, only: Sequence[str] = (), beside: Mapping[str, str] | None = None
) -> Prompt:
    """Ask for texts that deserve the drawn score.

    Args:
        only: of a pair, the output to ask for; both by default.
        beside: texts that are written already; they are shown, and not asked for.
    """
    names, beside = tuple(only) or draw.judged_names, beside or {}
    tags = {
        tag: meaning
        for tag, meaning in tags_of(draw).items()
        if tag in names or (tag not in draw.judged_names and tag not in beside)
    }
    judged = " and ".join(names)
    others = "" if beside else " Other texts: up to 80 words."
    lines = [
        f"Subject: {draw.domain}." + (" The judged text is source code." if draw.code else ""),
        f"Language: {draw.language}.",
        "Write these texts:",
        *(f"- {tag}: {meaning}" for tag, meaning in tags.items()),
        f"Length of each {judged}: about {draw.words} words.{others}",
        "",
    ]
    if beside:
        shown = (f"<{tag}>\n{defuse(text, tags)}\n</{tag}>" for tag, text in beside.items())
        lines += ["They belong to these:", *shown, ""]
    elif draw.passage is not None:
        tag = draw.tags["context"]
        lines += [f"They belong to this {tag}:", defuse(draw.passage, tags), ""]
    lines += _original(draw, tags)
    lines += [] if beside else _instruction(draw)
    lines += _wanted(draw, names)
    lines += [
        "Make the texts like real ones, with names, numbers and details. They do not speak of "
        "judges, scores or this task, and repeat nothing of the question. Write every text in "
        "full.",
        "Answer with the texts between their tags:",
        *(f"<{tag}>\n...\n</{tag}>" for tag in tags),
    ]
    bound = most_characters(draw)

    def least(tag: str) -> int:
        """Minimum characters: two fifths of the requested length, at six characters per word."""
        return max(20, round(2.5 * draw.words)) if tag in names else 20

    # A text and its closing tag are one terminal: with two, the first would take the "<".
    body = r"([^<]|<[^\/A-Z])" if draw.code else "[^<]"
    start, texts = [], []
    for n, tag in enumerate(tags):
        start.append(f"{literal(f'<{tag}>{_NEWLINE}')} TEXT{n}")
        end = literal(f"{_NEWLINE}</{tag}>{_NEWLINE}")
        texts.append(f"TEXT{n}: /{body}{{{least(tag)},{bound}}}/ {end}")
    return Prompt(
        messages=(Message("system", _SYSTEM), Message("user", "\n".join(lines))),
        grammar=Grammar(lark=_NEWLINE.join([f"start: {' '.join(start)}", *texts, ""])),
        max_tokens=round(_TOKENS_A_WORD * (draw.words * len(names) + 100 * len(tags)) + 60),
    )


def _wanted(draw: Draw, names: Sequence[str]) -> list[str]:
    """State what will be asked of the judged texts, and the score each should deserve."""
    judged = " and ".join(names)
    if draw.aspects:
        lines = ["It will be judged in several respects:"]
        for aspect in draw.aspects:
            said = aspect.criterion.rubric.levels[aspect.target]
            lines.append(
                f"Write {judged} so that it deserves exactly {aspect.target}: {said} "
                f"({aspect.criterion.heading})"
            )
        return lines
    levels = draw.criterion.rubric.levels
    lines = [
        f"A judge will ask: {question_of(draw, names=names)}",
        *(f"{score} = {text}" for score, text in levels.items()),
        "",
    ]
    if draw.kind == "pair":
        assert draw.level is not None
        assert draw.second is not None
        better, worse = COMPARED[draw.target], COMPARED[1 - draw.target]
        return lines + [
            f"Write {name} so that it deserves {level}: {levels[level]}"
            for name, level in ((better, draw.level), (worse, draw.second))
            if name in names
        ]
    if draw.brief:
        lines.append(f"The case: {draw.brief}")
    return [
        *lines,
        f"Write {judged} so that it deserves exactly {draw.target}: {levels[draw.target]}",
    ]


def _original(draw: Draw, tags: Mapping[str, str]) -> list[str]:
    """Show the real texts that an adapted record starts from."""
    if draw.original is None:
        return []
    levels = draw.criterion.rubric.levels
    given = draw.original.score
    change = (
        "Keep what is good and bad about it, for the same reasons."
        if given == draw.target
        else "Change as little about it as the new score needs."
    )
    return [
        "Here are real texts about another subject:",
        *(
            f"{draw.tags[role]}, real:\n{defuse(text, tags)}"
            for role, text in draw.original.texts.items()
        ),
        f"People gave {draw.tags[draw.judged]} the score {given}: {levels[given]}",
        f"Write them anew about the subject above, with other names, places and numbers. {change}",
        "",
    ]


def _instruction(draw: Draw) -> list[str]:
    """State what the input should ask, if the record has a scenario."""
    if draw.scenario is None:
        return []
    scenario, tag = scenarios()[draw.scenario], draw.tags["input"]
    lines = [f"Situation: {scenario.title}. {scenario.description}"]
    if draw.quiz is not None:
        quiz = draw.quiz
        lines.append(
            f"The {tag} is set by a test writer for {quiz.audience}; it is {quiz.difficulty}. "
            f"Task: {quiz.task}."
        )
    return [*lines, f"The {tag} asks for {' and '.join(draw.demands)}.", ""]


def read_material(text: str, draw: Draw) -> dict[str, str]:
    """Parse the texts by field name, in the order of the record.

    Raises:
        MissingPart: a text is missing or occurs twice.
    """
    return named(draw, read_texts(text, draw, [*tags_of(draw)]))


def read_texts(text: str, draw: Draw, tags: Sequence[str]) -> dict[str, str]:
    """Parse the texts between these tags; the record's passage is added.

    Raises:
        MissingPart: a text is missing or occurs twice.
    """
    found: dict[str, str] = {}
    for tag in tags:
        parts = re.findall(rf"<{re.escape(tag)}>(.*?)</{re.escape(tag)}>", text, re.DOTALL)
        if len(parts) != 1 or not parts[0].strip():
            raise MissingPart(tag, raw_text=text)
        found[tag] = parts[0].strip()
    if draw.passage is not None:
        found[draw.tags["context"]] = draw.passage
    return found


def named(draw: Draw, found: Mapping[str, str]) -> dict[str, str]:
    """Return the texts by field name, in the order of the record."""
    order = [
        name
        for role, tag in draw.tags.items()
        for name in (draw.judged_names if role == draw.judged else (tag,))
    ]
    return {name: found[name] for name in order}


def sample_of(draw: Draw, material: Mapping[str, str], *, id: str) -> Sample:
    """Return the material as a judge reads it."""
    of: dict[str, Role] = {tag: role for role, tag in draw.tags.items()}
    fields = []
    for name, text in material.items():
        drawn = of.get(name, draw.judged)
        if drawn == draw.judged:
            fields.append(Field(name=name, text=text, role="judged"))
        else:
            fields.append(Field(name=name, text=text, role="other" if drawn == "output" else drawn))
    return Sample(id=id, fields=tuple(fields))


def question_of(draw: Draw, criterion: Criterion | None = None, names: Sequence[str] = ()) -> str:
    """Return a criterion's question with this record's field names.

    Args:
        criterion: the record's by default.
        names: the judged fields that it asks about; all by default.
    """
    judged = " and ".join(names or draw.judged_names)
    called: dict[str, str] = {**dict(draw.tags.items()), "output": judged}
    return re.sub(
        r"\{(input|context|reference|output)\}",
        lambda found: called[found[1]],
        (criterion or draw.criterion).question,
    ).strip()


# The judgments


def ask_judgment(draw: Draw, sample: Sample, criterion: Criterion, score: int) -> Prompt:
    """Ask for quotes and a reason that lead to a score."""
    last = (
        f"A careful judge gave {score}: {criterion.rubric.levels[score]}\n"
        "Write what decided it. First up to three quotes, copied letter for letter from "
        f"{_judged(sample)}; then the reason in two or three sentences. The reason names what "
        "stands in the text and how it leads to this score, and gives no number."
    )
    return _ask_written(sample, criterion, last)


def ask_wrong(draw: Draw, sample: Sample, criterion: Criterion, score: int) -> Prompt:
    """Ask for the quotes and reason of a judge who makes the drawn mistake."""
    last = (
        f"A bad judge gave {score}: {criterion.rubric.levels[score]}\n"
        f"This judge {FAULTS[draw.fault]}. Write what this judge wrote, as if it were meant "
        f"seriously: first up to three quotes, copied letter for letter from {_judged(sample)}; "
        "then the mistaken reason in two or three sentences. It gives no number."
    )
    return _ask_written(sample, criterion, last)


def _ask_written(sample: Sample, criterion: Criterion, last: str) -> Prompt:
    if len(sample.judged) == 2:
        last += f" It calls the outputs {' and '.join(f.name for f in sample.judged)}."
    rules, any_text = quote_rules([field.text for field in sample.judged])
    quotes = f'("- " quote "\\n"){{1,{QUOTES}}}' if any_text else '"none\\n"'
    start = f'start: {quotes} "Reason: " REASON'
    reason = f"REASON: /[^\\n]{{20,{REASON_CHARS}}}/"
    labels = {field.name: field.name for field in sample.fields}
    lines = [
        *(f"<{f.name}>\n{defuse(f.text, labels)}\n</{f.name}>" for f in sample.fields),
        "",
        f"The question: {criterion.question_for(sample, labels)}",
        *(f"{score} = {text}" for score, text in criterion.rubric.levels.items()),
        "",
        last,
    ]
    return Prompt(
        messages=(Message("system", _SYSTEM), Message("user", "\n".join(lines))),
        opening="Quotes:\n",
        grammar=Grammar(lark="\n".join(filter(None, [start, reason, rules])) + "\n"),
        max_tokens=700,
    )


def read_written(text: str, sample: Sample) -> Written:
    """Parse quotes and reason, and locate each quote in the judged text.

    Raises:
        MissingPart: there is no quote or no reason.
    """
    head, found, reason = text.partition("Reason:")
    phrases = [line[2:].strip() for line in head.splitlines() if line.startswith("- ")]
    if not found or not reason.strip():
        raise MissingPart("reasoning", raw_text=text)
    if not phrases:
        raise MissingPart("highlights", raw_text=text)
    judged = [(field.name, field.text) for field in sample.judged]
    marks = tuple(place(phrase, judged) for phrase in dict.fromkeys(phrases) if phrase)
    return Written(" ".join(reason.split()), marks)


# The minimal pair


def ask_edit(draw: Draw, sample: Sample, criterion: Criterion, span: tuple[int, int]) -> Prompt:
    """Ask for a replacement of one span, so that the text deserves the second score."""
    assert draw.second is not None
    (field,) = sample.judged
    before, old, after = field.text[: span[0]], field.text[span[0] : span[1]], field.text[span[1] :]
    labels = {f.name: f.name for f in sample.fields}
    beside = [f"<{f.name}>\n{defuse(f.text, labels)}\n</{f.name}>" for f in sample.told]
    levels = criterion.rubric.levels
    lines = [
        *beside,
        f"<{field.name}>",
        f"{defuse(before, labels)}[[{defuse(old, labels)}]]{defuse(after, labels)}",
        f"</{field.name}>",
        "",
        f"The question: {criterion.question_for(sample, labels)}",
        *(f"{score} = {text}" for score, text in levels.items()),
        "",
        f"As it stands the text deserves {draw.target}. Write other words for the part in [[ ]], "
        f"about as long, so that the whole text deserves {draw.second}: {levels[draw.second]}",
        "Answer with the new words alone.",
    ]
    most = max(60, 3 * len(old))
    return Prompt(
        messages=(Message("system", _SYSTEM), Message("user", "\n".join(lines))),
        opening="New words: ",
        grammar=Grammar(lark=f"start: WORDS\nWORDS: /[^\\n\\[\\]]{{3,{most}}}/\n"),
        max_tokens=max(60, 2 * len(old)),
    )


def read_edit(text: str) -> str:
    """Parse the replacement.

    Raises:
        MissingPart: it is empty.
    """
    words = text.removeprefix("New words:").strip().strip("[]").strip()
    if not words:
        raise MissingPart("new words", raw_text=text)
    return words


def _judged(sample: Sample) -> str:
    return " or ".join(field.name for field in sample.judged)


def longest_highlight(highlights: Sequence[Highlight]) -> tuple[int, int] | None:
    """Return the position of the longest quote that occurs exactly once in the text."""
    places = [(m.spans[0].start, m.spans[0].end) for m in highlights if len(m.spans) == 1]
    return max(places, key=lambda span: span[1] - span[0], default=None)
