"""Self-Rationalization (arXiv 2410.05495): a judge learns from its own right and wrong answers.

The model as it is answers each prompt several times, held to the grammar it is served with. Every
answer is read by the strict reader of its form; one that cannot be read is counted and learnt from
in no way. Of the others a right one is preferred to one that is wrong by a margin. A preference
stage learns these pairs, and its result can be asked anew.

A score is right when it is the people's level, or what most of them gave (of a tie, both); or,
without looking at people, when it is the most common of the model's own (`majority`). The
margin counts levels of a scale from 1 to 5, and is the same share of any other: 2 is half a scale.

The folder while it grows:

    manifest.json                who answers what, and how; written once
    answers.jsonl                one line per answer, as it comes; only ever grows
    preferences-train.jsonl.gz   pairs; made of the answers at the end, and again whenever asked
    preferences-dev.jsonl.gz     pairs of development prompts, if they gave any
    result.json, card.md         what was counted
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from random import Random
from typing import Any, Literal

from glider.backends.base import Backend
from glider.backends.in_flight import in_flight
from glider.core.base import Frozen
from glider.core.errors import (
    BackendError,
    DataError,
    EmptySplit,
    Filtered,
    PromptTooLong,
    ReadError,
    Refused,
    SetupError,
    TaskError,
    Truncated,
)
from glider.core.generation import Decoding, Generation, GenerationRequest
from glider.core.tasks import JudgeTask
from glider.corpus.examples import (
    Example,
    Preference,
    Turn,
    read_examples,
    read_tasks,
    write_lines,
)
from glider.formats.base import Format, Prompt
from glider.store.atomic import write_json, write_whole
from glider.store.journal import Journal

Choice = Literal["correct", "majority"]

_STEPS = 4
"""From 1 to 5: what a margin is counted in."""
_MADE = ("train", "dev")


# Which pairs


@dataclass(frozen=True, slots=True)
class Read:
    """One answer that can be read."""

    score: int
    text: str
    """What follows the opening."""


@dataclass(frozen=True, slots=True)
class Paired:
    """What the answers to one prompt come to."""

    came_to: str
    """`pairs`, or why there are none."""
    pairs: tuple[tuple[Read, Read], ...] = ()
    """Preferred, not preferred; no answer twice."""


def right_levels(example: Example, levels: Sequence[int]) -> frozenset[int]:
    """The people's level, and what most of them gave, should it be another or several.

    Args:
        levels: the rubric's, rising.
    """
    given = set() if example.score is None else {example.score}
    if example.soft is not None:
        most = max(example.soft)
        shares = zip(levels, example.soft, strict=True)
        given |= {level for level, share in shares if share >= most - 1e-6}
    return frozenset(given)


def majority(scores: Iterable[int]) -> frozenset[int]:
    """The most common score; none where two are, or there is no score."""
    counts = Counter(scores)
    most = [score for score, n in counts.items() if n == max(counts.values())]
    return frozenset(most) if len(most) == 1 else frozenset()


def paired(
    answers: Sequence[Read],
    right: Collection[int],
    levels: Sequence[int],
    *,
    margin: float,
    most: int,
    rng: Random,
) -> Paired:
    """Right answers beside wrong ones.

    Args:
        right: scores that count as right; empty where it cannot be told.
        levels: the rubric's, rising.
        margin: least distance of a wrong score from every right one, in levels of 1 to 5.
        most: pairs at most; which answers make them is drawn.
    """
    if not answers:
        return Paired("nothing readable")
    if not right:
        return Paired("no majority")
    good = [answer for answer in answers if answer.score in right]
    bad = [answer for answer in answers if answer.score not in right]
    if not good:
        return Paired("none right")
    if not bad:
        return Paired("all right")
    least = margin / _STEPS * (levels[-1] - levels[0]) - 1e-9
    bad = [answer for answer in bad if min(abs(answer.score - r) for r in right) >= least]
    if not bad:
        return Paired("wrong by less than the margin")
    n = min(most, len(good), len(bad))
    return Paired("pairs", tuple(zip(rng.sample(good, n), rng.sample(bad, n), strict=True)))


# What is asked


@dataclass(frozen=True, slots=True)
class Question:
    """An example, asked in the form that is to be learnt."""

    example: Example
    task: JudgeTask
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of one split."""

    questions: list[Question]
    unaskable: Counter[str]
    """Why prompts were left out."""
    there: int
    """Examples the split has."""


