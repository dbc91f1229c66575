"""Read the kept records of a synthesis blind once more, by a model that had no part in it.

The teacher is not asked again. Each reading is journaled in `RUN/readings.jsonl`, and the funnel,
the page, the card and the exported records count it from then on. Nothing is left out of the run.
"""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from random import Random

from glider.core.errors import BackendError, RunError
from glider.core.generation import Decoding
from glider.core.judgments import Usage
from glider.core.locks import lock
from glider.formats.base import Prompt
from glider.judging.settings import Progress
from glider.store.journal import Journal, read_journal
from glider.store.manifest import read_manifest
from glider.synth.blind import Verifier, read_blind
from glider.synth.chain import Call
from glider.synth.draw import Aspect
from glider.synth.open_chain import OpenChain, ended_chains
from glider.synth.records import (
    READINGS,
    CallRecord,
    LaterReading,
    SynthManifest,
    SynthRecord,
    task_of,
)
from glider.synth.settings import VerifierSettings


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read."""

    by: str
    """Model and format of the verifier."""
    read: int
    """Texts read now."""
    there: int
    """Texts that this verifier had read before."""
    failed: dict[str, int]
    """Texts whose call failed, by error code; the same command asks again."""
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
    before, read, usage = len(there), 0, Usage()
    failed: Counter[str] = Counter()
    todo = (
        (record, place)
        for record in _records(run)
        for place in range(len(record.texts) if record.number in wanted else 0)
        if (record.number, place) not in there
    )

    def begin(item: tuple[SynthRecord, int]) -> "Future[LaterReading]":
        record, _ = item
        steps = _reading(verifier, *item)
        return OpenChain(record.number, steps, {verifier.id: verifier.backend}).begin()

    def count(error: BackendError) -> None:
        failed[error.code] += 1

    room = verifier.backend.limits.in_flight
    for reading in ended_chains(todo, begin, room=room, failed=count):
        journal.add(reading)
        usage, read = usage + reading.usage, read + 1
        progress(before + read, texts)
    return Verified(verifier.id, read, before, dict(failed), usage)


def _records(run: Path) -> Iterator[SynthRecord]:
    return read_journal(run / "records.jsonl", SynthRecord)


def _reading(
    verifier: Verifier, record: SynthRecord, place: int
) -> Generator[Call, CallRecord, LaterReading]:
    """Read one text of a record; of a pair, in one order after the other."""
    text, usage = record.texts[place], Usage()

    def ask(order: int, prompt: Prompt) -> Generator[Call, CallRecord, CallRecord]:
        nonlocal usage
        decoding = Decoding(temperature=0.0, top_p=1.0, max_tokens=prompt.max_tokens, seed=0)
        answer = yield Call(f"later-{place}-{order}", verifier.id, prompt, decoding)
        usage = usage + answer.usage
        return answer

    task = task_of(record, text)
    aspect = Aspect(criterion=task.criterion, target=text.right.score, wrong=text.wrong.score)
    check = yield from read_blind(record.draw, task.sample, aspect, verifier, ask)
    return LaterReading(
        number=record.number, place=place, target=text.right.score, check=check, usage=usage
    )
