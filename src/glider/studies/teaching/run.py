"""Have a teacher model write reasons for examples that have a score but no explanation.

The teacher continues the served prompt after the human score (and the words that people marked, if
the example has them), constrained to the served grammar, so its quotes are verbatim. It then reads
each reason that passed `checks` again, without the score, and infers the score from it. Rejected
reasons are counted by cause.

The folder while it grows:

    manifest.json      who writes, and how; written once
    answers.jsonl      reasons as they come; only ever grows
    readings.jsonl     what the second reading came to; only ever grows
    train.jsonl.gz     the examples, those with a kept reason explained; written at the end
    dev.jsonl.gz, tasks.jsonl.gz, held-out.json    as they were
    card.md, result.json    what was counted
"""

import math
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from glider.backends.base import Backend, check_writes
from glider.backends.in_flight import in_flight
from glider.core.base import Frozen
from glider.core.errors import (
    BackendError,
    EmptySplit,
    Filtered,
    PromptTooLong,
    Refused,
    SetupError,
)
from glider.core.generation import Decoding, Generation, GenerationRequest
from glider.corpus.examples import Example, hash_of, read_examples, required_format, write_lines
from glider.corpus.make import make_data
from glider.corpus.settings import DataSettings
from glider.formats.base import Reading
from glider.formats.nano import NanoFormat
from glider.judging.settings import Progress
from glider.store.atomic import write_json, write_whole
from glider.store.folder import locked_folder, refuse_begun
from glider.store.journal import Journal
from glider.store.manifest import Manifest
from glider.studies.rationalizing.asking import AskedExample, SampledAnswers, ask, questions
from glider.studies.teaching.checks import Dropped, checked, within_one_level
from glider.studies.teaching.settings import TeacherSettings, TeachingSettings

_KEPT_AS_IT_WAS = ("dev.jsonl.gz", "tasks.jsonl.gz", "held-out.json")
_ANOTHER = "another score follows from it"


class SecondReading(Frozen):
    """The score inferred from a reason."""

    example: str
    expected: float | None = None
    error: str | None = None
    """Error code of a failure caused by the prompt."""


class Taught(Frozen):
    """Outcomes for the examples without a reason."""

    version: int = 1
    model: str
    asked: int
    kept: int
    dropped: dict[str, int]
    """Number of rejected reasons, by cause."""
    missing: int
    """Number of reasons or readings still missing: continue with --resume."""
    by_set: dict[str, tuple[int, int]]
    """Number of reasons requested and kept, by set."""


@dataclass(frozen=True, slots=True)
class TaughtExamples:
    """A folder of examples with a teacher's reasons."""

    folder: Path
    figures: Taught
    lost: Mapping[str, int]
    """Number of missing answers, by error code."""


def teach(
    data: Path,
    out: Path,
    teacher: TeacherSettings,
    settings: TeachingSettings | None = None,
    *,
    resume: bool = False,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
    fetching: Progress | None = None,
) -> TaughtExamples:
    """Have a model explain human scores, and keep the reasons that pass the checks.

    Args:
        data: folder made by `make_data`, in the nano format with the score first.
        out: folder to create; `glider train` reads it like `data`.
        progress: called with the current task, the number done and the total.
        fetching: called with the progress of a model download.

    Raises:
        DataError: `data` is not a folder of examples, or is damaged.
        EmptySplit: there is nothing to explain.
        SetupError: the examples' format has no reason after the score, or the model only reads
            scores.
        RunError, ManifestMismatch: as `locked_folder`; or the disk is full.
        Refused: the engine accepts none of the requests.
    """
    if not resume:
        refuse_begun(out)  # Check before loading a model.
    with teacher.open_backend(fetching) as backend:
        return teach_with(backend, data, out, settings, resume=resume, progress=progress)


