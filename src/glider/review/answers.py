"""People's answers: one append-only file per person, one line per answer.

    review/manifest.json      who is asked what
    review/answers/ANA.jsonl  Ana's answers, in the order they came

A line is on disk before the page says "saved". An answer is never overwritten: for each visit and
stage the latest one counts, and earlier ones stay as history. A changed answer after the judge's
was shown is no longer blind and is kept as `after`. To merge the files of
several machines, concatenate them; duplicate answers count once.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydantic import Field, ValidationError, field_validator

from glider.core.base import Frozen
from glider.core.errors import DataError, RunError
from glider.core.judgments import Span
from glider.core.locks import lock
from glider.review.items import ReviewItem
from glider.review.plan import FOLDER
from glider.store.journal import append_only, append_to, cut_broken_tail

Stage = Literal["blind", "after", "reveal", "adjudicated", "skip", "flag"]
Said = Literal["yes", "partly", "no", "cannot tell"]
LONGEST_NOTE = 4_000


class Answer(Frozen):
    """A person's answer at one moment."""

    version: int = 1
    id: str
    """Set by the page; an answer sent twice is kept once."""
    person: str
    visit: str
    item: str
    content: str
    """Hash of what was shown; if it no longer matches, the text has changed since."""
    stage: Stage
    """`blind`: the person's own answer; `after`: the same, revised once the judge's answer
    was shown; `reveal`: the person's verdict on the judge's answer; `adjudicated`: an
    adjudicator's answer, given with the others' in view."""
    at: str
    seconds: float = Field(default=0.0, ge=0, le=1e7)
    """How long the item was on screen with the tab visible."""
    score: int | None = None
    preferred: str | None = None
    """For a pair, the name of the better field; empty for a tie."""
    spans: tuple[Span, ...] = Field(default=(), max_length=1_000)
    """Offsets in code points of the fields."""
    note: str = Field(default="", max_length=LONGEST_NOTE)
    reason_right: Said | None = None
    marks_right: Said | None = None
    score_right: Said | None = None
    questions: Mapping[str, str] = {}
    """Answers to the questions of a form."""

    @field_validator("person", "visit", "item", "id")
    @classmethod
    def _short(cls, text: str) -> str:
        if not 0 < len(text) <= 200:
            raise ValueError("between 1 and 200 characters")
        return text


def value_of(answer: Answer, item: ReviewItem) -> float:
    """Return the score; for a pair, as in labels: 0 the first is better, 1 the second, 0.5 a tie.

    NaN if the answer has none.
    """
    if item.is_pair:
        return nan if answer.preferred is None else pair_value(answer.preferred, item)
    return nan if answer.score is None else float(answer.score)


def pair_value(preferred: str, item: ReviewItem) -> float:
    """Return the label of a pair whose better output has this name; none if it is a tie."""
    return 0.5 if not preferred or item.pair is None else float(preferred != item.pair[0])


def misfit(answer: Answer, item: ReviewItem) -> str:
    """Return why an answer cannot be one to this item; empty if it can."""
    judged = {field.name: field.text for field in item.sample.judged}
    if answer.score is not None and (
        item.is_pair or answer.score not in item.criterion.rubric.levels
    ):
        return "a score that the rubric does not have"
    if answer.preferred and (not item.is_pair or answer.preferred not in judged):
        return "an output that there is not"
    for span in answer.spans:
        if not (span.field in judged and 0 <= span.start < span.end <= len(judged[span.field])):
            return "a mark outside its text"
    return ""


