"""How the texts of a record come about: all in one call, or in small steps.

Generators of questions and answers, without I/O; the chain makes and journals the calls.
"""

import re
from collections.abc import Generator
from typing import Any, Protocol

from glider.core.tasks import COMPARED
from glider.formats.base import Prompt
from glider.synth.checks import RecordLost, Rejected, check_new
from glider.synth.draw import Draw
from glider.synth.plan import Plan, Role
from glider.synth.steps import (
    ask_material,
    is_cut_off,
    named,
    read_material,
    read_texts,
    tags_of,
)
from glider.synth.stepwise import (
    ORDER,
    ask_adapted,
    ask_facts,
    ask_level,
    ask_text,
    is_low,
    read_facts,
    read_text,
)
from glider.text.words import words

_SENTENCE_END = re.compile(r"[.!?。！？…][\"'”’»)]*(?=\s|$)")
Material = Generator[Any, Any, dict[str, str]]


class Ask(Protocol):
    """Asks the writer of a record in a named step and returns its answer."""

    def __call__(
        self, step: str, prompt: Prompt, *, second: bool = False
    ) -> Generator[Any, Any, str]:
        """Ask.

        Args:
            second: ask the writer of the second output of a pair, if that is another model.
        """


def write_material(draw: Draw, plan: Plan, ask: Ask, *, two_writers: bool = False) -> Material:
    """Return the texts of a record by field name, in display order.

    Args:
        two_writers: the two outputs of a pair are written by different models.

    Raises:
        ReadError: an answer is not what was asked for.
        RecordLost: a text is a copy of another.
    """
    if draw.kind == "edited":
        assert draw.original is not None
        return named(draw, {draw.tags[role]: text for role, text in draw.original.texts.items()})
    if plan.writing == "stepwise":
        return (yield from _stepwise(draw, plan, ask))
    if two_writers:
        return (yield from _by_two(draw, ask))
    text = yield from ask("material", ask_material(draw))
    return read_material(text, draw)


def _by_two(draw: Draw, ask: Ask) -> Material:
    """Return a pair: one model writes all but the second output, which it is not shown."""
    first, second = COMPARED
    tags = [tag for tag in tags_of(draw) if tag != second]
    text = yield from ask("material", ask_material(draw, only=[first]))
    found = read_texts(text, draw, tags)
    beside = {tag: text for tag, text in found.items() if tag != first}
    prompt = ask_material(draw, only=[second], beside=beside)
    other = yield from ask("second", prompt, second=True)
    return named(draw, {**found, **read_texts(other, draw, [second])})


def _stepwise(draw: Draw, plan: Plan, ask: Ask) -> Material:
    facts = ""
    if draw.original is None:
        facts = read_facts((yield from ask("facts", ask_facts(draw))))
    written: dict[Role, str] = {}
    if draw.passage is not None:
        written["context"] = draw.passage
    judged: dict[str, str] = {}
    for role in ORDER:
        if role not in draw.tags or role in written:
            continue
        if draw.original is None:
            prompt = ask_text(draw, role, facts, written)
        else:
            prompt = ask_adapted(draw, role, written)
        text = _whole(read_text((yield from ask(role, prompt))), draw)
        # A small teacher that copies a text copies it in every step that is left.
        if same := check_new(text, written.values(), plan.duplicates):
            raise RecordLost(same)
        if role == draw.judged:
            judged = yield from _to_level(draw, text, dict(written), ask)
            text = next(iter(judged.values()))
        written[role] = text
    return named(draw, {**{draw.tags[role]: text for role, text in written.items()}, **judged})


def _whole(text: str, draw: Draw) -> str:
    """Return prose that was cut off without the sentence it broke off in."""
    if draw.code or not is_cut_off(text, draw):
        return text
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else text


def _to_level(draw: Draw, base: str, beside: dict[Role, str], ask: Ask) -> Material:
    """Return the judged texts by name: the text rewritten to the drawn level or levels."""
    if draw.kind == "pair":
        assert draw.level is not None
        assert draw.second is not None
        judged = {}
        for place, level in ((draw.target, draw.level), (1 - draw.target, draw.second)):
            prompt = ask_level(draw, base, [(draw.criterion, level)], beside)
            text = yield from ask(f"level-{place}", prompt, second=place == 1)
            judged[COMPARED[place]] = _whole(read_text(text), draw)
        return {name: judged[name] for name in COMPARED}
    (name,) = draw.judged_names
    kept = draw.original is not None and draw.original.score == draw.target
    if draw.kind == "crafted" or kept:
        return {name: base}
    aspects = [(aspect.criterion, aspect.target) for aspect in draw.scored]
    answer = yield from ask("level", ask_level(draw, base, aspects, beside))
    text = _whole(read_text(answer), draw)
    if is_low(aspects) and words(text) == words(base):
        raise RecordLost(Rejected("written", "the rewriting changes nothing", text[:120]))
    return {name: text}
