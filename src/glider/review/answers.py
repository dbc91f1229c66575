"""What people answered: one file that only grows for each person, one line for each answer.

    review/manifest.json      who is asked what
    review/answers/ANA.jsonl  Ana's answers, in the order they came

A line is on disk before the page says "saved". An answer is never overwritten: a later one for the
same visit and stage stands, and the earlier ones stay as history. What a person says of an own
answer once the judge's has been shown is no blind answer any more: it is kept as `after`. Files of
several machines are merged by putting them together; the same answer twice is one.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydantic import Field, ValidationError, field_validator

from glider.core.base import Frozen
from glider.core.errors import DataError, RunError
from glider.core.judgments import Span
from glider.core.locks import lock
from glider.review.plan import FOLDER
from glider.store.journal import append_only, append_to, cut_broken_tail

Stage = Literal["blind", "after", "reveal", "skip", "flag"]
Said = Literal["yes", "partly", "no", "cannot tell"]
LONGEST_NOTE = 4_000


class Answer(Frozen):
    """What a person said at one moment."""

    version: int = 1
    id: str
    """Made by the page; an answer that is sent twice is kept once."""
    person: str
    visit: str
    item: str
    content: str
    """Hash of what was shown; another one now means that the text has changed since."""
    stage: Stage
    """`blind`: the person's own, unseen; `after`: the same, once more, when the judge's answer had
    been shown; `reveal`: what the person says of the judge's answer."""
    at: str
    seconds: float = Field(default=0.0, ge=0, le=1e7)
    """That the item was before the person, the tab being visible."""
    score: int | None = None
    preferred: str | None = None
    """Of a pair: the field that is better; empty for neither."""
    spans: tuple[Span, ...] = Field(default=(), max_length=1_000)
    """Code points of the fields."""
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


@dataclass
class Person:
    """The answers of one person."""

    name: str
    current: dict[tuple[str, Stage], Answer] = field(default_factory=dict)
    """(visit, stage) to the answer that stands."""
    history: dict[tuple[str, Stage], int] = field(default_factory=dict)
    """(visit, stage) to how many answers there were."""
    ids: set[str] = field(default_factory=set)

    def take(self, answer: Answer) -> bool:
        """Count an answer in; False where it is known."""
        if answer.id in self.ids:
            return False
        key = (answer.visit, answer.stage)
        self.ids.add(answer.id)
        self.current[key] = answer
        self.history[key] = self.history.get(key, 0) + 1
        return True

    def blind(self, visit: str) -> Answer | None:
        """The person's own answer, if there is one."""
        return self.current.get((visit, "blind"))

    @property
    def answered(self) -> set[str]:
        """The visits with an own answer."""
        return {visit for visit, stage in self.current if stage == "blind"}

    def reveal(self, visit: str) -> Answer | None:
        """What the person said of the judge's answer."""
        return self.current.get((visit, "reveal"))


class AnswerBook:
    """All answers of a review, and the files they are kept in. One process writes."""

    def __init__(self, run: Path, people: Sequence[str]) -> None:
        """Open the files, and read what is there.

        Raises:
            RunError: in use by another process, or it cannot be written.
            DataError: a line is damaged; its file and number are told.
        """
        folder = run / FOLDER / "answers"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock(run / FOLDER / ".lock")
        except OSError as exc:
            raise RunError(f"cannot write {folder}: {exc.strerror or exc}") from exc
        self._folder = folder
        self._files: dict[str, int] = {}
        self.people: dict[str, Person] = {}
        try:
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
        """Keep an answer. When this returns, it is on disk, whatever becomes of the process.

        Returns:
            False where it was there already.

        Raises:
            RunError: the disk is full or gone; nothing was kept.
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
            # Half a line would damage the file for whoever reads it; opening cuts it off too.
            with suppress(OSError):
                os.ftruncate(file, start)
            raise RunError(f"cannot write {self._folder}: {exc.strerror or exc}") from exc
        return person.take(answer)

    def close(self) -> None:
        """Let go of the files."""
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
    """The answers in one person's file; a last line without its end is passed over.

    Raises:
        DataError: a line is damaged, or another person's.
    """
    person = Person(name)
    for number, answer in _answers(path):
        if answer.person != name:
            raise DataError(f"this is an answer of {answer.person}", path=str(path), line=number)
        person.take(answer)
    return person


def read_people(run: Path) -> dict[str, Person]:
    """Everybody's answers, for figures; takes no lock.

    Raises:
        DataError: a line is damaged.
    """
    return {name: read_person(path, name) for name, path in answer_files(run).items()}


def answer_files(run: Path) -> dict[str, Path]:
    """The file of each person, by name."""
    folder = run / FOLDER / "answers"
    return {path.stem: path for path in sorted(folder.glob("*.jsonl"))} if folder.is_dir() else {}


def answers_in(path: Path) -> Iterator[Answer]:
    """Every answer of a file, in its order; a last line without its end is passed over.

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