def teach_with(
    backend: Backend,
    data: Path,
    out: Path,
    settings: TeachingSettings | None = None,
    *,
    resume: bool = False,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
) -> TaughtExamples:
    """Like `teach`, with a loaded model, which must support continuing a started answer."""
    check_writes(backend, "reasons")
    settings = settings or TeachingSettings()
    asked_in = required_format(data)
    if asked_in["format"] != "nano" or asked_in.get("order", "score-first") != "score-first":
        raise SetupError(
            "a teacher explains scores in the nano format, score first; these examples are "
            + " ".join(asked_in.values())
        )
    format = NanoFormat(
        layout=asked_in.get("layout", "criterion-first"),  # type: ignore[arg-type]
        reason_words=int(asked_in.get("reason_words", 30)),
    )
    everything = questions(data, format, limit=None, seed=settings.seed)["train"].questions
    chosen = [_given(one, format) for one in everything if _unexplained(one)][: settings.limit]
    if not chosen:
        raise EmptySplit("train", "no single output has a score and no reason")
    manifest = Manifest.of(
        judge=backend.id,
        settings={**asked_in, "temperature": settings.temperature, "seed": settings.seed},
        criteria={},
        input_path=data.resolve().name,
        input_sha256=hash_of(data),
    )
    with (
        locked_folder(out, manifest, resume=resume),
        SampledAnswers(out) as answers,
        Journal(out / "readings.jsonl", SecondReading) as readings,
    ):
        lost = _reasons(backend, chosen, answers, settings, progress)
        usable, dropped = _usable(chosen, answers, format)
        known = {one.example: one for one in readings.before}
        lost += _second_readings(backend, usable, format, readings, known, progress)
        kept = {}
        for question, reading in usable:
            found = known.get(question.example.id)
            if found is not None and _leads_back(found, question):
                kept[question.example.id] = _explained(question, reading, format)
            elif found is not None:
                dropped[_ANOTHER] += 1
        figures = _figures(backend.id, chosen, kept, dropped)
        _write(data, out, kept, figures)
    return TaughtExamples(out, figures, dict(lost))


def make_taught(
    examples: DataSettings,
    out: Path,
    teacher: TeacherSettings,
    settings: TeachingSettings | None = None,
    *,
    resume: bool = False,
    notify: Callable[[str], None] = lambda _text: None,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
    fetching: Progress | None = None,
) -> TaughtExamples:
    """Make examples, and have a model explain the scores that people left unexplained.

    The examples as people left them stand beside `out`, in a folder whose name ends in `-untaught`;
    with `resume` they are taken as they are there.

    Raises:
        As `make_data` and `teach`.
    """
    before = out.with_name(f"{out.name}-untaught")
    if resume and (before / "manifest.json").exists():
        notify(f"{before}: the examples, as they were made")
    else:
        make_data(examples, before, notify=notify)
    begun = resume and (out / "manifest.json").exists()
    return teach(before, out, teacher, settings, resume=begun, progress=progress, fetching=fetching)


def _unexplained(question: AskedExample) -> bool:
    example = question.example
    return not example.whole and example.score is not None and len(question.task.sample.judged) == 1


def _given(question: AskedExample, format: NanoFormat) -> AskedExample:
    score = question.example.score
    assert score is not None
    prompt = format.given(question.task, score, _marked(question.example))
    return AskedExample(question.example, question.task, prompt)


def _marked(example: Example) -> list[str]:
    """Return the quotes of an example that has a score and people's marks, and no reason."""
    _, _, quotes = example.completion.partition("\nQuotes:\n")
    return [line.removeprefix("- ") for line in quotes.split("\n") if line.startswith("- ")]


def _reasons(
    backend: Backend,
    chosen: Sequence[AskedExample],
    answers: SampledAnswers,
    settings: TeachingSettings,
    progress: Callable[[str, int, int], None],
) -> Counter[str]:
    done = sum(answers.has(one.example.id, 0) for one in chosen)

    def answered() -> None:
        nonlocal done
        done += 1
        progress("reasons", done, len(chosen))

    return ask(
        backend,
        chosen,
        answers,
        samples=1,
        temperature=settings.temperature,
        seed=settings.seed,
        progress=answered,
    )


def _usable(
    chosen: Sequence[AskedExample], answers: SampledAnswers, format: NanoFormat
) -> tuple[list[tuple[AskedExample, Reading]], Counter[str]]:
    """Return the reasons that pass the model-free checks, and count why the others fail."""
    usable, dropped = [], Counter[str]()
    for question in chosen:
        for answer in answers.of(question.example.id, 1):
            try:
                usable.append((question, checked(answer, question.example, question.task, format)))
            except Dropped as exc:
                dropped[str(exc)] += 1
    return usable, dropped


