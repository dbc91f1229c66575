"""Judge: prepare, generate, read. The file to read first.

A Judge knows no engine and no prompt: both are handed in. `prepare` and `read` do no I/O, so what
a model said can be read again later without asking it again. Tasks are taken as they are needed
and outcomes given as they are ready: a million rows are never held.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TypeVar

from glider.backends import open_backend
from glider.backends.base import Backend
from glider.backends.labels import PROBABLE
from glider.core.criteria import Criterion
from glider.core.errors import (
    BackendError,
    GliderError,
    MissingPart,
    PromptTooLong,
    ReadError,
    SetupError,
    Truncated,
)
from glider.core.generation import Decoding, Generation, GenerationRequest
from glider.core.judgments import Comparison, Cut, Failure, Highlight, Judgment, Usage
from glider.core.samples import Field, Sample
from glider.core.tasks import JudgeTask
from glider.data.library import load_criterion
from glider.formats import make_format
from glider.formats.base import Format, Prompt, Reading
from glider.judging.pairs import PairTask, ranking, round_robin
from glider.text.spans import place
from glider.text.thinking import split_thinking

Key = TypeVar("Key")
Work = JudgeTask | PairTask

_WINDOW = 256
"""Tasks looked at together, to put those that share a prompt's beginning side by side."""
_MOST_HELD = 4096
"""Outcomes kept back while an earlier one is awaited."""
_MOST_CUTS = 4
_TRAINED_FORMATS = {
    "glider-nano": "nano",
    "glider": "glider",
    "prometheus": "prometheus",
    "flow-judge": "flow-judge",
}
"""Judges, by a word in their name, and the form they were trained in; the first that fits."""


@dataclass
class _Part:
    """One task of a piece of work, and the answers it has so far."""

    task: JudgeTask
    prompt: Prompt | None
    missing: int
    answers: dict[int, Generation | GliderError] = field(default_factory=dict)
    """By the number of the sample, whichever came first."""
    spent: Usage = field(default_factory=Usage)
    """Of answers that were given up for a shorter text."""
    cuts: tuple[Cut, ...] = ()
    outcome: Judgment | Failure | None = None


@dataclass
class _Open:
    """A piece of work on its way."""

    number: int
    work: Work
    parts: list[_Part]


