"""Turn a labelled item into an example: the exact prompt that is served, and the answer.

Prompt and answer come only from `render` and `target` of the `Format` used for serving. The label
is mapped linearly from the annotators' scale to the rubric's levels. A label between two levels
becomes a distribution over these two; individual ratings give a distribution over all levels.
An item that cannot be trained on raises `Unusable`; the data card counts its messages.
"""

from bisect import bisect_left
from collections.abc import Sequence

from glider.core.base import content_hash
from glider.core.errors import LabelOutsideScale, SetupError, TaskError
from glider.core.tasks import JudgeTask, compared
from glider.corpus.examples import Example, Turn
from glider.corpus.rationales import About, Unclear, cleaned, quoted
from glider.formats.base import Format, Reading
from glider.formats.grammar import QUOTE_CHARS, quote_at
from glider.formats.nano import MAX_QUOTES
from glider.gold.items import Item
from glider.gold.sets import LabelledSet
from glider.text.spans import locate

_MOST_PLACES = 3
_UNWRITTEN = "\0"


class Unusable(ValueError):
    """No example can be made of the item; the message is generic enough to be counted."""


# Labels


def spread(value: float, scale: tuple[float, float], levels: Sequence[int]) -> list[float]:
    """Spread a label over the two levels it lies between, or put it on the level it equals.

    Raises:
        LabelOutsideScale: the label is outside its scale.
    """
    low, high = scale
    if not low <= value <= high:
        raise LabelOutsideScale(value, scale)
    place = levels[0] + (levels[-1] - levels[0]) * (value - low) / (high - low)
    above = bisect_left(levels, place - 1e-9)
    shares = [0.0] * len(levels)
    if place >= levels[above] - 1e-9:
        shares[above] = 1.0
    else:
        share = (levels[above] - place) / (levels[above] - levels[above - 1])
        shares[above - 1], shares[above] = share, 1 - share
    return shares


def level_of(item: Item) -> tuple[int, list[float]]:
    """Return the index of the gold level and the distribution over all levels of the rubric.

    The gold level is the nearest one; a tie goes to the lower. Individual ratings give the
    distribution if their most common level is at most a third of the scale away from the gold
    level. Otherwise they disagree with the gold label, which is spread over the two levels around
    it instead.
    """
    levels = (0, 1) if item.is_pair else item.criterion.rubric.scores
    shares = spread(item.gold, item.scale, levels)
    settled = max(range(len(levels)), key=lambda n: (shares[n], -n))
    if len(item.ratings) > 1:
        rows = [spread(rating, item.scale, levels) for rating in item.ratings]
        rated = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        common = max(range(len(levels)), key=lambda n: (rated[n], -abs(n - settled)))
        if abs(common - settled) <= (len(levels) - 1) // 3:
            return settled, rated
    return settled, shares


# Examples


def task_of(item: Item, *, swapped: bool = False) -> JudgeTask:
    """Return the task a judge gets for an item; for a pair, in one of its two orders."""
    if not item.is_pair:
        return JudgeTask(item.sample, item.criterion)
    first, second = (field.name for field in item.sample.judged)
    return compared(item.sample, item.criterion, *((second, first) if swapped else (first, second)))