def questions(data: Path, form: Format, *, limit: int | None, seed: int) -> dict[str, Prompts]:
    """The prompts of both splits of a folder that `glider data` made, put in one form.

    Args:
        limit: of the training split, drawn; of the development split the same share is taken.

    Raises:
        DataError: a file is missing or damaged, or the tasks are not those of the examples.
        EmptySplit: there is no example to train on.
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
    for split in _MADE:
        path = data / f"{split}.jsonl.gz"
        if split == "dev" and not path.exists():
            continue
        examples = list(read_examples(path))
        if split == "train":
            if not examples:
                raise EmptySplit("train", f"{path.name} has no examples")
            share = min(1.0, limit / len(examples)) if limit is not None else 1.0
        n = ceil(share * len(examples) - 1e-9)
        # The first of a fixed order, so that a larger limit adds to a smaller one.
        Random(f"{seed}:{split}").shuffle(examples)
        asked = Prompts([], Counter(), len(examples))
        for example in examples[:n]:
            if example.id not in tasks:
                raise DataError(f"has no example {example.id}", path=str(data / "tasks.jsonl.gz"))
            try:
                prompt = form.render(tasks[example.id])
            except (TaskError, SetupError) as exc:
                asked.unaskable[exc.code] += 1
            else:
                asked.questions.append(Question(example, tasks[example.id], prompt))
        found[split] = asked
    return found


# Answers


class Answer(Frozen):
    """One answer, or why there is none."""

    example: str
    number: int
    text: str = ""
    """The opening included."""
    finish: Literal["stop", "length"] = "stop"
    constrained: bool = False
    error: str | None = None
    """Code of a failure that lies in the prompt."""


class Answers(Journal[Answer]):
    """The answers so far, and the journal they are kept in."""

    def __init__(self, folder: Path) -> None:
        """Read what is there.

        Raises:
            RunError: the folder cannot be written.
            DataError: the journal is damaged.
        """
        super().__init__(folder / "answers.jsonl", Answer)
        self._of: dict[str, dict[int, Answer]] = {}
        for answer in self.before:
            self._of.setdefault(answer.example, {})[answer.number] = answer

    def add(self, record: Answer) -> None:
        super().add(record)
        self._of.setdefault(record.example, {})[record.number] = record

    def has(self, example: str, number: int) -> bool:
        """This answer is there."""
        return number in self._of.get(example, ())

    def of(self, example: str, samples: int) -> list[Answer]:
        """The first so many answers to a prompt, in the order of their numbers."""
        known = self._of.get(example, {})
        return [known[number] for number in range(samples) if number in known]


def ask(
    backend: Backend,
    asked: Iterable[Question],
    answers: Answers,
    *,
    samples: int,
    temperature: float,
    seed: int,
    max_tokens: int | None = None,
    seen: Callable[[], None] = lambda: None,
) -> Counter[str]:
    """Ask for every answer that is not there yet.

    Args:
        samples: answers to each prompt; number n is drawn with `seed + n`.
        seen: called after each answer.

    Returns:
        Codes of failures that do not lie in the prompt; they are not kept.

    Raises:
        Refused: the engine will take none of the requests.
        RunError: the journal cannot be written.
    """
    todo = ((q, n) for q in asked for n in range(samples) if not answers.has(q.example.id, n))

    def submit(item: tuple[Question, int]) -> "Future[Generation]":
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
            answers.add(Answer(example=example, number=number, error=error.code))
        except Refused:
            raise
        except BackendError as error:
            lost[error.code] += 1
        else:
            answers.add(
                Answer(
                    example=example,
                    number=number,
                    text=said.text,
                    finish=said.finish,
                    constrained=said.constrained,
                )
            )
        seen()
    return lost


def read(answer: Answer, question: Question, form: Format) -> Read:
    """One answer, by the strict reader of its form.

    Raises:
        ReadError: it cannot be read.
    """
    if answer.finish == "length" and not question.prompt.whole_at_limit:
        raise Truncated("the answer was cut off", raw_text=answer.text)
    reading = form.read(answer.text, question.task)
    return Read(reading.score, answer.text.removeprefix(question.prompt.opening).rstrip())


# Preferences


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """How pairs are made of answers; may be changed over the same answers."""

    samples: int = 8
    """The paper's N is not known to us."""
    choose: Choice = "correct"
    margin: float = 2.0
    """At least 2 was better than at least 1 in the paper."""
    pairs: int = 1
    """At most, of one prompt."""
    seed: int = 0


