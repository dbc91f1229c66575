"""Convert subjects to what a probe needs: pairs to single outputs, single outputs to pairs.

Choices depend only on a hash of the texts, so every probe makes the same subject, and shared ones
are judged once.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, count

from glider.audit.probe import ProbeTask, Subject
from glider.audit.wordings import shortened
from glider.core.criteria import Criterion
from glider.core.samples import Field, Sample
from glider.core.tasks import JudgeTask
from glider.judging.pairs import PairTask


def singles(subjects: Sequence[Subject]) -> list[Subject]:
    """Return single outputs; one of the two of each pair."""
    return [_one_of(subject) if subject.is_pair else subject for subject in subjects]


def _one_of(pair: Subject) -> Subject:
    kept = pair.sample.judged[_parity(pair.sample)]
    return Subject(
        sample=with_output(pair.sample, kept.text),
        criterion=pair.criterion,
        shares=pair.shares,
    )


def pairs(subjects: Sequence[Subject]) -> list[Subject]:
    """Return the data's own pairs; if there are none, each output against its own first half."""
    own = [subject for subject in subjects if subject.is_pair]
    return own or [made for subject in subjects if (made := _beside_its_half(subject))]


def _beside_its_half(subject: Subject) -> Subject | None:
    text = subject.sample.judged[0].text
    half = shortened(text)
    if half == text or not half.strip():
        return None
    both = (half, text) if _parity(subject.sample) else (text, half)
    return beside(subject, *both)


def beside(subject: Subject, first: str, second: str) -> Subject:
    """Return a pair of two versions of one output."""
    sample = with_outputs(subject.sample, first, second)
    return replace(subject, sample=sample, gold=None, own=(), made=True)


def _parity(sample: Sample) -> int:
    return int(sample.content_id, 16) % 2


def text_of(subject: Subject) -> str:
    """The judged text of a single output."""
    return subject.sample.judged[0].text


def with_output(sample: Sample, text: str) -> Sample:
    """Return the sample with this text as its only judged field."""
    name = sample.judged[0].name if len(sample.judged) == 1 else "output"
    return _with(sample, Field(name=name, text=text, role="judged"))


def with_outputs(sample: Sample, first: str, second: str) -> Sample:
    """Return the sample with these two texts to compare."""
    return _with(
        sample,
        Field(name="output 1", text=first, role="judged"),
        Field(name="output 2", text=second, role="judged"),
    )


def with_note(sample: Sample, note: str) -> Sample:
    """Return the sample with a note in an additional field that is shown and not judged."""
    taken = {field.name.casefold() for field in sample.fields}
    names = chain(["note"], (f"note {number}" for number in count(2)))
    name = next(name for name in names if name not in taken)
    return Sample(id=sample.id, fields=(*sample.fields, Field(name=name, text=note)))


def _with(sample: Sample, *judged: Field) -> Sample:
    return Sample(id=sample.id, fields=sample.told + judged)


def grade(sample: Sample, criterion: Criterion, *, apart: str = "") -> ProbeTask:
    """Build the task of scoring a single output."""
    return ProbeTask(JudgeTask(sample, criterion), apart)


def compare(subject: Subject, *, both_orders: bool = True, swapped: bool = False) -> ProbeTask:
    """Build the task of choosing the better of two outputs."""
    first, second = (field.name for field in subject.sample.judged)
    if swapped:
        first, second = second, first
    return ProbeTask(PairTask(subject.sample, subject.criterion, first, second, both_orders))


def noted(subject: Subject, note: str) -> Subject:
    """Return the subject with a note beside its texts."""
    return replace(subject, sample=with_note(subject.sample, note))