def example_of(
    item: Item,
    format: Format,
    labelled: LabelledSet,
    *,
    explained: bool = True,
    swapped: bool = False,
    copy: int = 0,
    soft: bool = True,
    marks: bool = False,
    highlights: bool = True,
) -> Example:
    """Make the example for an item.

    Args:
        format: format used for serving. An item without a usable reason uses the bare variant; if
            the format has none, no example can be made.
        explained: False asks for the score alone.
        swapped: show a pair in the other order, with the label mirrored.
        copy: 1, 2, ... for an item that is used again.
        soft: keep the distribution over levels; False keeps only the nearest level.
        marks: if people highlighted passages but wrote no usable reason, give score and quotes and
            leave the answer open after them; for formats that put the reason last.
        highlights: False writes no quotes, and changes nothing else: an example that needs a quote
            to have its reason still needs one.

    Raises:
        Unusable: no example can be made of the item.
        LabelOutsideScale: the label is not on its scale.
    """
    settled, shares = level_of(item)
    tied = item.is_pair and item.gold == 0.5
    if tied and not soft:
        raise Unusable("a pair without a winner, which a hard label cannot say")
    if swapped:
        settled, shares = 1 - settled, shares[::-1]
    task = task_of(item, swapped=swapped)
    score = task.criterion.rubric.scores[settled]
    reason = None
    if explained and format.explains and not tied:
        try:
            reason = reason_of(item, labelled, format, swapped=swapped)
        except Unclear as exc:
            if format.bare() is None:
                raise Unusable(f"its reason {exc}") from None
    only_marks = (
        highlights
        and marks
        and reason is None
        and bool(item.spans)
        and not format.reasons_before_score
    )
    used = format if reason is not None or only_marks else format.bare()
    if used is None:
        raise Unusable(f"no reason, which the format {format.name} always writes")
    try:
        prompt = used.render(task)
    except (TaskError, SetupError) as exc:
        raise Unusable(f"cannot be asked in the format {format.name} ({exc.code})") from exc
    phrases = phrases_of(item, task, used) if highlights and used.explains else ()
    written = _UNWRITTEN if only_marks else reason
    target = used.target(Reading(score=score, reasoning=written, phrases=phrases), task)
    # Cut before the space: it belongs to the word that would follow.
    target = target.partition(_UNWRITTEN)[0].rstrip(" ") if only_marks else target
    if not target.startswith(prompt.opening):
        raise AssertionError(f"{used.id}: the answer does not begin as the prompt opens it")
    labels = prompt.labels
    is_soft = soft and labels is not None and max(shares) < 1 - 1e-9
    return Example(
        id=content_hash([labelled.name, item.sample.id, item.criterion.name, swapped, copy]),
        set=labelled.name,
        part=item.part,
        cluster=item.cluster,
        lang=item.lang,
        licence=labelled.licence,
        criterion=task.criterion.content_id,
        messages=tuple(Turn(role=m.role, content=m.content) for m in prompt.messages),
        opening=prompt.opening,
        completion=target.removeprefix(prompt.opening),
        whole=reason is not None,
        labels=labels.texts if labels else None,
        after=labels.after if labels else "",
        soft=tuple(round(share, 6) for share in _summing_to_1(shares)) if is_soft else None,
        score=score,
    )


def _summing_to_1(shares: Sequence[float]) -> list[float]:
    total = sum(shares)
    return [share / total for share in shares]


def reason_of(
    item: Item, labelled: LabelledSet, format: Format, *, swapped: bool = False
) -> str | None:
    """Return the human-written reason, adapted for an answer; None if there is none.

    Raises:
        Unclear: the reason cannot be used, or the format needs a quote in every answer and there is
            no source for one.
    """
    if item.reason is None:
        return None
    if labelled.hidden:
        raise Unclear("speaks of a text that the judge does not see")
    low, high = item.scale
    reason = cleaned(
        item.reason,
        About(
            texts=[field.text for field in item.sample.fields if field.role != "reference"],
            level=None if item.is_pair else (item.gold - low) / (high - low),
            lang=item.lang,
            swapped=swapped,
            words=format.reason_words,
        ),
    )
    task = task_of(item, swapped=swapped)
    if format.quotes_always and not phrases_of(item, task, format):
        raise Unclear("says nothing that could be quoted of the text")
    return reason


def phrases_of(item: Item, task: JudgeTask, format: Format) -> tuple[str, ...]:
    """Return at most two decisive phrases that the quote grammar of the served format allows.

    They are the passages people highlighted; else the reason's quotes from the judged text; else
    the judged text itself if it is one short line.
    """
    texts = format.shown(task)
    judged = [texts[field.name] for field in task.sample.judged]
    quotes: list[str | None]
    if item.spans:
        quotes = [quote_at(judged[0], span.start, span.end) for span in item.spans]
    else:
        quotes = [_quote_in(judged, phrase) for phrase in quoted(item.reason or "")]
    if not any(quotes) and len(judged) == 1 and len(judged[0].strip()) <= QUOTE_CHARS[1]:
        quotes = [quote_at(judged[0], 0, len(judged[0]))]
    found: list[str] = []
    for quote in quotes:
        if quote and not any(quote in other or other in quote for other in found):
            found.append(quote)
    return tuple(found[:MAX_QUOTES])


def _quote_in(texts: Sequence[str], phrase: str) -> str | None:
    """Quote the phrase from the first text with few enough occurrences of it; else None."""
    if " " not in phrase and phrase.isascii():
        return None
    for text in texts:
        places = locate(text, phrase)
        if 1 <= len(places) <= _MOST_PLACES:
            return quote_at(text, *places[0])
    return None
