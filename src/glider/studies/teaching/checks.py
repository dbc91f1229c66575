"""Check a teacher's reasons: some checks need no model, one uses a second reading.

The teacher sees the human score, so it could rationalize anything. A reason is kept only if it can
be read, its quotes are verbatim, it meets the same requirements as annotators' notes, it mentions
something specific to the text, and a reader who does not see the score infers that score from it.
"""

from glider.core.errors import ReadError, Truncated
from glider.core.tasks import JudgeTask
from glider.corpus.examples import Example
from glider.corpus.rationales import About, Unclear, cleaned
from glider.formats.base import Format, Reading
from glider.studies.rationalizing.asking import SampledAnswer
from glider.text.spans import place
from glider.text.words import words

_NAMED, _LETTERS = 2, 5
"""Minimum number of words a reason shares with the judged text, and the minimum length of such a
word in letters; words of the criterion do not count."""


class Dropped(Exception):
    """A rejected reason; the message is the category to count."""


def checked(answer: SampledAnswer, example: Example, task: JudgeTask, format: Format) -> Reading:
    """Return a teacher's answer as a reading to train on.

    Raises:
        Dropped: the answer fails a check that needs no model.
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
    """Whether the reason has words of the judged text that are not in its criterion."""
    criterion = task.criterion
    said = " ".join([criterion.heading, criterion.question, *criterion.rubric.levels.values()])
    of_text = {word for field in task.sample.judged for word in words(field.text)}
    # In scripts without spaces, every character counts as a word.
    telling = {w for w in of_text - set(words(said)) if len(w) >= _LETTERS or not w.isascii()}
    return len(telling & set(words(reason))) >= _NAMED


def within_one_level(expected: float, score: int, levels: tuple[int, ...]) -> bool:
    """Whether a second reading agrees: within one level, or the same level if there are only
    two.
    """
    return abs(expected - score) <= min(1.0, (levels[-1] - levels[0]) / 2 - 1e-9)
