"""Read the kept records of a synthesis blind once more, by a model that had no part in it.

The teacher is not asked again. Each reading is journaled in `RUN/readings.jsonl`, and the funnel,
the page, the card and the exported records count it from then on. Nothing is left out of the run.
"""

import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from glider.backends.composed import ComposedFuture
from glider.backends.in_flight import in_flight
from glider.core.errors import BackendError, Filtered, PromptTooLong, RunError
from glider.core.generation import Decoding, Generation, GenerationRequest
from glider.core.judgments import Usage
from glider.core.locks import lock
from glider.formats.base import Prompt
from glider.judging.settings import Progress
from glider.store.journal import Journal, read_journal
from glider.store.manifest import read_manifest
from glider.synth.blind import Verifier, read_blind
from glider.synth.chain import Call, answer_of
from glider.synth.draw import Aspect
from glider.synth.records import (
    READINGS,
    BlindReading,
    CallRecord,
    LaterReading,
    SynthManifest,
    SynthRecord,
    Text,
    task_of,
)
from glider.synth.settings import VerifierSettings

_MOST_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read."""

    by: str
    """Model and format of the verifier."""
    read: int
    """Texts read now."""
    there: int
    """Texts that this verifier had read before."""
    failed: int
    """Texts whose call failed; the same command asks again."""
    usage: Usage


def verify_synthesis(
    run: Path,
    settings: VerifierSettings,
    *,
    progress: Callable[[int, int], None] = lambda _read, _all: None,
    fetching: Progress | None = None,
) -> Verified:
    """Read kept texts blind; what this verifier has read already is not asked again.

    Args:
        progress: called with the numbers of read and wanted texts.
        fetching: called with the progress of a model download.

    Raises:
        RunError: `run` is not a synthesis, nothing was kept, or it is in use.
        SetupError, UnknownName: the settings contradict the model, or there is no such model.
        BackendError: the engine rejects every request.
    """
    read_manifest(run, SynthManifest, "synthesis")
    kept = [r.number for r in _records(run) if r.kept]
    if not kept:
        raise RunError(f"{run} has no record that was kept")
    if settings.sample is not None and settings.sample < len(kept):
        kept = Random(f"{settings.seed}:readings").sample(kept, settings.sample)
    wanted, held = set(kept), lock(run / ".lock")
    try:
        with settings.open(fetching) as verifier:
            there: set[tuple[int, int]] = set()

            def note(reading: LaterReading) -> bool:
                if reading.check.by == verifier.id:
                    there.add((reading.number, reading.place))
                return False

            with Journal(run / READINGS, LaterReading, keep=note) as journal:
                return _read_all(run, verifier, wanted, there, journal, progress)
    finally:
        os.close(held)


def _read_all(
    run: Path,
    verifier: Verifier,
    wanted: set[int],
    there: set[tuple[int, int]],
    journal: "Journal[LaterReading]",
    progress: Callable[[int, int], None],
) -> Verified:
    texts = sum(len(r.texts) for r in _records(run) if r.number in wanted)
    before, read, failed, in_a_row = len(there), 0, 0, 0
    usage = Usage()
    refusal: BackendError | None = None

    def todo() -> Iterator[tuple[SynthRecord, int]]:
        for record in _records(run):
            for place in range(len(record.texts) if record.number in wanted else 0):
                if refusal is not None or in_a_row >= _MOST_FAILURES:
                    return
                if (record.number, place) not in there:
                    yield record, place

    def begin(item: tuple[SynthRecord, int]) -> "Future[LaterReading]":
        return _OpenReading(verifier, *item).begin()

    for _, future in in_flight(todo(), begin, room=verifier.backend.limits.in_flight):
        try:
            reading = future.result()
        except BackendError as error:
            failed, in_a_row = failed + 1, in_a_row + 1
            if error.stops_run:
                refusal = refusal or error
            continue
        in_a_row = 0
        journal.add(reading)
        usage, read = usage + reading.usage, read + 1
        progress(before + read, texts)
    if refusal is not None:
        raise refusal
    return Verified(verifier.id, read, before, failed, usage)


def _records(run: Path) -> Iterator[SynthRecord]:
    return read_journal(run / "records.jsonl", SynthRecord)


class _OpenReading(ComposedFuture[LaterReading]):
    """A reading in progress; of a pair, one call after the other."""

    def __init__(self, verifier: Verifier, record: SynthRecord, place: int) -> None:
        super().__init__()
        self._verifier, self._record, self._place = verifier, record, place
        self._usage = Usage()
        self._steps = self._reading(record.texts[place])

    def begin(self) -> "Future[LaterReading]":
        """Make the first call."""
        self._continue(None)
        return self.future

    def _reading(self, text: Text) -> Generator[Call, CallRecord, BlindReading]:
        record = self._record
        task = task_of(record, text)
        aspect = Aspect(criterion=task.criterion, target=text.right.score, wrong=text.wrong.score)
        return (yield from read_blind(record.draw, task.sample, aspect, self._verifier, self._ask))

    def _ask(self, order: int, prompt: Prompt) -> Generator[Call, CallRecord, CallRecord]:
        decoding = Decoding(temperature=0.0, top_p=1.0, max_tokens=prompt.max_tokens, seed=0)
        answer = yield Call(f"later-{self._place}-{order}", self._verifier.id, prompt, decoding)
        self._usage = self._usage + answer.usage
        return answer

    def _continue(self, answer: CallRecord | None) -> None:
        try:
            call = self._steps.send(answer)  # type: ignore[arg-type]
        except StopIteration as ended:
            self.end(
                LaterReading(
                    number=self._record.number,
                    place=self._place,
                    target=self._record.texts[self._place].right.score,
                    check=ended.value,
                    usage=self._usage,
                )
            )
            return
        request = GenerationRequest(
            id=f"{self._record.number}-{call.step}",
            messages=call.prompt.messages,
            opening=call.prompt.opening,
            grammar=call.prompt.grammar,
            decoding=call.decoding,
        )
        self.wait_for(self._verifier.backend.submit(request), partial(self._take, call))

    def _take(self, call: Call, future: "Future[Generation]") -> None:
        number = self._record.number
        try:
            answer = answer_of(call, number, future.result())
        except (PromptTooLong, Filtered) as error:
            answer = CallRecord(
                number=number, step=call.step, error=error.code, usage=error.usage or Usage()
            )
        self._continue(answer)
