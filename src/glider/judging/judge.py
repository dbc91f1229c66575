"""Judge: prepare, generate, read. The file to read first.

A Judge knows neither engine nor prompt; both are passed in. Preparing a prompt (`_prepare`) and
reading the answers (`_read_all`) do no I/O; only the backend does. `submit` takes one task or pair
and returns a future of its outcome; everything else builds on it. `stream` takes work as needed and
yields outcomes as they are ready, so that a million rows are never in memory at once.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, TypeVar

from glider.backends import open_backend
from glider.backends.base import Backend, check_writes
from glider.backends.composed import ComposedFuture
from glider.backends.in_flight import in_flight
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
from glider.text.claims import false_claims
from glider.text.language import language_of
from glider.text.spans import place
from glider.text.thinking import split_thinking

Key = TypeVar("Key")
Work = JudgeTask | PairTask
Result = Judgment | Failure | Comparison

_MOST_CUTS = 8
"""How many times to shorten a sample before it fails."""
_TRAINED_FORMATS = {
    "glider-nano": "nano",
    "glider": "glider",
    "prometheus": "prometheus",
    "flow-judge": "flow-judge",
}
"""A word in a judge model's name to its trained format; the first match counts."""


@dataclass
class _Part:
    """One task of a work item, with the answers received so far."""

    task: JudgeTask
    asked: JudgeTask
    """The task as sent to the model, possibly shortened."""
    prompt: Prompt | None
    missing: int
    answers: dict[int, Generation | GliderError] = field(default_factory=dict)
    """Answers by sample number, in order of arrival."""
    spent: Usage = field(default_factory=Usage)
    """Usage of answers that were discarded when the text was shortened."""
    cuts: tuple[Cut, ...] = ()
    times_cut: int = 0
    outcome: Judgment | Failure | None = None


