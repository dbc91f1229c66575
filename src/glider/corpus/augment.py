"""Augment items: reword the question, rename the fields, change the scale.

A judge that must follow any rubric should not memorise its training rubrics. No change alters the
judged text or makes its label wrong: wordings are hand-written (`wordings.yaml`, plus frames that
fit every question), field names are drawn from fifteen per role, and a scale is mapped to fewer or
more levels, whose descriptions are built from the old ones. All randomness comes from the generator
passed in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

import yaml
from pydantic import Field

from glider.core.base import Frozen
from glider.core.criteria import Criterion, Rubric, listed_top_down
from glider.core.samples import Field as Text
from glider.core.samples import Role, Sample
from glider.corpus.from_items import spread
from glider.gold.items import Item
from glider.text.words import words

NAMES: Mapping[Role, tuple[str, ...]] = {
    "input": (
        "input", "question", "request", "instruction", "prompt", "user input", "query", "task",
        "user message", "assignment", "what was asked", "problem", "user turn", "given task",
        "inquiry",
    ),
    "context": (
        "context", "document", "source", "passage", "background", "material", "source text",
        "given text", "evidence", "article", "information", "basis", "retrieved text", "record",
        "knowledge",
    ),
    "reference": (
        "reference", "gold answer", "reference answer", "model answer", "expected output",
        "correct answer", "ideal answer", "sample solution", "target", "ground truth",
        "expert answer", "right answer", "key", "standard", "benchmark answer",
    ),
    "judged": (
        "output", "response", "answer", "reply", "result", "model output", "generated text",
        "candidate", "submission", "completion", "text", "system output", "assistant output",
        "produced text", "text to judge",
    ),
}  # fmt: skip
"""Fifteen names per role, the number GLIDER's training data used."""

_FRAMES = (
    "{} Use only the scores below.",
    "{} Choose the score whose description fits best.",
    "Answer by one of the scores below. {}",
    "What is asked: {}",
    "Judge this, and only this. {}",
)
_LEVELS = ("{}", "{}", "if this holds: {}", "when the following is true: {}", "to be given for: {}")
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.]\d)")
_MOST_JOINED = 3


class Augment(Frozen):
    """The probability of each change; 0 means never."""

    paraphrase: float = Field(default=0.0, ge=0, le=1)
    """Reword the question and the levels."""
    names: float = Field(default=0.0, ge=0, le=1)
    """Rename the text fields at random."""
    scale: float = Field(default=0.0, ge=0, le=1)
    """Express the same label on another scale: 0-1, 1-3, 1-5 or 1-10."""
    top_down: float = Field(default=0.0, ge=0, le=1)
    """List the levels from highest to lowest; never applied to pairs."""


ALWAYS = Augment(paraphrase=1.0, names=1.0)


def augmented(
    item: Item, settings: Augment, rng: Random, *, set_name: str
) -> tuple[Item, tuple[str, ...]]:
    """Apply randomly drawn changes to an item; return it with the names of the changes.

    The first three draws are always made, so that one setting does not shift another's draws. The
    order of the levels is drawn last, and only if `top_down` is set.
    """
    draws = rng.random(), rng.random(), rng.random()
    done: list[str] = []
    for name, share, draw in (
        ("paraphrase", settings.paraphrase, draws[0]),
        ("scale", settings.scale, draws[1]),
        ("names", settings.names, draws[2]),
    ):
        if draw >= share:
            continue
        if name == "paraphrase":
            changed = paraphrased(item, rng, set_name=set_name)
        elif name == "scale":
            changed = rescaled(item, rng)
        else:
            changed = renamed(item, rng)
        if changed is not item:
            item = changed
            done.append(name)
    if settings.top_down and rng.random() < settings.top_down:
        turned = top_down(item)
        if turned is not item:
            item = turned
            done.append("top_down")
    return item, tuple(done)


# Wordings


@cache
def wordings() -> Mapping[str, tuple[Criterion, ...]]:
    """Map each set and part to alternative wordings of its criterion."""
    text = files("glider").joinpath("corpus", "wordings.yaml").read_text("utf-8")
    data: Mapping[str, list[dict[str, Any]]] = yaml.safe_load(text)
    return {key: worded(key, listed) for key, listed in data.items()}


def worded(name: str, listed: Sequence[Mapping[str, Any]]) -> tuple[Criterion, ...]:
    """Turn wordings as written in YAML into criteria that share one name."""
    return tuple(
        Criterion(name=name, title=w["title"], question=w["question"], rubric=w["levels"])
        for w in listed
    )