class Judge:
    """Puts criteria to one model and reports what it answered."""

    def __init__(
        self,
        model: str | Backend = "embedded",
        *,
        format: str | Format | None = None,
        samples: int = 1,
        temperature: float = 0.8,
        max_tokens: int | None = None,
        truncate: bool = False,
        seed: int = 0,
    ) -> None:
        """Choose who judges and how.

        Args:
            model: `provider/model`, or a backend.
            format: how to ask and read; by default the one the model was trained in.
            samples: answers drawn per task; their expected scores are averaged (mean, not vote).
            temperature: used only where `samples` is above 1; a single answer is greedy.
            max_tokens: longest answer; the format's own limit if not given.
            truncate: shorten a text that does not fit and mark the cut; otherwise it fails.

        Raises:
            SetupError: the model cannot answer in this format, or the settings contradict.
        """
        self.backend = open_backend(model) if isinstance(model, str) else model
        chosen = format if format is not None else default_format(self.backend)
        self.format = make_format(chosen) if isinstance(chosen, str) else chosen
        if samples < 1:
            raise SetupError(f"samples must be at least 1, got {samples}")
        if samples > 1 and not self.format.reasons_before_score:
            raise SetupError(
                f"format {self.format.id} writes the score before any reasoning: "
                "every sample would have the same score",
                hint="use --order reason-first with --samples",
            )
        if self.format.explains and not self.backend.capabilities.explanations:
            raise SetupError(
                f"{self.backend.id} only reads scores and cannot write the explanation that "
                f"{self.format.id} asks for",
                hint="use --no-explain, or another backend",
            )
        self.samples, self.temperature, self.seed = samples, temperature, seed
        self.max_tokens, self.truncate = max_tokens, truncate

    @property
    def id(self) -> str:
        """Model and format: who speaks in each outcome."""
        return f"{self.backend.id} {self.format.id}"

    def judge(self, sample: Sample | str, criterion: Criterion | str) -> Judgment:
        """Judge one text, or raise what went wrong.

        Args:
            sample: a sample, or just the output.
            criterion: a criterion, or the name of a shipped one or of a YAML file.

        Raises:
            JudgmentFailed: with the Failure.
            AccessRefused: the endpoint takes nothing from us.
        """
        if isinstance(sample, str):
            sample = Sample.of(sample)
        if isinstance(criterion, str):
            criterion = load_criterion(criterion)
        (outcome,) = self.judge_many([JudgeTask(sample, criterion)])
        assert not isinstance(outcome, Comparison)
        return outcome.or_raise()

    def judge_many(
        self, tasks: Iterable[Work | tuple[Sample, Criterion]]
    ) -> Iterator[Judgment | Failure | Comparison]:
        """Judge every task, lazily; one outcome each, in order; a task that fails is a Failure.

        Raises:
            AccessRefused: the endpoint takes nothing from us: no key, no credit, no such model.
        """
        work = (t if isinstance(t, JudgeTask | PairTask) else JudgeTask(*t) for t in tasks)
        for _, outcome in self.stream(((None, w) for w in work), ordered=True):
            yield outcome

    def rank(self, sample: Sample, criterion: Criterion | str) -> list[tuple[str, float]]:
        """The sample's outputs, best first, each with its mean probability of being preferred.

        Pairs that could not be judged do not count.

        Raises:
            JudgmentFailed: no pair could be judged.
        """
        if isinstance(criterion, str):
            criterion = load_criterion(criterion)
        outcomes = self.judge_many(round_robin(sample, criterion))
        comparisons = [c for c in outcomes if isinstance(c, Comparison)]
        ranked = ranking(comparisons)
        if comparisons and not ranked:
            comparisons[0].or_raise()
        return ranked

    def stream(
        self, items: Iterable[tuple[Key, Work]], *, ordered: bool = False
    ) -> Iterator[tuple[Key, Judgment | Failure | Comparison]]:
        """Judge (key, work) pairs; gives (key, outcome) as ready, or in order.

        Takes from `items` only as much as keeps the backend busy.

        Raises:
            AccessRefused: once what was in flight is given; nothing more is asked.
        """
        source = self._planned(items)
        arrived: SimpleQueue[_Arrival] = SimpleQueue()
        refused: BackendError | None = None
        keys: dict[int, Key] = {}
        held: dict[int, Judgment | Failure | Comparison] = {}
        in_flight, next_number, exhausted = 0, 0, False
        finished: list[_Open] = []
        while True:
            while (
                refused is None
                and in_flight < self.backend.limits.in_flight
                and len(held) < _MOST_HELD
            ):
                taken = next(source, None)
                if taken is None:
                    exhausted = True
                    break
                key, opened = taken
                keys[opened.number] = key
                in_flight += sum(self._submit(opened, part, arrived) for part in opened.parts)
                if all(part.outcome is not None for part in opened.parts):
                    finished.append(opened)
                    break
            if not finished and in_flight:
                opened, part, number, answer = arrived.get()
                in_flight -= 1
                if isinstance(answer, BackendError) and answer.stops_run:
                    refused = refused or answer
                    continue
                in_flight += self._take(opened, part, number, answer, arrived)
                if all(part.outcome is not None for part in opened.parts):
                    finished.append(opened)
            for done in finished:
                held[done.number] = _folded(done)
            finished.clear()
            ready = _in_order(held, next_number) if ordered else list(held)
            for number in ready:
                yield keys.pop(number), held.pop(number)
            next_number += len(ready)
            if refused is not None and not in_flight:
                raise refused
            if exhausted and not in_flight and not held:
                return

    def _planned(self, items: Iterable[tuple[Key, Work]]) -> Iterator[tuple[Key, _Open]]:
        """Prepare work; within a window, neighbours share as long a beginning as possible."""
        window: list[tuple[Key, _Open]] = []
        for number, (key, work) in enumerate(items):
            tasks = work.tasks if isinstance(work, PairTask) else (work,)
            window.append((key, _Open(number, work, [self._prepare(task) for task in tasks])))
            if len(window) == _WINDOW or not self.backend.capabilities.prefix_cache:
                yield from sorted(window, key=_beginning)
                window = []
        yield from sorted(window, key=_beginning)

    def _prepare(self, task: JudgeTask) -> _Part:
        try:
            return _Part(task, self.format.render(task), self.samples)
        except GliderError as error:
            part = _Part(task, None, 0)
            part.outcome = Failure.of(error, task, judge=self.id)
            return part

    def _submit(
        self,
        opened: _Open,
        part: _Part,
        arrived: "SimpleQueue[_Arrival]",
    ) -> int:
        """Ask for the answers a part still lacks; returns how many were asked for."""
        if part.outcome is not None or part.prompt is None:
            return 0
        prompt = part.prompt
        for number in range(self.samples):
            request = GenerationRequest(
                id=f"{part.task.id}-{opened.number}-{number}",
                messages=prompt.messages,
                opening=prompt.opening,
                grammar=prompt.grammar,
                labels=prompt.labels,
                decoding=Decoding(
                    temperature=self.temperature if self.samples > 1 else 0.0,
                    max_tokens=self.max_tokens or prompt.max_tokens,
                    seed=self.seed + number,
                ),
            )

            def done(future: "Future[Generation]", number: int = number) -> None:
                error = future.exception()
                if error is not None and not isinstance(error, GliderError):
                    error = _Crash(error)
                arrived.put((opened, part, number, error or future.result()))

            self.backend.submit(request).add_done_callback(done)
        return self.samples

    def _take(
        self,
        opened: _Open,
        part: _Part,
        number: int,
        answer: Generation | GliderError,
        arrived: "SimpleQueue[_Arrival]",
    ) -> int:
        """Take one answer in; returns how many requests were made anew for shortened texts."""
        if isinstance(answer, _Crash):
            raise answer.cause
        part.answers[number] = answer
        part.missing -= 1
        if part.missing:
            return 0
        if self.truncate and len(part.cuts) < _MOST_CUTS:
            answers = part.answers.values()
            too_long = next((a for a in answers if isinstance(a, PromptTooLong)), None)
            shorter = _shortened(part.task.sample, too_long) if too_long else None
            if shorter is not None:
                sample, cut = shorter
                task = JudgeTask(sample, part.task.criterion)
                again = self._prepare(task)
                part.task, part.prompt, part.cuts = task, again.prompt, _merge(part.cuts, cut)
                part.spent = _spent(part)
                part.answers, part.missing = {}, self.samples
                return self._submit(opened, part, arrived)
        part.outcome = self._read_all(part)
        return 0

    def _read_all(self, part: _Part) -> Judgment | Failure:
        """One outcome from every answer to a task: the mean over those that can be read."""
        assert part.prompt is not None
        readings: list[tuple[Reading, Generation]] = []
        errors: list[GliderError] = []
        for _, answer in sorted(part.answers.items()):
            try:
                if isinstance(answer, GliderError):
                    raise answer
                readings.append((self._read(answer, part), answer))
            except GliderError as error:
                errors.append(error)
        if not readings:
            return Failure.of(errors[0], part.task, judge=self.id, usage=_spent(part))
        return self._judgment(part, readings)

    def _read(self, answer: Generation, part: _Part) -> Reading:
        assert part.prompt is not None
        if answer.finish == "length" and not part.prompt.whole_at_limit:
            raise Truncated(
                f"the answer was cut off after {answer.usage.completion_tokens} tokens",
                raw_text=answer.text,
                hint="raise --max-tokens",
            )
        thought, said = split_thinking(answer.text)
        try:
            if thought and not said.strip():
                raise MissingPart("text", "all of it is thinking")
            return self.format.read(said.lstrip() if thought else said, part.task)
        except ReadError as error:
            error.raw_text = answer.text
            raise

    def _judgment(self, part: _Part, readings: list[tuple[Reading, Generation]]) -> Judgment:
        rubric = part.task.criterion.rubric
        assert part.prompt is not None
        texts = part.prompt.labels.texts if part.prompt.labels else ()
        labels = dict(zip(texts, rubric.scores, strict=False))
        spreads = [_spread(answer, labels) for _, answer in readings]
        known = [spread for spread in spreads if spread is not None]
        probs: dict[int, float] | None = None
        mass: float | None = None
        # All or none: averaging distributions with bare scores would weigh them unlike.
        if known and len(known) == len(readings):
            mass = sum(m for _, m in known) / len(known)
            probs = {s: sum(p[s] for p, _ in known) / len(known) for s in rubric.scores}
            singles = [sum(s * p for s, p in spread.items()) for spread, _ in known]
            score = max(probs, key=probs.__getitem__)
            expected: float | None = sum(s * p for s, p in probs.items())
        else:
            singles = [float(reading.score) for reading, _ in readings]
            mean = sum(singles) / len(singles)
            expected = mean if len(singles) > 1 else None
            score = min(rubric.scores, key=lambda s: abs(s - mean))
        # What is shown is the answer that stands nearest to the mean of all.
        centre = expected if expected is not None else float(score)
        nearest = min(range(len(readings)), key=lambda i: abs(singles[i] - centre))
        reading, answer = readings[nearest]
        return Judgment(
            task_id=part.task.id,
            sample_id=part.task.sample.id,
            criterion=part.task.criterion.name,
            judge=self.id,
            score=score,
            normalized=rubric.normalize(score),
            expected=expected,
            score_probs=probs,
            mass=mass,
            reasoning=reading.reasoning,
            highlights=self._placed(reading, part.task),
            sampled=tuple(singles) if self.samples > 1 else (),
            cuts=part.cuts,
            repaired=tuple(dict.fromkeys(r for each, _ in readings for r in each.repaired)),
            adjusted=tuple(dict.fromkeys(a for _, each in readings for a in each.adjusted)),
            usage=_spent(part),
            raw_text=answer.text,
        )

    def _placed(self, reading: Reading, task: JudgeTask) -> tuple[Highlight, ...]:
        """Phrases with their places. The model saw defused text, which has the same offsets."""
        if not reading.phrases:
            return ()
        shown = self.format.shown(task)
        fields = [(f.name, shown[f.name]) for f in task.sample.judged]
        placed = []
        for phrase in reading.phrases:
            found = place(phrase, fields)
            if found.match == "exact":
                span = found.spans[0]
                original = task.sample[span.field][span.start : span.end]
                found = found.model_copy(update={"phrase": original})
            placed.append(found)
        return tuple(placed)

    def close(self) -> None:
        """Let the backend go."""
        self.backend.close()

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def default_format(backend: Backend) -> str | Format:
    """The form a model was trained in: what is recorded with it, else what its name tells."""
    recorded = dict(backend.form or {})
    form = recorded.pop("format", None) or _named_format(backend.id)
    if form == "nano":
        # Reason first always explains; a backend that cannot is told so by the judge.
        explains = recorded.get("order") == "reason-first" or backend.capabilities.explanations
        return make_format(form, explain=explains, **recorded)
    return form


