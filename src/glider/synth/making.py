"""Make the records of a plan concurrently; each call is journaled before its answer is used.

A run that is killed resumes at the level of calls: journaled answers are not paid for
again. A record whose call failed for a transient reason (no connection, a full queue) stays
open and is retried on resume. Memory holds the open records, one byte per finished record
and 256 bytes per kept text.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from glider._version import __version__
from glider.backends.base import Backend
from glider.core.errors import BackendError
from glider.core.judgments import Usage
from glider.store.folder import locked_folder
from glider.store.journal import Journal
from glider.store.manifest import read_manifest
from glider.synth.blind import Verifier
from glider.synth.chain import TEACHER, chain
from glider.synth.drawer import Drawer
from glider.synth.duplicates import TextIndex
from glider.synth.funnel import Funnel
from glider.synth.open_chain import OpenChain, ended_chains
from glider.synth.plan import Plan
from glider.synth.records import CallRecord, SynthManifest, SynthRecord


@dataclass(frozen=True, slots=True)
class Made:
    """The result of a run."""

    folder: Path
    funnel: Funnel
    open: int
    """Unfinished records: the budget is spent, or calls failed for transient reasons."""
    failed: dict[str, int] = field(default_factory=dict)
    """Failed calls of this run, by error code."""
    failed_usage: Usage = field(default_factory=Usage)
    """Usage of this run's failed calls, which no record includes."""


def make_records(
    drawer: Drawer,
    *,
    size: int,
    folder: Path,
    teacher: Backend,
    writers: Sequence[Backend] = (),
    verifiers: Sequence[Verifier] = (),
    licence: str = "not stated",
    resume: bool = False,
    progress: Callable[[int, int, int], None] = lambda _ended, _kept, _size: None,
) -> Made:
    """Make the first `size` records of a plan in a folder, or resume a folder.

    Args:
        teacher: writes texts and judgments.
        writers: write texts too; which of them or the teacher does is drawn for each record. The
            two outputs of a pair are by two of them.
        verifiers: read each text without knowing its target score.
        licence: licence and terms of the teacher's output; stored with every record.
        resume: continue from the folder's journal.
        progress: called with the numbers of ended, kept and requested records.

    Raises:
        RunError, ManifestMismatch: as `locked_folder`; or the disk is full.
        BackendError: an engine rejects every request (a wrong key).
    """
    manifest = SynthManifest(
        run_id=folder.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        glider=__version__,
        plan=drawer.plan.model_dump(mode="json"),
        drawn_from=drawer.content_id,
        teacher=teacher.id,
        writers=tuple(writer.id for writer in writers),
        two_writers=bool(writers),
        verifiers=tuple(verifier.id for verifier in verifiers),
        licence=licence,
        size=size,
    )
    with ExitStack() as stack:
        stack.enter_context(locked_folder(folder, manifest, resume=resume, kind="synthesis"))
        ended = stack.enter_context(_EndedRecords(folder, drawer.plan))
        calls = stack.enter_context(_Calls(folder, ended))
        begun = read_manifest(folder, SynthManifest, "synthesis")
        making = _Making(
            drawer, teacher, writers, verifiers, calls, ended, two_writers=begun.two_writers
        )
        for _ in making.run(size):
            progress(ended.funnel.drawn, ended.funnel.kept, size)
        ended.funnel.write(folder)
    still_open = sum(not ended.has(number) for number in range(size))
    return Made(folder, ended.funnel, still_open, dict(making.failed), making.failed_usage)


class _EndedRecords(Journal[SynthRecord]):
    """The ended records on disk; memory holds numbers, counts and hashes of kept texts."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.funnel = Funnel()
        self.texts = TextIndex(plan.duplicates, plan.similar)
        self._ended = bytearray()
        super().__init__(folder / "records.jsonl", SynthRecord, keep=self._read)

    def _read(self, record: SynthRecord) -> bool:
        for text in record.texts[:1]:
            names = record.draw.judged_names
            self.texts.claim(record.number, [text.material[name] for name in names])
        self._count(record)
        return False

    def add(self, record: SynthRecord) -> None:
        super().add(record)
        self._count(record)

    def _count(self, record: SynthRecord) -> None:
        missing = record.number + 1 - len(self._ended)
        self._ended.extend(bytes(max(0, missing)))
        self._ended[record.number] = 1
        self.texts.settle(record.number, kept=record.kept)
        self.funnel.count(record)

    def has(self, number: int) -> bool:
        """Whether this record has ended."""
        return number < len(self._ended) and bool(self._ended[number])


class _Calls(Journal[CallRecord]):
    """The paid answers; those of unfinished records are reused."""

    def __init__(self, folder: Path, ended: _EndedRecords) -> None:
        super().__init__(
            folder / "calls.jsonl", CallRecord, keep=lambda call: not ended.has(call.number)
        )
        self._unused: dict[int, dict[str, CallRecord]] = {}
        for call in self.before:
            self._unused.setdefault(call.number, {})[call.step] = call
        self.before.clear()
        self._lock = threading.Lock()

    def add(self, record: CallRecord) -> None:
        with self._lock:
            super().add(record)

    def taken_up(self, number: int) -> dict[str, CallRecord]:
        """Return the journaled answers of a record by step; each record's are returned once."""
        return self._unused.pop(number, {})


class _Making:
    """Keeps teacher and verifiers busy with open records."""

    def __init__(
        self,
        drawer: Drawer,
        teacher: Backend,
        writers: Sequence[Backend],
        verifiers: Sequence[Verifier],
        calls: _Calls,
        ended: _EndedRecords,
        *,
        two_writers: bool,
    ) -> None:
        self.two_writers = two_writers
        self.drawer, self.verifiers, self.calls, self.ended = drawer, verifiers, calls, ended
        self.writers = tuple(writer.id for writer in writers)
        self.backends: dict[str, Backend] = {TEACHER: teacher}
        self.backends |= {writer.id: writer for writer in writers}
        self.backends |= {verifier.id: verifier.backend for verifier in verifiers}
        self.failed: Counter[str] = Counter()
        self.failed_usage = Usage()

    def run(self, size: int) -> Iterator[None]:
        """Work until every record has ended or is blocked; yields after each end."""
        engines = {id(backend): backend for backend in self.backends.values()}
        room = sum(backend.limits.in_flight for backend in engines.values())
        todo = (n for n in range(size) if not self.ended.has(n))
        for record in ended_chains(todo, self._begin, room=room, failed=self._count):
            self.ended.add(record)
            yield

    def _count(self, error: BackendError) -> None:
        self.failed[error.code] += 1
        self.failed_usage = self.failed_usage + (error.usage or Usage())

    def _begin(self, number: int) -> "Future[SynthRecord]":
        texts = self.ended.texts
        steps = chain(
            self.drawer.draw(number),
            self.drawer.plan,
            self.verifiers,
            partial(texts.claim, number),
            self.writers,
            two_writers=self.two_writers,
        )
        return OpenChain(
            number,
            steps,
            self.backends,
            journaled=self.calls.taken_up(number),
            journal=self.calls.add,
            # Other records may use its texts until this one resumes.
            failed=partial(texts.settle, number, kept=False),
        ).begin()