class Judge:
    """Judges samples under criteria with one model."""

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
        """Set up a judge.

        Args:
            model: `provider/model`, or a backend.
            format: prompt format; by default the one that the model was trained in.
            samples: answers sampled per task; their expected scores are averaged (mean, not vote).
            temperature: used only if `samples` is above 1; a single answer is greedy.
            max_tokens: longest answer; default is the format's own limit.
            truncate: shorten a text that does not fit and mark the cut; otherwise the task fails.

        Raises:
            SetupError: the model cannot answer in this format, or settings contradict each other.
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
        if self.format.explains:
            check_writes(
                self.backend,
                f"the explanation that {self.format.id} asks for",
                hint="use --no-explain, or another backend",
            )
        self.samples, self.temperature, self.seed = samples, temperature, seed
        self.max_tokens, self.truncate = max_tokens, truncate
        self.languages = tuple((self.backend.trained_format or {}).get("languages", "").split())
        """Languages in which the judge is known to be better than chance; empty: not recorded."""
        self.numbers = count()
        """Numbers that distinguish the requests of equal tasks."""
        self.window = 256
        """Work items that `stream` reorders together, to place those with a common prompt prefix
        side by side; 1 if the backend gains nothing from it."""
        if not self.backend.capabilities.prefix_cache:
            self.window = 1

    @property
    def options(self) -> dict[str, Any]:
        """Arguments that set up another judge like this one, on the same backend."""
        return {
            "model": self.backend,
            "format": self.format,
            "samples": self.samples,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "truncate": self.truncate,
            "seed": self.seed,
        }

    @property
    def in_flight(self) -> int:
        """Number of requests worth keeping in flight."""
        return self.backend.limits.in_flight

    def n_requests(self, work: Work) -> int:
        """Return the number of requests that a work item starts with."""
        return self.samples * len(_tasks(work))

    @property
    def id(self) -> str:
        """Model and format, as recorded in each outcome."""
        return f"{self.backend.id} {self.format.id}"

    def judge(self, sample: Sample | str, criterion: Criterion | str) -> Judgment:
        """Judge one text; raise if it fails.

        Args:
            sample: a sample, or just the output text.
            criterion: a criterion, the name of a built-in one, or a YAML file.

        Raises:
            JudgmentFailed: with the Failure.
            AccessRefused: the endpoint refuses every request.
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
        """Judge every task lazily: one outcome each, in order; a task that fails is a Failure.

        Raises:
            AccessRefused: the endpoint refuses every request: no key, no credit, no such model.
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
        """Judge (key, work) pairs; yield (key, outcome) when ready, or in order.

        Takes from `items` only as much as keeps the backend busy. Closing the generator early
        cancels all open requests.

        Raises:
            AccessRefused: after all open requests have been yielded; no further ones are sent.
        """
        refused: BackendError | None = None

        def wanted() -> Iterator[tuple[int, Key, Work]]:
            for item in self._arranged((n, key, work) for n, (key, work) in enumerate(items)):
                if refused is not None:
                    return
                yield item

        for (_, key, _), future in in_flight(
            wanted(),
            lambda item: self.submit(item[2]),
            room=self.in_flight,
            size=lambda item: self.n_requests(item[2]),
            place=(lambda item: item[0]) if ordered else None,
        ):
            error = future.exception()
            if isinstance(error, BackendError) and error.stops_run:
                refused = refused or error
            else:
                yield key, future.result()
        if refused is not None:
            raise refused

    def submit(self, work: Work) -> "Future[Result]":
        """Start one work item, from any thread, without blocking.

        The future gives the outcome, or raises an error that does not concern this item alone: one
        that stops the run, or a bug in the backend. Cancelling it cancels its requests.
        """
        return _Judging(self, work).begin()

    def _arranged(self, items: Iterable[tuple[int, Key, Work]]) -> Iterator[tuple[int, Key, Work]]:
        """Reorder items within a window so that neighbours share long prompt prefixes."""
        if self.window == 1:
            yield from items
            return
        window: list[tuple[int, Key, Work]] = []
        for item in items:
            window.append(item)
            if len(window) == self.window:
                yield from sorted(window, key=lambda item: self._beginning(item[2]))
                window = []
        yield from sorted(window, key=lambda item: self._beginning(item[2]))

    def _beginning(self, work: Work) -> str:
        try:
            messages = self.format.render(_tasks(work)[0]).messages
        except GliderError:
            return ""
        return "\n".join(message.content for message in messages)

    def _prepare(self, task: JudgeTask) -> _Part:
        """Return a task with its prompt or its failure."""
        try:
            return _Part(task, task, self.format.render(task), self.samples)
        except GliderError as error:
            part = _Part(task, task, None, 0)
            part.outcome = Failure.of(error, task, judge=self.id)
            return part

    def _requests(self, part: _Part) -> Iterator[tuple[int, GenerationRequest]]:
        """Yield one numbered request for each sample of a part."""
        assert part.prompt is not None
        prompt, group = part.prompt, next(self.numbers)
        for number in range(self.samples):
            yield (
                number,
                GenerationRequest(
                    id=f"{part.task.id}-{group}-{number}",
                    messages=prompt.messages,
                    opening=prompt.opening,
                    grammar=prompt.grammar,
                    labels=prompt.labels,
                    decoding=Decoding(
                        temperature=self.temperature if self.samples > 1 else 0.0,
                        max_tokens=self.max_tokens or prompt.max_tokens,
                        seed=self.seed + number,
                    ),
                ),
            )

    def _shorten(self, part: _Part) -> bool:
        """Cut a text that did not fit, if allowed; return whether to send the part again."""
        if not self.truncate or part.times_cut == _MOST_CUTS:
            return False
        answers = part.answers.values()
        too_long = next((a for a in answers if isinstance(a, PromptTooLong)), None)
        shorter = _shortened(part.asked.sample, too_long) if too_long else None
        if shorter is None:
            return False
        sample, cut = shorter
        asked = JudgeTask(sample, part.task.criterion)
        part.asked, part.prompt = asked, self.format.render(asked)
        part.cuts, part.times_cut = _merge(part.cuts, cut), part.times_cut + 1
        part.spent = _spent(part)
        part.answers, part.missing = {}, self.samples
        return True

    def _read_all(self, part: _Part) -> Judgment | Failure:
        """Combine all answers to a task into one outcome: the mean of those that can be read."""
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
                raise MissingPart("text", "the whole answer is reasoning")
            return self.format.read(said.lstrip() if thought else said, part.asked)
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
        # All or none: averaging distributions with bare scores would weight them unequally.
        if known and len(known) == len(readings):
            if not any(answer.masked for _, answer in readings):
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
        # Show the answer whose score is nearest to the mean.
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
            highlights=self._placed(reading, part.asked),
            sampled=tuple(singles) if self.samples > 1 else (),
            cuts=part.cuts,
            repaired=tuple(dict.fromkeys(r for each, _ in readings for r in each.repaired)),
            adjusted=tuple(dict.fromkeys(a for _, each in readings for a in each.adjusted)),
            warnings=(
                *self._of_languages(part.asked.sample),
                *false_claims(reading.reasoning or "", part.task),
            ),
            usage=_spent(part),
            raw_text=answer.text,
        )

    def _of_languages(self, sample: Sample) -> tuple[str, ...]:
        """Warn about texts in languages in which the judge is not known to beat chance."""
        if not self.languages:
            return ()
        told = (language_of(field.text) for field in sample.judged)
        other = dict.fromkeys(code for code in told if code and code not in self.languages)
        known = ", ".join(self.languages)
        return tuple(
            f"text in {code}; this judge is better than chance in: {known}" for code in other
        )

    def _placed(self, reading: Reading, task: JudgeTask) -> tuple[Highlight, ...]:
        """Locate the quoted phrases. The model saw defused text, which has the same offsets."""
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
        """Close the backend."""
        self.backend.close()

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def default_format(backend: Backend) -> str | Format:
    """Return the format that a model was trained in: recorded with it, or implied by its name."""
    recorded: dict[str, Any] = dict(backend.trained_format or {})
    recorded.pop("languages", None)
    if "reason_words" in recorded:
        recorded["reason_words"] = int(recorded["reason_words"])
    form = recorded.pop("format", None) or _named_format(backend.id)
    if form == "nano":
        # Reason-first always explains; Judge refuses a backend that cannot.
        explains = recorded.get("order") == "reason-first" or backend.capabilities.explanations
        return make_format(form, explain=explains, **recorded)
    return form


def _named_format(backend_id: str) -> str:
    provider, _, model = backend_id.partition("/")
    other = "chat-json" if provider == "openai" else "nano"
    told = (form for word, form in _TRAINED_FORMATS.items() if word in model.casefold())
    return next(told, other)


def _spent(part: _Part) -> Usage:
    """Return the total usage of all answers to a part, including unusable ones."""
    spent = part.spent
    for _, answer in sorted(part.answers.items()):
        if isinstance(answer, Generation | BackendError):
            spent = spent + (answer.usage or Usage())
    return spent


class _Judging(ComposedFuture[Result]):
    """One work item in progress: sends its tasks and reads the answers."""

    def __init__(self, judge: Judge, work: Work) -> None:
        super().__init__()
        self._judge, self._work = judge, work
        self._tasks = [judge._prepare(task) for task in _tasks(work)]

    def begin(self) -> "Future[Result]":
        """Send all requests."""
        for part in self._tasks:
            if part.outcome is None:
                self._ask(part)
        self._end_if_whole()
        return self.future

    def _ask(self, part: _Part) -> None:
        for number, request in self._judge._requests(part):
            answer = self._judge.backend.submit(request)
            self.wait_for(answer, partial(self._take, part, number))

    def _take(self, part: _Part, number: int, answered: "Future[Generation]") -> None:
        error = answered.exception()
        if isinstance(error, BackendError) and error.stops_run:
            raise error
        if error is not None and not isinstance(error, GliderError):
            raise error  # a bug in a backend, not a failed judgment
        with self.lock:
            part.answers[number] = error or answered.result()
            part.missing -= 1
            if part.missing:
                return
        # Only the thread that delivers the last answer continues with the part.
        if self._judge._shorten(part):
            self._ask(part)
        else:
            part.outcome = self._judge._read_all(part)
            self._end_if_whole()

    def _end_if_whole(self) -> None:
        outcomes = [part.outcome for part in self._tasks if part.outcome is not None]
        if len(outcomes) == len(self._tasks):
            pair = isinstance(self._work, PairTask)
            self.end(self._work.fold(outcomes) if pair else outcomes[0])  # type: ignore[union-attr]


def _tasks(work: Work) -> tuple[JudgeTask, ...]:
    return work.tasks if isinstance(work, PairTask) else (work,)


def _spread(answer: Generation, labels: Mapping[str, int]) -> tuple[dict[int, float], float] | None:
    """Return the probability of each score, normalized to 1, and the total mass on the scores.

    Args:
        labels: how this format writes each score, for example as a letter.
    """
    if answer.label_logprobs is None:
        return None
    logprobs = answer.label_logprobs
    raw = {score: math.exp(logprobs.get(text, -math.inf)) for text, score in labels.items()}
    mass = sum(raw.values())
    if mass <= 0:
        return None
    return {score: p / mass for score, p in raw.items()}, min(mass, 1.0)


def _shortened(sample: Sample, error: PromptTooLong) -> tuple[Sample, Cut] | None:
    """Return the sample with the end of its longest text cut; None if nothing is left to cut."""
    longest = max(sample.fields, key=lambda f: len(f.text))
    if len(longest.text) < 200:
        return None
    total = sum(len(f.text) for f in sample.fields)
    # Without token counts, halve; with them, cut the excess and a tenth more.
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
    """Add a cut; cutting a field again keeps its original length."""
    before = next((cut for cut in cuts if cut.field == new.field), None)
    rest = tuple(cut for cut in cuts if cut.field != new.field)
    return (*rest, Cut(field=new.field, kept=new.kept, of=before.of if before else new.of))
