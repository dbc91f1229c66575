"""A small run to be looked at, with texts that break careless pages."""

import hashlib
import random
import uuid
from unittest import mock

from glider.core.criteria import Criterion, Rubric
from glider.core.judgments import Comparison, Highlight, Judgment, Span
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.review.answers import Answer, AnswerBook, read_people
from glider.review.begin import begin
from glider.review.settings import ReviewSettings
from glider.store.manifest import Manifest
from glider.store.run import RunFolder

JUDGE = "scripted/made-up nano"
CRITERION = Criterion(
    name="quality",
    question="Is it good?",
    rubric=Rubric(levels={n: f"level {n}" for n in range(1, 6)}),
)
HOSTILE = {
    "emoji": "We are sorry 😀 that it failed.",
    "zwj": "A family 👩‍👩‍👧‍👦 went home, and 🏳️‍🌈 flew.",
    "rtl": "يمكنك استرداد المبلغ خلال 30 يومًا. Refunds after that fail.",
    "combining": "Cafe\u0301 and nai\u0308ve Z\u0351\u036b\u0343algo words.",
    "crlf": "one line\r\nanother line\r\n\r\nthe last\tone",
    "markup": "<b>bold</b> &amp; <script>alert(1)</script> <img src=x onerror=alert(1)>",
    "nul": "before\u0000after the nul",
    "astral": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 mathematics 𝒳 then words",
    "spaces": "  two  spaces   and a \u00a0 hard one\u2028a separator",
    "cjk": "今天天气很好。我们去公园散步吧。",
}
"""Name to text."""


def judged(sample, score, *, criterion=CRITERION, spans=()):
    """What a made-up judge says of a text."""
    text = sample.judged[0].text
    return Judgment(
        task_id=JudgeTask(sample, criterion).id,
        sample_id=sample.id,
        criterion=criterion.name,
        judge=JUDGE,
        score=score,
        normalized=criterion.rubric.normalize(score),
        reasoning=f"It is a {score}.",
        highlights=tuple(
            Highlight(
                phrase=text[a:b],
                spans=(Span(field="output", start=a, end=b),),
                match="exact",
            )
            for a, b in spans
        ),
        score_probs={n: 0.6 if n == score else 0.1 for n in range(1, 6)},
    )


def compared(sample, first="output 1", second="output 2", criterion=CRITERION):
    """What a made-up judge says of two texts."""
    return Comparison(
        task_id=JudgeTask(sample, criterion).id,
        sample_id=sample.id,
        criterion=criterion.name,
        judge=JUDGE,
        first=first,
        second=second,
        preferred=first,
        p_first=0.8,
        flipped=False,
        orders=(),
    )


def write_run(path, outcomes, *, criteria=(CRITERION,)):
    """A run folder of (sample, outcome) pairs."""
    manifest = Manifest.of(
        run_id=path.name,
        judge=JUDGE,
        settings={},
        criteria={c.name: c.content_id for c in criteria},
        input_path="rows.jsonl",
        input_sha256="0" * 64,
    )
    with RunFolder.create(path, manifest, criteria) as run:
        for row, (sample, outcome) in enumerate(outcomes):
            run.record_sample(row, sample)
            run.record(row, outcome)
    return path


def graded_run(path, n=20, *, texts=None, seed=0, per_prompt=2):
    """A run of judged texts; every judgment marks the first word."""
    rng = random.Random(seed)
    texts = texts or [f"text number {i} of some length" for i in range(n)]
    made = []
    for i, text in enumerate(texts):
        sample = Sample.of(text, input=f"prompt {i // per_prompt}", id=f"s{i}")
        end = len(text.split(" ")[0])
        made.append((sample, judged(sample, rng.randint(1, 5), spans=[(0, end)] if end else [])))
    return write_run(path, made)


def pair_run(path, n=6):
    """A run of compared texts."""
    made = []
    for i in range(n):
        outputs = [f"first text {i}", f"second text {i}"]
        sample = Sample.of(outputs=outputs, input=f"p{i}", id=f"p{i}")
        made.append((sample, compared(sample)))
    return write_run(path, made)


def begun(path, *people, **settings):
    """A review of the run there, for these people.

    Its salt decides orders and who is held out of what: it is the same for a folder of the same name.
    """
    salt = hashlib.sha256(path.name.encode()).hexdigest()[:16]
    with mock.patch("glider.review.plan.secrets.token_hex", return_value=salt):
        return begin(path, ReviewSettings(annotators=people or ("ana", "ben"), **settings))


def answered(run, person, drawn, at="2026-11-20T09:30:00", *, stage="blind", **said):
    """An answer to a drawn item, kept in the run's review."""
    with AnswerBook(run, sorted({person, *read_people(run)})) as book:
        book.add(Answer(id=uuid.uuid4().hex, person=person, visit=drawn.id, item=drawn.id,
                        content=drawn.content, stage=stage, at=at, seconds=4.5, **said))  # fmt: skip
