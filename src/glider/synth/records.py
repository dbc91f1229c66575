"""What a synthesis writes to disk: calls as they arrive, and how each record ended.

manifest.json    plan, teacher, verifier, seeds; written once
calls.jsonl      one line per paid answer, written before the answer is processed
records.jsonl    one line per ended record: kept, with all its data; or the reason for rejection
readings.jsonl   one line per blind reading of a kept text afterwards (`glider synth verify`)
funnel.json      losses by stage; can be recomputed from records.jsonl
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from glider.core.base import Frozen
from glider.core.criteria import Criterion, pairwise
from glider.core.judgments import Highlight, Usage
from glider.core.samples import Sample
from glider.core.tasks import COMPARED, JudgeTask
from glider.store.journal import read_journal
from glider.store.manifest import AnyManifest
from glider.synth.draw import Draw
from glider.synth.steps import sample_of

Verdict = Literal["agrees", "off by one", "contradicts", "cannot tell"]
STAGES = ("written", "legal", "distinct", "verified", "verbatim")
"""The stages a drawn record must pass, in order; a record that passes all of them is kept."""


class CallRecord(Frozen):
    """One answer of a teacher or verifier."""

    number: int
    """Number of the record it belongs to."""
    step: str
    text: str = ""
    finish: Literal["stop", "length"] = "stop"
    error: str | None = None
    """Code of a permanent failure that the prompt causes, so that retrying would not help."""
    usage: Usage = Usage()


class Judged(Frozen):
    """A judgment of the material."""

    score: int
    reasoning: str
    highlights: tuple[Highlight, ...]


class BlindReading(Frozen):
    """A blind reading."""

    by: str
    """Model and format."""
    score: int | None = None
    """None if the reader cannot tell."""
    verdict: Verdict


class LaterReading(Frozen):
    """A blind reading of a kept text by a model that had no part in making it."""

    version: int = 1
    number: int
    """Number of the record."""
    place: int
    """Of the text within the record, from 0."""
    target: int
    """The label of the text when it was read: the right judgment's score."""
    check: BlindReading
    usage: Usage = Usage()


class Text(Frozen):
    """One text of a record, with both judgments of it."""

    material: Mapping[str, str]
    """Text by field name, in display order."""
    target: int
    """The score the text was written to earn."""
    right: Judged
    wrong: Judged
    criterion: Criterion | None = None
    """Of a profile, which criterion the scores are under; otherwise it is the record's."""
    checks: tuple[BlindReading, ...] = ()
    rewritten: bool = False
    """Whether the score comes from the blind reading rather than the target."""


class LostPart(Frozen):
    """A criterion of a profile under which the document is not kept."""

    criterion: str
    stage: str
    reason: str


class SynthRecord(Frozen):
    """How one record ended."""

    version: int = 1
    number: int
    draw: Draw
    stage: str = "kept"
    """`kept`, or the stage that rejected the record."""
    reason: str = ""
    seen: str = ""
    texts: tuple[Text, ...] = ()
    """One text; two for a minimal pair; for a profile, one text under each criterion kept."""
    lost_parts: tuple[LostPart, ...] = ()
    writer: str = ""
    """The model that wrote the texts; empty if it is the teacher."""
    second_writer: str | None = None
    """The model that wrote the second output of a pair; None if it is the same model."""
    checks: tuple[tuple[int, BlindReading], ...] = ()
    """Target and blind reading of every text that was read blind, kept or not."""
    usage: Usage = Usage()
    """Usage of all the record's calls."""

    @property
    def kept(self) -> bool:
        """Whether the record passed every stage."""
        return self.stage == "kept"

    def criterion_of(self, text: Text) -> Criterion:
        """The criterion of a text's scores; for a pair, the pointwise one."""
        return text.criterion or self.draw.criterion


READINGS = "readings.jsonl"


def later_readings(run: Path) -> dict[int, list[LaterReading]]:
    """Return the readings of a synthesis that were made afterwards, by record number.

    Raises:
        DataError: a line is damaged.
    """
    found: dict[int, list[LaterReading]] = {}
    for reading in read_journal(run / READINGS, LaterReading):
        found.setdefault(reading.number, []).append(reading)
    return found


def task_of(record: SynthRecord, text: Text) -> JudgeTask:
    """Return the judge task of a text, with the record's own field names."""
    draw, criterion = record.draw, record.criterion_of(text)
    sample = sample_of(draw, text.material, id=str(record.number))
    if draw.kind != "pair":
        return JudgeTask(sample, criterion)
    outputs = tuple(field for field in sample.judged if field.name in COMPARED)
    return JudgeTask(Sample(id=sample.id, fields=(*sample.told, *outputs)), pairwise(criterion))


class SynthManifest(AnyManifest):
    """The inputs of a synthesis."""

    version: int = 1
    run_id: str
    created_at: str
    glider: str
    plan: dict[str, object]
    drawn_from: str
    """Hash of the domains, criteria and passages to draw from."""
    teacher: str
    writers: tuple[str, ...] = ()
    """Further models that write texts."""
    two_writers: bool = False
    """Whether the two outputs of a pair are by different models; not in runs of Glider 0.1."""
    verifiers: tuple[str, ...]
    licence: str
    """Licence of the teacher's output, as stated by the user."""
    size: int
    """Number of records to draw; a resumed synthesis may raise it."""

    def _decisive(self) -> dict[str, object]:
        mine = self.model_dump()
        keys = ("plan", "drawn_from", "teacher", "writers", "verifiers", "licence")
        return {key: mine[key] for key in keys}
