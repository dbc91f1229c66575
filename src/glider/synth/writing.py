"""How the texts of a record come about: all in one call, or in small steps.

Generators of questions and answers, without I/O; the chain makes and journals the calls.
"""

from collections.abc import Callable, Generator
from typing import Any

from glider.core.errors import MissingPart
from glider.core.tasks import COMPARED
from glider.formats.base import Prompt
from glider.synth.draw import Draw, Role
from glider.synth.plan import Plan
from glider.synth.steps import ask_material, named, read_material
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

Ask = Callable[[str, Prompt], Generator[Any, Any, str]]
"""Asks the teacher in a named step and returns its answer."""
Material = Generator[Any, Any, dict[str, str]]


def write_material(draw: Draw, plan: Plan, ask: Ask) -> Material:
    """Return the texts of a record by field name, in display order.

    Raises:
        ReadError: an answer is not what was asked for.
    """
    if plan.writing == "together":
        text = yield from ask("material", ask_material(draw))
        return read_material(text, draw)
    return (yield from _stepwise(draw, ask))


def _stepwise(draw: Draw, ask: Ask) -> Material:
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
        text = read_text((yield from ask(role, prompt)))
        if role == draw.judged:
            judged = yield from _to_level(draw, text, dict(written), ask)
            text = next(iter(judged.values()))
        written[role] = text
    return named(draw, {**{draw.tags[role]: text for role, text in written.items()}, **judged})


def _to_level(draw: Draw, base: str, beside: dict[Role, str], ask: Ask) -> Material:
    """Return the judged texts by name: the text rewritten to the drawn level or levels."""
    if draw.kind == "pair":
        assert draw.level is not None
        assert draw.second is not None
        judged = {}
        for place, level in ((draw.target, draw.level), (1 - draw.target, draw.second)):
            prompt = ask_level(draw, base, [(draw.criterion, level)], beside)
            judged[COMPARED[place]] = read_text((yield from ask(f"level-{place}", prompt)))
        return {name: judged[name] for name in COMPARED}
    (name,) = draw.judged_names
    kept = draw.original is not None and draw.original.score == draw.target
    if draw.kind == "crafted" or kept:
        return {name: base}
    aspects = [(aspect.criterion, aspect.target) for aspect in draw.scored]
    text = read_text((yield from ask("level", ask_level(draw, base, aspects, beside))))
    if is_low(aspects) and words(text) == words(base):
        raise MissingPart("a change", raw_text=text)
    return {name: text}