class Figures(Frozen):
    """One split in numbers."""

    prompts: int
    there: int
    """Examples to draw them from."""
    unaskable: dict[str, int]
    asked: int
    """Answers that were asked for."""
    readable: int
    unreadable: dict[str, int]
    """Code to answers."""
    failed: dict[str, int]
    """Code of the engine's failure to answers."""
    missing: int
    """Answers that may still come: go on with --resume."""
    unconstrained: int
    """Written by an engine that could not be held to the grammar."""
    right: int
    """Readable answers whose score is right."""
    prompts_by: dict[str, int]
    """What became of a prompt to prompts."""
    pairs: int
    by_margin: dict[str, int]
    """Distance of the two scores, as a share of their scale, to pairs."""
    by_set: dict[str, tuple[int, int]]
    """Prompts and pairs."""
    place: tuple[float, float] | None
    """Mean score of preferred and of other answers, 0 to 1 of the scale: far apart, the pairs
    teach to be kind or harsh."""
    characters: tuple[float, float] | None
    """Mean length of preferred and of other answers."""


def preferences(
    asked: Prompts, answers: Answers, form: Format, how: Pairing
) -> tuple[list[Preference], Figures]:
    """The pairs of one split, in the order of its prompts, and what was counted."""
    made: list[Preference] = []
    sizes: list[tuple[float, float, int, int]] = []
    unreadable, failed, came_to, margins = Counter[str](), Counter[str](), Counter[str](), []
    by_set: dict[str, tuple[int, int]] = {}
    there = readable = n_right = unconstrained = 0
    for question in asked.questions:
        example, rubric = question.example, question.task.criterion.rubric
        legible: list[Read] = []
        for answer in answers.of(example.id, how.samples):
            there += 1
            if answer.error is not None:
                failed[answer.error] += 1
                continue
            unconstrained += not answer.constrained
            try:
                legible.append(read(answer, question, form))
            except ReadError as exc:
                unreadable[exc.code] += 1
        right = right_levels(example, rubric.scores)
        if how.choose == "majority":
            right = majority(one.score for one in legible)
        rng = Random(f"{how.seed}:pairs:{example.id}")
        found = paired(legible, right, rubric.scores, margin=how.margin, most=how.pairs, rng=rng)
        readable += len(legible)
        n_right += sum(one.score in right for one in legible)
        came_to[found.came_to] += 1
        prompts, pairs = by_set.get(example.set, (0, 0))
        by_set[example.set] = prompts + 1, pairs + len(found.pairs)
        for number, two in enumerate(found.pairs):
            chosen, rejected = (rubric.normalize(one.score) for one in two)
            margins.append(f"{abs(chosen - rejected):.2f}")
            sizes.append((chosen, rejected, len(two[0].text), len(two[1].text)))
            made.append(_preference(question, number, *two))
    n_asked = len(asked.questions) * how.samples
    means = [round(sum(column) / len(sizes), 3) for column in zip(*sizes, strict=True)]
    return made, Figures(
        prompts=len(asked.questions),
        there=asked.there,
        unaskable=dict(asked.unaskable),
        asked=n_asked,
        readable=readable,
        unreadable=dict(unreadable),
        failed=dict(failed),
        missing=n_asked - there,
        unconstrained=unconstrained,
        right=n_right,
        prompts_by=dict(came_to),
        pairs=len(made),
        by_margin=dict(sorted(Counter(margins).items())),
        by_set=dict(sorted(by_set.items())),
        place=(means[0], means[1]) if means else None,
        characters=(means[2], means[3]) if means else None,
    )


def _preference(question: Question, number: int, chosen: Read, rejected: Read) -> Preference:
    example, prompt = question.example, question.prompt
    labels = prompt.labels
    return Preference(
        id=f"{example.id}-{number}" if number else example.id,
        set=example.set,
        part=example.part,
        cluster=example.cluster,
        lang=example.lang,
        licence=example.licence,
        criterion=question.task.criterion.content_id,
        messages=tuple(Turn(role=m.role, content=m.content) for m in prompt.messages),
        opening=prompt.opening,
        labels=labels.texts if labels else None,
        after=labels.after if labels else "",
        weight=example.weight,
        score=chosen.score,
        chosen=chosen.text,
        rejected=rejected.text,
    )