@dataclass
class Person:
    """The answers of one person."""

    name: str
    current: dict[tuple[str, Stage], Answer] = field(default_factory=dict)
    """The current answer by (visit, stage)."""
    history: dict[tuple[str, Stage], int] = field(default_factory=dict)
    """Number of answers by (visit, stage)."""
    ids: set[str] = field(default_factory=set)

    def take(self, answer: Answer) -> bool:
        """Add an answer; return False if it is a duplicate."""
        if answer.id in self.ids:
            return False
        key = (answer.visit, answer.stage)
        self.ids.add(answer.id)
        self.current[key] = answer
        self.history[key] = self.history.get(key, 0) + 1
        return True

    def blind(self, visit: str) -> Answer | None:
        """Return the person's blind answer, if any."""
        return self.current.get((visit, "blind"))

    def adjudicated(self, visit: str) -> Answer | None:
        """Return the person's answer as an adjudicator, if any."""
        return self.current.get((visit, "adjudicated"))

    @property
    def answered(self) -> set[str]:
        """The visits with a blind answer."""
        return {visit for visit, stage in self.current if stage == "blind"}

    def reveal(self, visit: str) -> Answer | None:
        """Return the person's verdict on the judge's answer, if any."""
        return self.current.get((visit, "reveal"))


class AnswerBook:
    """All answers of a review and the files that store them. Only one process may write."""

    def __init__(self, run: Path, people: Sequence[str]) -> None:
        """Open the files and read their answers.

        Raises:
            RunError: another process has them open, or they cannot be written.
            DataError: a line is damaged; the message gives its file and number.
        """
        self.folder = run / FOLDER
        folder = run / FOLDER / "answers"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock(run / FOLDER / ".lock")
        except OSError as exc:
            raise RunError(f"cannot write {folder}: {exc.strerror or exc}") from exc
        self._folder = folder
        self._files: dict[str, int] = {}
        self.people: dict[str, Person] = {}
        self.gone: dict[str, Person] = {}
        """People who answered and are not asked any more."""
        try:
            self.gone = {n: p for n, p in read_people(run).items() if n not in people}
            for name in people:
                cut_broken_tail(folder / f"{name}.jsonl")
                self.people[name] = read_person(folder / f"{name}.jsonl", name)
                self._files[name] = append_only(folder / f"{name}.jsonl")
        except BaseException as exc:
            self.close()
            if isinstance(exc, OSError):
                raise RunError(f"cannot write {folder}: {exc.strerror or exc}") from exc
            raise

    def add(self, answer: Answer) -> bool:
        """Store an answer. It is on disk when this returns.

        Returns:
            False if it is a duplicate.

        Raises:
            RunError: the disk is full or gone; nothing was stored.
        """
        person = self.people[answer.person]
        if answer.id in person.ids:
            return False
        file = self._files[answer.person]
        start = os.fstat(file).st_size
        try:
            append_to(file, answer.model_dump(mode="json", exclude_defaults=True))
            os.fsync(file)
        except OSError as exc:
            # A partial line would damage the file for readers; reopening also truncates it.
            with suppress(OSError):
                os.ftruncate(file, start)
            raise RunError(f"cannot write {self._folder}: {exc.strerror or exc}") from exc
        return person.take(answer)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            os.close(file)
        self._files = {}
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_person(path: Path, name: str) -> Person:
    """Read one person's file; an incomplete last line is skipped.

    Raises:
        DataError: a line is damaged or belongs to another person.
    """
    person = Person(name)
    for number, answer in _answers(path):
        if answer.person != name:
            raise DataError(f"this is an answer of {answer.person}", path=str(path), line=number)
        person.take(answer)
    return person


def read_people(run: Path) -> dict[str, Person]:
    """Read everybody's answers for statistics, without a lock.

    Raises:
        DataError: a line is damaged.
    """
    return {name: read_person(path, name) for name, path in answer_files(run).items()}


def answer_files(run: Path) -> dict[str, Path]:
    """Return the file of each person, by name."""
    folder = run / FOLDER / "answers"
    return {path.stem: path for path in sorted(folder.glob("*.jsonl"))} if folder.is_dir() else {}


def is_answered(run: Path) -> bool:
    """Whether anybody has answered in a review of this run."""
    return any(path.stat().st_size for path in answer_files(run).values())


def answers_in(path: Path) -> Iterator[Answer]:
    """Read every answer of a file in order; an incomplete last line is skipped.

    Raises:
        DataError: a line is damaged.
    """
    return (answer for _, answer in _answers(path))


def _answers(path: Path) -> Iterator[tuple[int, Answer]]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield number, Answer.model_validate_json(line)
            except ValidationError as exc:
                raise DataError("damaged answer", path=str(path), line=number) from exc