def _named_format(backend_id: str) -> str:
    provider, _, model = backend_id.partition("/")
    other = "chat-json" if provider == "openai" else "nano"
    told = (form for word, form in _TRAINED_FORMATS.items() if word in model.casefold())
    return next(told, other)


_Arrival = tuple[_Open, _Part, int, Generation | GliderError]


def _spent(part: _Part) -> Usage:
    """What all answers to a part cost, those that cannot be used among them."""
    spent = part.spent
    for _, answer in sorted(part.answers.items()):
        if isinstance(answer, Generation | BackendError):
            spent = spent + (answer.usage or Usage())
    return spent


class _Crash(GliderError):
    """An error of ours inside a backend: not a failed judgment, it stops the run."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _beginning(item: tuple[object, _Open]) -> str:
    prompt = item[1].parts[0].prompt
    return "" if prompt is None else "\n".join(m.content for m in prompt.messages)


def _folded(done: _Open) -> Judgment | Failure | Comparison:
    outcomes = [part.outcome for part in done.parts if part.outcome is not None]
    return done.work.fold(outcomes) if isinstance(done.work, PairTask) else outcomes[0]


def _in_order(held: dict[int, Judgment | Failure | Comparison], first: int) -> list[int]:
    last = first
    while last in held:
        last += 1
    return list(range(first, last))


def _spread(answer: Generation, labels: Mapping[str, int]) -> tuple[dict[int, float], float] | None:
    """Probability of each score, summing to 1, and the share of all that lay on them.

    None where a number is no probability: nothing is made up of the others.

    Args:
        labels: how each score is written in this format, a letter perhaps.
    """
    if answer.label_logprobs is None:
        return None
    logprobs = answer.label_logprobs
    if not all(value <= PROBABLE for value in logprobs.values()):  # NaN is not, either.
        return None
    raw = {score: math.exp(logprobs.get(text, -math.inf)) for text, score in labels.items()}
    mass = sum(raw.values())
    if mass <= 0:
        return None
    return {score: p / mass for score, p in raw.items()}, min(mass, 1.0)


def _shortened(sample: Sample, error: PromptTooLong) -> tuple[Sample, Cut] | None:
    """The sample with its longest text cut at the end; None if nothing is left to cut."""
    longest = max(sample.fields, key=lambda f: len(f.text))
    if len(longest.text) < 200:
        return None
    total = sum(len(f.text) for f in sample.fields)
    # Without counts, halve; with them, cut what is over and a tenth more.
    over = 0.5
    if error.tokens and error.limit:
        over = 1 - error.limit / error.tokens
    remove = min(int(total * over * 1.1) + 40, len(longest.text) - 100)
    kept = len(longest.text) - remove
    fields = tuple(
        Field(name=f.name, text=f.text[:kept], role=f.role) if f is longest else f
        for f in sample.fields
    )
    cut = Cut(field=longest.name, kept=kept, of=len(longest.text))
    return Sample(id=sample.id, fields=fields, metadata=sample.metadata), cut


def _merge(cuts: tuple[Cut, ...], new: Cut) -> tuple[Cut, ...]:
    """Cutting a field again keeps its first length as the whole."""
    before = next((cut for cut in cuts if cut.field == new.field), None)
    rest = tuple(cut for cut in cuts if cut.field != new.field)
    return (*rest, Cut(field=new.field, kept=new.kept, of=before.of if before else new.of))