# Files


class Rationalized(Frozen):
    """What a folder of pairs holds and where it comes from."""

    version: int = 1
    model: str
    """Model with revision, and form with options."""
    temperature: float
    pairing: dict[str, Any]
    splits: dict[str, Figures]
    licences: dict[str, int]
    """Licence to training pairs."""


def write_pairs(
    folder: Path,
    asked: Mapping[str, Prompts],
    answers: Answers,
    form: Format,
    how: Pairing,
    *,
    model: str,
    temperature: float,
) -> Rationalized:
    """Make pairs of the answers; what an earlier pairing made gives way.

    Raises:
        EmptySplit: the answers give no pair to train on; nothing is written.
        RunError: the disk is full or cannot be written.
    """
    made = {split: preferences(prompts, answers, form, how) for split, prompts in asked.items()}
    if not made["train"][0]:
        came_to = made["train"][1].prompts_by
        raise EmptySplit(
            "train",
            "no prompt gave a pair: " + ", ".join(f"{n} {why}" for why, n in came_to.items()),
            hint="the answers are kept; go on with --resume and more --samples, a smaller "
            "--margin or more prompts",
        )
    result = Rationalized(
        model=model,
        temperature=temperature,
        pairing=asdict(how),
        splits={split: figures for split, (_, figures) in made.items()},
        licences=dict(sorted(Counter(pair.licence for pair in made["train"][0]).items())),
    )
    for split, (pairs, _) in made.items():
        path = folder / f"preferences-{split}.jsonl.gz"
        if pairs:
            write_lines(path, pairs)
        else:
            path.unlink(missing_ok=True)
    write_whole(folder / "card.md", card(result))
    write_json(folder / "result.json", result.model_dump(mode="json"))
    return result


def card(result: Rationalized) -> str:
    """What the pairs are, as Markdown; a training keeps it as the card of its data."""
    how = result.pairing
    splits = result.splits
    right = "the people's level" if how["choose"] == "correct" else "the most common of the answers"
    rows: list[tuple[str, Callable[[Figures], object]]] = [
        ("prompts", lambda f: f"{f.prompts} of {f.there}"),
        ("answers", lambda f: f.asked - f.missing),
        ("read", lambda f: f.readable),
        ("right", lambda f: f.right),
        ("not readable", lambda f: _listed(f.unreadable)),
        ("no answer", lambda f: _listed(f.failed)),
        ("not held to the grammar", lambda f: f.unconstrained),
        ("prompts that came to", lambda f: _listed(f.prompts_by)),
        ("pairs", lambda f: f.pairs),
        ("pairs by distance, share of the scale", lambda f: _listed(f.by_margin)),
        ("mean place on the scale, preferred and other", lambda f: _two(f.place)),
        ("mean characters, preferred and other", lambda f: _two(f.characters)),
    ]
    sets = sorted({name for figures in splits.values() for name in figures.by_set})
    lines = [
        "# Pairs of a judge's own answers",
        "",
        f"{how['samples']} answers of `{result.model}` to each prompt at temperature "
        f"{result.temperature:g}. Right is {right}; wrong is at least "
        f"{how['margin'] / _STEPS:.0%} of the scale away from it. At most {how['pairs']} pairs of "
        "a prompt.",
        "",
        "| | " + " | ".join(splits) + " |",
        "|---|" + "---|" * len(splits),
        *[
            f"| {name} | " + " | ".join(str(figure(f)) for f in splits.values()) + " |"
            for name, figure in rows
        ],
        "",
        "Where preferred answers stand much higher or lower on the scale, or are much longer, than "
        "the others, a judge learns to be kind, harsh or wordy.",
        "",
        "| set | " + " | ".join(f"{split} prompts | pairs" for split in splits) + " |",
        "|---|" + "---|---|" * len(splits),
        *[
            f"| {name} | "
            + " | ".join("{} | {}".format(*f.by_set.get(name, (0, 0))) for f in splits.values())
            + " |"
            for name in sets
        ],
        "",
        "| licence of the labelled text | pairs |",
        "|---|---|",
        *[f"| {licence} | {n} |" for licence, n in result.licences.items()],
    ]
    return "\n".join(lines) + "\n"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items()) or "none"


def _two(values: tuple[float, float] | None) -> str:
    return "{:g}, {:g}".format(*values) if values else "none"
