"""Ask a judge its training prompts and store the answers in a journal."""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from random import Random
from typing import Literal

from glider.backends.base import Backend
from glider.backends.in_flight import in_flight
from glider.core.base import Frozen
from glider.core.errors import (
    BackendError,
    DataError,
    EmptySplit,
    Filtered,
    PromptTooLong,
    Refused,
    SetupError,
    TaskError,
    Truncated,
)
from glider.core.generation import Decoding, Generation, GenerationRequest
from glider.core.tasks import JudgeTask
from glider.corpus.examples import Example, read_examples, read_tasks
from glider.formats.base import Format, Prompt
from glider.store.journal import Journal
from glider.studies.rationalizing.pairing import ReadAnswer

_SPLITS = ("train", "dev")


@dataclass(frozen=True, slots=True)
class AskedExample:
    """An example, asked in the format to be trained."""

    example: Example
    task: JudgeTask
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of one split."""

    questions: list[AskedExample]
    unaskable: Counter[str]
    """Number of prompts left out, by reason."""
    there: int
    """Number of examples in the split."""


def questions(data: Path, format: Format, *, limit: int | None, seed: int) -> dict[str, Prompts]:
    """Build the prompts of both splits of a `glider data` folder in one format.

    Args:
        limit: number of training prompts to draw; the same share of the development split is drawn.

    Raises:
        DataError: a file is missing or damaged, or the tasks do not belong to the examples.
        EmptySplit: the training split has no usable example.
    """
    try:
        tasks = {one.id: one.task for one in read_tasks(data / "tasks.jsonl.gz")}
    except DataError as exc:
        if (data / "tasks.jsonl.gz").exists():
            raise
        raise DataError(
            "not there; it tells what the prompts are made of",
            path=str(data / "tasks.jsonl.gz"),
            hint="make the folder anew with `glider data`: same settings, same examples",
        ) from exc
    found: dict[str, Prompts] = {}
    share = 1.0
    for split in _SPLITS:
        path = data / f"{split}.jsonl.gz"
        if split == "dev" and not path.exists():
            continue
        examples = list(read_examples(path))
        if split == "train":
            if not examples:
                raise EmptySplit("train", f"{path.name} has no examples")
            share = min(1.0, limit / len(examples)) if limit is not None else 1.0
        n = ceil(share * len(examples) - 1e-9)
        # Take a prefix of a fixed order, so that a larger limit extends a smaller one.
        Random(f"{seed}:{split}").shuffle(examples)
        asked = Prompts([], Counter(), len(examples))
        for example in examples[:n]:
            if example.id not in tasks:
                raise DataError(f"has no example {example.id}", path=str(data / "tasks.jsonl.gz"))
            try:
                prompt = format.render(tasks[example.id])
            except (TaskError, SetupError) as exc:
                asked.unaskable[exc.code] += 1
            else:
                asked.questions.append(AskedExample(example, tasks[example.id], prompt))
        found[split] = asked
    return found


class SampledAnswer(Frozen):
    """One answer, or the reason why there is none."""

    example: str
    number: int
    text: str = ""
    """The answer, including its opening."""
    finish: Literal["stop", "length"] = "stop"
    constrained: bool = False
    error: str | None = None
    """Error code of a failure caused by the prompt."""


class SampledAnswers(Journal[SampledAnswer]):
    """The answers collected so far, backed by a journal file."""

    def __init__(self, folder: Path) -> None:
        """Read the existing answers.

        Raises:
            RunError: the folder cannot be written.
            DataError: the journal is damaged.
        """
        super().__init__(folder / "answers.jsonl", SampledAnswer)
        self._of: dict[str, dict[int, SampledAnswer]] = {}
        for answer in self.before:
            self._of.setdefault(answer.example, {})[answer.number] = answer

    def add(self, record: SampledAnswer) -> None:
        super().add(record)
        self._of.setdefault(record.example, {})[record.number] = record

    def has(self, example: str, number: int) -> bool:
        """Whether this answer has been collected."""
        return number in self._of.get(example, ())

    def of(self, example: str, samples: int) -> list[SampledAnswer]:
        """Return the first `samples` answers to a prompt, in order of their numbers."""
        known = self._of.get(example, {})
        return [known[number] for number in range(samples) if number in known]


def ask(
    backend: Backend,
    asked: Iterable[AskedExample],
    answers: SampledAnswers,
    *,
    samples: int,
    temperature: float,
    seed: int,
    max_tokens: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Counter[str]:
    """Request every answer that is still missing.

    Args:
        samples: answers per prompt; answer n is sampled with seed `seed + n`.
        progress: called after each answer.

    Returns:
        Counts of failures not caused by the prompt, by error code; these are not stored.

    Raises:
        Refused: the engine accepts none of the requests.
        RunError: the journal cannot be written.
    """
    todo = ((q, n) for q in asked for n in range(samples) if not answers.has(q.example.id, n))

    def submit(item: tuple[AskedExample, int]) -> "Future[Generation]":
        question, number = item
        return backend.submit(
            GenerationRequest(
                id=f"{question.example.id}-{number}",
                messages=question.prompt.messages,
                opening=question.prompt.opening,
                grammar=question.prompt.grammar,
                decoding=Decoding(
                    temperature=temperature,
                    max_tokens=max_tokens or question.prompt.max_tokens,
                    seed=seed + number,
                ),
            )
        )

    lost: Counter[str] = Counter()
    for (question, number), future in in_flight(todo, submit, room=backend.limits.in_flight):
        example = question.example.id
        try:
            said = future.result()
        except (PromptTooLong, Filtered) as error:
            answers.add(SampledAnswer(example=example, number=number, error=error.code))
        except Refused:
            raise
        except BackendError as error:
            lost[error.code] += 1
        else:
            answers.add(
                SampledAnswer(
                    example=example,
                    number=number,
                    text=said.text,
                    finish=said.finish,
                    constrained=said.constrained,
                )
            )
        progress()
    return lost


def read_answer(answer: SampledAnswer, question: AskedExample, format: Format) -> ReadAnswer:
    """Read one answer with its format's strict reader.

    Raises:
        ReadError: the answer cannot be read.
    """
    if answer.finish == "length" and not question.prompt.whole_at_limit:
        raise Truncated("the answer was cut off", raw_text=answer.text)
    reading = format.read(answer.text, question.task)
    return ReadAnswer(reading.score, answer.text.removeprefix(question.prompt.opening).rstrip())