def _second_readings(
    backend: Backend,
    usable: Sequence[tuple[AskedExample, Reading]],
    format: NanoFormat,
    readings: Journal[SecondReading],
    known: dict[str, SecondReading],
    progress: Callable[[str, int, int], None],
) -> Counter[str]:
    """Ask which score each reason implies; results are added to `known`."""
    reason_first = NanoFormat(order="reason-first", layout=format.layout)
    todo = [one for one in usable if one[0].example.id not in known]

    def submit(item: tuple[AskedExample, Reading]) -> "Future[Generation]":
        question, reading = item
        prompt = reason_first.render(question.task)
        written = reason_first.target(reading, question.task)
        return backend.submit(
            GenerationRequest(
                id=question.example.id,
                messages=prompt.messages,
                opening=written[: written.rindex("Score: ")] + "Score: ",
                labels=prompt.labels,
                decoding=Decoding(max_tokens=4),
            )
        )

    lost: Counter[str] = Counter()
    for (question, _), future in in_flight(todo, submit, room=backend.limits.in_flight):
        name = question.example.id
        try:
            found = SecondReading(example=name, expected=_expected(future.result(), question))
        except (PromptTooLong, Filtered) as error:
            found = SecondReading(example=name, error=error.code)
        except Refused:
            raise
        except BackendError as error:
            lost[error.code] += 1
            continue
        readings.add(found)
        known[name] = found
        progress("second readings", len(known), len(usable))
    return lost


def _expected(said: Generation, question: AskedExample) -> float | None:
    """Return the score that was read; None if the answer has none."""
    scores = question.task.criterion.rubric.scores
    if said.label_logprobs:
        shares = [math.exp(said.label_logprobs.get(str(s), -math.inf)) for s in scores]
        if total := sum(shares):
            return sum(s * p for s, p in zip(scores, shares, strict=True)) / total
    word = said.text.rpartition("Score: ")[2].split()[:1]
    return float(word[0]) if word and word[0] in map(str, scores) else None


def _leads_back(found: SecondReading, question: AskedExample) -> bool:
    score = question.example.score
    levels = question.task.criterion.rubric.scores
    return (
        found.expected is not None
        and score is not None
        and within_one_level(found.expected, score, levels)
    )


def _explained(question: AskedExample, reading: Reading, format: NanoFormat) -> Example:
    example = question.example
    answer = format.target(reading, question.task).removeprefix(example.opening)
    return example.model_copy(update={"completion": answer, "whole": True})


def _figures(
    model: str, chosen: Sequence[AskedExample], kept: Mapping[str, Example], dropped: Counter[str]
) -> Taught:
    asked = Counter(one.example.set for one in chosen)
    learnt = Counter(one.set for one in kept.values())
    return Taught(
        model=model,
        asked=len(chosen),
        kept=len(kept),
        dropped=dict(dropped.most_common()),
        missing=len(chosen) - len(kept) - dropped.total(),
        by_set={name: (n, learnt[name]) for name, n in sorted(asked.items())},
    )


def _write(data: Path, out: Path, kept: Mapping[str, Example], figures: Taught) -> None:
    examples = (kept.get(one.id, one) for one in read_examples(data / "train.jsonl.gz"))
    write_lines(out / "train.jsonl.gz", examples)
    for name in _KEPT_AS_IT_WAS:
        if (data / name).exists():
            shutil.copyfile(data / name, out / name)
    card = data / "card.md"
    before = card.read_text("utf-8").rstrip() + "\n\n" if card.exists() else ""
    write_whole(out / "card.md", before + described(figures))
    write_json(out / "result.json", figures.model_dump(mode="json"))


def described(figures: Taught) -> str:
    """Return the section of the data card about the teacher."""
    lines = [
        "## Reasons by a teacher",
        "",
        f"`{figures.model}` was told people's score of {figures.asked} examples and wrote why; "
        f"{figures.kept} reasons are learnt. The others, by why they are not:",
        "",
        "| why | reasons |",
        "|---|---|",
        *[f"| {why} | {n} |" for why, n in figures.dropped.items()],
        "",
        "| set | asked | kept |",
        "|---|---|---|",
        *[f"| {name} | {asked} | {kept} |" for name, (asked, kept) in figures.by_set.items()],
    ]
    return "\n".join(lines) + "\n"