def paraphrased(item: Item, rng: Random, *, set_name: str) -> Item:
    """Reword question and levels: use a hand-written wording if there is one, else a frame."""
    known = wordings()
    others = known.get(f"{set_name}/{item.part}") or known.get(f"{set_name}/*", ())
    others = tuple(w for w in others if w.rubric.scores == item.criterion.rubric.scores)
    criterion = item.criterion
    if others and rng.random() < 0.75:
        wording = rng.choice(others)
        criterion = criterion.model_copy(
            update={
                "title": wording.title,
                "question": wording.question,
                "rubric": wording.rubric,
            }
        )
    else:
        frame, level = rng.choice(_FRAMES), rng.choice(_LEVELS)
        if item.is_pair:  # asked pairwise, which continues after the question
            frame, level = rng.choice(_FRAMES[3:]), "{}"
        question = criterion.question.strip()
        if question[-1].isalnum():
            question += "."
        levels = {s: level.format(text) for s, text in criterion.rubric.levels.items()}
        criterion = criterion.model_copy(
            # Not `str.format`: the question may contain braces.
            update={"question": frame.replace("{}", question), "rubric": Rubric(levels=levels)}
        )
    return replace(item, criterion=criterion)


# Names


def renamed(item: Item, rng: Random) -> Item:
    """Give input, context, reference and output random names; two outputs keep theirs.

    A name that the question uses as a word is never drawn: "the reply in the reply" is meaningless.
    """
    said = set(words(item.criterion.question))
    taken = {field.name.casefold() for field in item.sample.fields if field.role not in NAMES}
    new: dict[str, str] = {}
    for field in item.sample.fields:
        if field.role not in NAMES or (field.role == "judged" and len(item.sample.judged) > 1):
            continue
        free = [
            name
            for name in NAMES[field.role]
            if name not in taken and (name == field.name or not said >= set(words(name)))
        ]
        new[field.name] = rng.choice(free)
        taken.add(new[field.name].casefold())
    fields = tuple(
        Text(name=new.get(field.name, field.name), text=field.text, role=field.role)
        for field in item.sample.fields
    )
    sample = Sample(id=item.sample.id, fields=fields, metadata=item.sample.metadata)
    spans = tuple(
        span.model_copy(update={"field": new.get(span.field, span.field)}) for span in item.spans
    )
    return replace(item, sample=sample, spans=spans)


# Scales


def top_down(item: Item) -> Item:
    """List the levels from highest to lowest; leave pairs and fixed wordings unchanged."""
    if item.is_pair or item.as_written:
        return item
    return replace(item, criterion=listed_top_down(item.criterion))


def rescaled(item: Item, rng: Random) -> Item:
    """Express the label on another scale; return the item unchanged if no other scale fits.

    Pairs, fixed wordings and questions that mention numbers of their scale stay unchanged.
    """
    rubric = item.criterion.rubric
    if item.is_pair or item.as_written or _NUMBER.search(item.criterion.question):
        return item
    views = [view for view in (_binary(item, rng), *_wider(rubric)) if view is not None]
    if not views:
        return item
    view = rng.choice(views)
    if isinstance(view, Item):
        return view
    return replace(item, criterion=item.criterion.model_copy(update={"rubric": view}))


def _binary(item: Item, rng: Random) -> Item | None:
    """Binarise the scale at a level: does the text reach it or not?"""
    rubric = item.criterion.rubric
    scores = rubric.scores
    if len(scores) < 3:
        return None
    least = len(scores) // 3
    cut = rng.randrange(least, len(scores) - least + 1)
    levels = list(rubric.levels.values())
    below, above = _joined(levels[:cut], "at most"), _joined(levels[cut:], "at least")

    def reached(label: float) -> float:
        return min(1.0, sum(spread(label, item.scale, scores)[cut:]))

    return replace(
        item,
        criterion=item.criterion.model_copy(
            update={"rubric": Rubric(levels={0: below, 1: above})}
        ),
        gold=reached(item.gold),
        ratings=tuple(reached(rating) for rating in item.ratings),
        scale=(0.0, 1.0),
    )  # fmt: skip


def _joined(levels: Sequence[str], bound: str) -> str:
    if len(levels) <= _MOST_JOINED - 1:
        return "; or: ".join(level.rstrip(".") for level in levels) + "."
    nearest = levels[-1] if bound == "at most" else levels[0]
    return f"{bound} this: {nearest}"


def _wider(rubric: Rubric) -> list[Rubric]:
    """Map the rubric to 1-3, 1-5 and 1-10, wherever its levels coincide with levels there."""
    found = []
    old = list(rubric.levels.items())
    if len(old) < 3 or rubric.scores != tuple(range(rubric.low, rubric.high + 1)):
        return []
    for top in (3, 5, 10):
        if (1, top) == (rubric.low, rubric.high):
            continue
        steps = (top - 1) / (len(old) - 1)
        placed = {1 + round(n * steps): text for n, (_, text) in enumerate(old)}
        if steps < 1:
            if (len(old) - 1) % (top - 1):
                continue  # the middle would lie between two old levels
            every = (len(old) - 1) // (top - 1)
            placed = {1 + n: text for n, (_, text) in enumerate(old[::every])}
        elif steps != int(steps):
            continue
        found.append(Rubric(levels=_filled(placed, top)))
    return found


def _filled(placed: Mapping[int, str], top: int) -> dict[int, str]:
    levels: dict[int, str] = {}
    for score in range(1, top + 1):
        if score in placed:
            levels[score] = placed[score]
            continue
        low = max(s for s in placed if s < score)
        high = min(s for s in placed if s > score)
        levels[score] = f"between {low} and {high}"
    return levels
