"""One record from draw to end, as a generator that yields calls and receives their answers.

It does no I/O and reads no clock, so an interrupted record resumes when it is sent the answers from
the journal. Free checks run before the next paid call; the blind reading runs before the judgments,
because it does not depend on them.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from glider.core.criteria import Criterion, pairwise
from glider.core.errors import ReadError, Truncated
from glider.core.generation import Decoding, Generation
from glider.core.judgments import Highlight, Span, Usage
from glider.core.samples import Field, Sample
from glider.formats.base import Prompt
from glider.synth.blind import Verifier, read_blind
from glider.synth.checks import RecordLost, Rejected, check_edit, check_material, check_written
from glider.synth.draw import Aspect, Draw
from glider.synth.plan import Plan
from glider.synth.records import (
    BlindReading,
    CallRecord,
    Judged,
    LostPart,
    SynthRecord,
    Text,
)
from glider.synth.steps import (
    Written,
    ask_edit,
    ask_judgment,
    ask_wrong,
    longest_highlight,
    read_edit,
    read_written,
    sample_of,
)
from glider.synth.stepwise import ask_reason
from glider.synth.writing import write_material
from glider.text.thinking import split_thinking

TEACHER = "teacher"


@dataclass(frozen=True, slots=True)
class Call:
    """A call to make."""

    step: str
    """Name of the call within the record."""
    to: str
    """`teacher`, or the id of a writer or verifier."""
    prompt: Prompt
    decoding: Decoding


_Chain = Generator[Call, CallRecord, SynthRecord]


class _Record:
    """The state of one chain."""

    def __init__(
        self,
        draw: Draw,
        plan: Plan,
        verifiers: Sequence[Verifier],
        claim: Callable[[Sequence[str]], bool],
        writers: Sequence[str],
        two_writers: bool,
    ) -> None:
        # The teacher writes too; a generator of its own, so that no draw depends on the models.
        models, drawn = [TEACHER, *writers], Random(f"{plan.seed}:{draw.number}:writer")
        self.writer, self.second_writer = drawn.choice(models), None
        if two_writers and draw.kind == "pair" and writers:
            self.writer, self.second_writer = drawn.sample(models, 2)
        self.draw, self.plan, self.verifiers, self.claim = draw, plan, verifiers, claim
        self.usage = Usage()
        self.checks: list[tuple[int, BlindReading]] = []
        self.texts: list[Text] = []
        self.lost_parts: list[LostPart] = []

    def run(self) -> _Chain:
        try:
            yield from self._all()
        except RecordLost as lost:
            rejected = lost.rejected
            return self._end(rejected.stage, rejected.reason, rejected.seen)
        return self._end("kept")

    def _end(self, stage: str, reason: str = "", seen: str = "") -> SynthRecord:
        return SynthRecord(
            number=self.draw.number,
            draw=self.draw,
            stage=stage,
            reason=reason,
            seen=seen,
            texts=tuple(self.texts),
            checks=tuple(self.checks),
            lost_parts=tuple(self.lost_parts),
            writer=_by(self.writer),
            second_writer=None if self.second_writer is None else _by(self.second_writer),
            usage=self.usage,
        )

    def _all(self) -> Generator[Call, CallRecord, None]:
        draw = self.draw
        sample = yield from self._sample()
        if draw.kind == "pair":
            sample = _compared_sample(sample)
        if draw.aspects:
            yield from self._aspects(sample)
            return
        (aspect,) = draw.scored
        if draw.kind == "pair":
            aspect = aspect.model_copy(update={"criterion": pairwise(draw.criterion)})
        text = yield from self._judged("", sample, aspect)
        if draw.kind in ("minimal", "edited"):
            twin = yield from self._twin(sample, aspect.criterion, text)
            self.texts = list(twin)
        else:
            self.texts = [text]

    def _aspects(self, sample: Sample) -> Generator[Call, CallRecord, None]:
        """Judge a document under each of its criteria; it is lost if none of them remains."""
        first: RecordLost | None = None
        for place, aspect in enumerate(self.draw.aspects):
            try:
                text = yield from self._judged(f"{place}-", sample, aspect)
            except RecordLost as lost:
                first = first or lost
                rejected = lost.rejected
                self.lost_parts.append(
                    LostPart(
                        criterion=aspect.criterion.name,
                        stage=rejected.stage,
                        reason=rejected.reason,
                    )
                )
            else:
                self.texts.append(text.model_copy(update={"criterion": aspect.criterion}))
        if not self.texts and first is not None:
            raise first

    def _sample(self) -> Generator[Call, CallRecord, Sample]:
        """Have the texts written, anew while they fail a check and the plan allows another try."""
        for attempt in range(self.plan.candidates):
            try:
                return (yield from self._candidate(attempt))
            except RecordLost:
                if attempt == self.plan.candidates - 1:
                    raise
        raise AssertionError("a plan has at least one candidate")

    def _candidate(self, attempt: int) -> Generator[Call, CallRecord, Sample]:
        draw, again = self.draw, f"-{attempt}" if attempt else ""

        def ask(
            step: str, prompt: Prompt, *, second: bool = False
        ) -> Generator[Call, CallRecord, str]:
            to = self.second_writer if second and self.second_writer else self.writer
            answer = yield from self._call(step + again, prompt, to=to, attempt=attempt)
            return self._text(answer, "written")

        try:
            two = self.second_writer is not None
            material = yield from write_material(draw, self.plan, ask, two_writers=two)
        except ReadError as error:
            why = "the answer is not the texts that were asked for"
            seen = f"{error}: {error.raw_text or ''}"[:200]
            raise RecordLost(Rejected("written", why, seen)) from error
        if draw.kind != "edited":  # A real text is what it is.
            self._refuse(check_material(draw, material, self.plan))
        sample = sample_of(draw, material, id=f"{draw.number}")
        if not self.claim([field.text for field in sample.judged]):
            raise RecordLost(
                Rejected("distinct", "near duplicate of another text", sample.judged[0].text[:200])
            )
        return sample

    def _judged(
        self, prefix: str, sample: Sample, aspect: Aspect
    ) -> Generator[Call, CallRecord, Text]:
        """Read a text blind, then have the right and a wrong judgment written."""
        draw, criterion, target = self.draw, aspect.criterion, aspect.target
        stepwise = self.plan.writing == "stepwise"
        checks = yield from self._read_blind(prefix, sample, aspect)
        score, rewritten = self._settled(checks, target)
        answer = yield from self._call(
            f"{prefix}right",
            ask_reason(draw, sample, criterion, score, wrong=False)
            if stepwise
            else ask_judgment(draw, sample, criterion, score),
        )
        right = self._written(answer, sample)
        self._refuse(check_written(right, sample))
        wrong_score = aspect.wrong if aspect.wrong != score else target
        answer = yield from self._call(
            f"{prefix}wrong",
            ask_reason(draw, sample, criterion, wrong_score, wrong=True)
            if stepwise
            else ask_wrong(draw, sample, criterion, wrong_score),
        )
        wrong = self._written(answer, sample)
        self._refuse(check_written(wrong, sample, right))
        return Text(
            material={field.name: field.text for field in sample.fields},
            target=target,
            right=_judged_as(score, right),
            wrong=_judged_as(wrong_score, wrong),
            checks=tuple(checks),
            rewritten=rewritten,
        )

    def _read_blind(
        self, prefix: str, sample: Sample, aspect: Aspect
    ) -> Generator[Call, CallRecord, list[BlindReading]]:
        checks: list[BlindReading] = []
        for place, verifier in enumerate(self.verifiers):
            step = f"{prefix}blind-{place}"
            ask = partial(self._ask_blind, step, verifier)
            check = yield from read_blind(self.draw, sample, aspect, verifier, ask)
            checks.append(check)
            self.checks.append((aspect.target, check))
        return checks

    def _ask_blind(
        self, step: str, verifier: Verifier, order: int, prompt: Prompt
    ) -> Generator[Call, CallRecord, CallRecord]:
        named = f"{step}-{order}" if self.draw.kind == "pair" else step
        return (yield from self._call(named, prompt, to=verifier.id, greedy=True))

    def _settled(self, checks: Sequence[BlindReading], target: int) -> tuple[int, bool]:
        """Return the score of the right judgment, or end the record."""
        for check in checks:
            if check.verdict == "contradicts":
                raise RecordLost(
                    Rejected("verified", "contradicts", f"target {target}, read as {check.score}")
                )
            if check.verdict == "cannot tell":
                raise RecordLost(Rejected("verified", "cannot tell", f"target {target}"))
            if check.verdict == "off by one":
                if self.plan.rewrite and check.score is not None and self.draw.kind == "single":
                    return check.score, True
                if not self.plan.keep_off_by_one:
                    raise RecordLost(
                        Rejected(
                            "verified", "off by one", f"target {target}, read as {check.score}"
                        )
                    )
        return target, False

    def _twin(
        self, sample: Sample, criterion: Criterion, text: Text
    ) -> Generator[Call, CallRecord, tuple[Text, Text]]:
        """Change one span of the text so that the score flips; both texts highlight that span."""
        draw = self.draw
        assert draw.second is not None
        span = longest_highlight(text.right.highlights)
        if span is None:
            raise RecordLost(Rejected("verbatim", "no quote stands in one place only"))
        (field,) = sample.judged
        start, end = span
        answer = yield from self._call("edit", ask_edit(draw, sample, criterion, span))
        try:
            new = read_edit(self._text(answer, "verbatim"))
        except ReadError as error:
            raise RecordLost(Rejected("verbatim", str(error), answer.text[:200])) from error
        old = field.text[start:end]
        self._refuse(check_edit(old, new))
        changed = Field(
            name=field.name, text=field.text[:start] + new + field.text[end:], role="judged"
        )
        twin = Sample(
            id=f"{sample.id}-twin",
            fields=tuple(changed if f.name == field.name else f for f in sample.fields),
        )
        flipped = Aspect(criterion=criterion, target=draw.second, wrong=draw.target)
        other = yield from self._judged("twin-", twin, flipped)
        return (
            _marked(text, field.name, old, start),
            _marked(other, field.name, new, start),
        )

    def _call(
        self,
        step: str,
        prompt: Prompt,
        *,
        to: str = TEACHER,
        greedy: bool = False,
        attempt: int = 0,
    ) -> Generator[Call, CallRecord, CallRecord]:
        decoding = Decoding(
            temperature=0.0 if greedy else self.plan.temperature,
            top_p=1.0 if greedy else self.plan.top_p,
            max_tokens=prompt.max_tokens,
            seed=(self.plan.seed * 1_000_003 + self.draw.number + attempt * 7_919) % (1 << 31),
        )
        answer = yield Call(step, to, prompt, decoding)
        self.usage = self.usage + answer.usage
        return answer

    def _text(self, answer: CallRecord, stage: str) -> str:
        if answer.error is not None:
            raise RecordLost(Rejected(stage, f"the teacher's call failed: {answer.error}"))
        if answer.finish == "length":
            raise RecordLost(Rejected(stage, Truncated.code, answer.text[-200:]))
        return answer.text

    def _written(self, answer: CallRecord, sample: Sample) -> Written:
        try:
            return read_written(self._text(answer, "verbatim"), sample)
        except ReadError as error:
            raise RecordLost(Rejected("verbatim", str(error), answer.text[:200])) from error

    @staticmethod
    def _refuse(rejected: Rejected | None) -> None:
        if rejected is not None:
            raise RecordLost(rejected)


def chain(
    draw: Draw,
    plan: Plan,
    verifiers: Sequence[Verifier],
    claim: Callable[[Sequence[str]], bool],
    writers: Sequence[str] = (),
    *,
    two_writers: bool = True,
) -> _Chain:
    """Yield the calls of one record and return its result.

    Args:
        verifiers: the models that read each text blind, in this order.
        claim: registers the judged texts; returns False if one is a near duplicate.
        writers: ids of models besides the teacher that may write the texts.
        two_writers: the two outputs of a pair are by different models, if there are writers.
    """
    return _Record(draw, plan, verifiers, claim, writers, two_writers).run()


def _by(model: str) -> str:
    """Return a writer as a record has it: empty for the teacher."""
    return "" if model == TEACHER else model


def answer_of(call: Call, number: int, written: Generation) -> CallRecord:
    """Return what the journal keeps of an answer: everything but the model's thinking."""
    thought, text = split_thinking(written.text)
    return CallRecord(
        number=number,
        step=call.step,
        text=text.lstrip() if thought else text,
        finish=written.finish,
        usage=written.usage,
    )


def _compared_sample(sample: Sample) -> Sample:
    return Sample(id=sample.id, fields=(*sample.told, *sample.judged))


def _judged_as(score: int, written: Written) -> Judged:
    return Judged(score=score, reasoning=written.reasoning, highlights=written.highlights)


def _marked(text: Text, field: str, phrase: str, start: int) -> Text:
    mark = Highlight(
        phrase=phrase,
        spans=(Span(field=field, start=start, end=start + len(phrase)),),
        match="exact",
    )
    return text.model_copy(update={"right": text.right.model_copy(update={"highlights": (mark,)})})
