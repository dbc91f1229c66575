"""Checks of a teacher's reasons: some without a model, one with a second reading.

The teacher was told people's score, so it may say anything that leads there. A reason is kept where
it can be read, quotes what is there, is fit to be learnt as people's own notes have to be, names
something of this text, and leads a reader who is not told the score to it again.
"""

from glider.core.errors import ReadError, Truncated
from glider.core.tasks import JudgeTask
from glider.corpus.examples import Example
from glider.corpus.rationales import About, Unclear, cleaned
from glider.formats.base import Format, Reading
from glider.studies.rationalizing.asking import Answer
from glider.text.spans import place
from glider.text.words import words

_NAMED, _LETTERS = 2, 5
"""Words of the judged text that a reason has, and the letters such a word has at least: what the
criterion says itself does not count."""


class Dropped(Exception):
    """A reason that is not learnt; its message is what is counted."""


def checked(answer: Answer, example: Example, task: JudgeTask, format: Format) -> Reading:
    """What a teacher wrote, as it may be learnt.

    Raises:
        Dropped: it fails a check that needs no model.
    """
    if answer.error is not None:
        raise Dropped(f"no answer ({answer.error})")
    try:
        if answer.finish == "length":
            raise Truncated("the answer was cut off", raw_text=answer.text)
        reading = format.read(answer.text, task)
    except ReadError as exc:
        raise Dropped(f"cannot be read ({exc.code})") from exc
    shown = format.shown(task)
    judged = [(field.name, shown[field.name]) for field in task.sample.judged]
    if any(place(phrase, judged).match != "exact" for phrase in reading.phrases):
        raise Dropped("quotes what is not there")
    rubric = task.criterion.rubric
    about = About(
        texts=[field.text for field in task.sample.fields if field.role != "reference"],
        level=rubric.normalize(example.score) if example.score is not None else 0.5,
        lang=example.lang,
        words=format.reason_words,
    )
    try:
        reason = cleaned(reading.reasoning or "", about)
    except Unclear as exc:
        raise Dropped(str(exc)) from exc
    if not names_something(reason, task):
        raise Dropped("names nothing of this text")
    return Reading(score=reading.score, reasoning=reason, phrases=reading.phrases)


def names_something(reason: str, task: JudgeTask) -> bool:
    """The reason has words of the judged text that its criterion does not have."""
    criterion = task.criterion
    said = " ".join([criterion.heading, criterion.question, *criterion.rubric.levels.values()])
    of_text = {word for field in task.sample.judged for word in words(field.text)}
    # Of scripts without spaces every letter is a word.
    telling = {w for w in of_text - set(words(said)) if len(w) >= _LETTERS or not w.isascii()}
    return len(telling & set(words(reason))) >= _NAMED


def within_one_level(expected: float, score: int, levels: tuple[int, ...]) -> bool:
    """A second reading comes to the score: within one level, and on the right side of two."""
    return abs(expected - score) <= min(1.0, (levels[-1] - levels[0]) / 2 - 1e-9)
