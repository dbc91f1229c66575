"""A run folder made from the demo samples: every kind of outcome, texts that break careless pages.

Used with `runpy` by the tests of the report; by hand: `python example_run.py FOLDER [ROWS]`.
"""

import json
import random
import sys
from importlib.resources import files
from pathlib import Path

import yaml

from glider.core.criteria import Criterion, pairwise
from glider.core.judgments import Comparison, Cut, Failure, Judgment, Usage
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.store.manifest import Manifest
from glider.store.run import RunFolder
from glider.text.spans import place

JUDGE = "embedded/glider-3.8b-q4_k_m.gguf@5d0c1e7a94b2 glider"
CRITERIA = ("faithfulness", "tone-empathy", "conciseness")

EMOJI = "We are sorry 😀👩‍👩‍👧 that it failed. Refunds take 30 days, and 30 days is final."
ARABIC = "يمكنك استرداد المبلغ خلال 30 يومًا من الشراء.\nRefunds after 30 days are not possible."
LONG = "Clause {n}. The depot answers within two working days and keeps the parcel for {n} days. "

WEIGHTS = ((2, 3, 5, 9, 14), (2, 9, 8, 6, 3), (1, 2, 5, 9, 9))
"""How often each criterion's scores 1 to 5 come up."""

REASONS = {
    "faithfulness": {
        1: (
            "Almost nothing in the answer rests on the context. “{quote}” is contradicted "
            "outright, and what follows is about something the context does not cover."
        ),
        2: (
            "Half of the claims are supported, but the central one is not: “{quote}” is "
            "stated nowhere in the context, and it is what the person asked about."
        ),
        3: (
            "The central claim is supported. Two smaller ones are not: “{quote}” goes beyond "
            "the context, and the last sentence adds a condition that it does not have."
        ),
        4: (
            "Every claim but one follows from the context. “{quote}” is put more strongly "
            "than the context allows; the rest is repeated correctly."
        ),
        5: (
            "Each claim can be found in the context. “{quote}” gives the rule in other words "
            "and changes nothing of it; nothing is added."
        ),
    },
    "tone-empathy": {
        1: "The reply doubts what the person says. “{quote}” reads as blame.",
        2: (
            "The reply is correct and takes no notice of how the person feels. It begins at "
            "once with “{quote}”."
        ),
        3: "There is a stock phrase at most. “{quote}” would fit any message.",
        4: "The particular trouble is named, but from “{quote}” on the reply could be to anybody.",
        5: (
            "The particular trouble is named and the rest is fitted to it; “{quote}” answers "
            "exactly what worried the person."
        ),
    },
    "conciseness": {
        1: (
            "More than half could go. “{quote}” says what the question has said, and the "
            "ending repeats the beginning."
        ),
        2: "About a third could go, “{quote}” among it.",
        3: "Two sentences could be removed with no loss, one of them “{quote}”.",
        4: "One filler phrase could go: “{quote}”.",
        5: "Nothing could be removed. Even “{quote}” is a condition that the person needs.",
    },
}


def samples(rows):
    """Demo samples over and over, with a few special ones in front."""
    special = [
        Sample.of(
            EMOJI,
            id="emoji-😀",
            input="Why did it fail? 🤔",
            context=EMOJI + " Ask us.",
            earlier="It failed. Please try again.",
        ),
        Sample.of(
            ARABIC,
            id="arabic-refund",
            input="هل يمكنني استرداد المبلغ؟",
            earlier="نعم، خلال 30 يومًا.",
        ),
        Sample.of(
            "The depot answers within two working days and keeps it for 3 days.",
            id="long-context",
            context="".join(LONG.format(n=n) for n in range(1, 110)),
            earlier="The depot answers soon.",
        ),
        Sample.of("", id="empty-output", input="Say nothing.", earlier="Hm."),
    ]
    demo = files("glider").joinpath("demo/samples.jsonl").read_text("utf-8").splitlines()
    for row in range(rows):
        if row < len(special):
            yield row, special[row]
        else:
            data = json.loads(demo[row % len(demo)])
            lap = row // len(demo)
            name = data.pop("id") + (f"-{lap}" if lap else "")
            sentences = data["output"].split(". ")
            earlier = "Thank you for asking! " + ". ".join(sentences[: len(sentences) // 2 + 1])
            meta = {"source": "demo", "lap": lap}
            yield row, Sample.of(**data, id=name, metadata=meta, earlier=earlier)


def judgment(task, score, rng, *, highlights=None, sharp=1.6, **others):
    """A judgment around `score`, with a quote from the judged text and made-up probabilities."""
    scores = task.criterion.rubric.scores
    weights = {s: 2.718 ** (-sharp * abs(s - score)) * rng.uniform(0.6, 1.0) for s in scores}
    weights[score] = max(weights.values()) * 1.05
    probs = {s: w / sum(weights.values()) for s, w in weights.items()}
    judged = [(field.name, field.text) for field in task.sample.judged]
    words = judged[0][1].split(". ")[score % 2 or -1 if ". " in judged[0][1] else 0]
    quote = " ".join(words.split()[:9])
    reason = REASONS.get(task.criterion.name, {}).get(score, "The one with “{quote}” is better.")
    reasoning = reason.format(quote=quote)
    if highlights is None:
        highlights = [quote] if quote else []
    return Judgment(
        task_id=task.id,
        sample_id=task.sample.id,
        criterion=task.criterion.name,
        judge=JUDGE,
        made_at="2026-11-20T09:30:00+00:00",
        score=score,
        normalized=task.criterion.rubric.normalize(score),
        reasoning=reasoning,
        highlights=tuple(place(phrase, judged) for phrase in highlights),
        usage=Usage(prompt_tokens=812, completion_tokens=96, cached_tokens=300, seconds=1.84),
        raw_text=f"<reasoning>\n{reasoning}\n</reasoning>\n<score>{score}</score>",
        **{
            "score_probs": probs,
            "expected": sum(s * p for s, p in probs.items()),
            "mass": 0.97,
            **others,
        },
    )


def failure(task, stage, code, message, raw_text=None):
    return Failure(
        task_id=task.id,
        sample_id=task.sample.id,
        criterion=task.criterion.name,
        judge=JUDGE,
        made_at="2026-11-20T09:30:00+00:00",
        stage=stage,
        code=code,
        message=message,
        raw_text=raw_text,
    )


def unloadable(row, criterion):
    return Failure(
        task_id="",
        sample_id=f"row {row}",
        criterion=criterion,
        judge=JUDGE,
        made_at="2026-11-20T09:30:00+00:00",
        stage="load",
        code="bad_record",
        message=f"answers.jsonl:{row + 1}: no field is judged",
    )


LOSSES = (
    ("read", "truncated", "the answer reached 512 tokens before it was complete",
     "<reasoning>\nThe answer says that the answer says that the answer says"),
    ("read", "score_outside_rubric", "the judge answered '6'; the rubric allows 1, 2, 3, 4, 5",
     "<score>6</score>"),
    ("generate", "timeout", "no whole answer within 60 s", None),
    ("prepare", "prompt_too_long", "prompt has 9214 tokens; the limit is 8192 (shorten the text, "
     "use a model with a longer context, or pass --truncate)", None),
)  # fmt: skip


def outcomes(rows, criteria, rng):
    """(row, outcome) in the order a run would finish them, roughly."""
    *pointwise, pair = criteria
    for row, sample in samples(rows):
        if row == 5:
            for criterion in criteria:
                yield row, sample, unloadable(row, criterion.name)
            continue
        for n, criterion in enumerate(pointwise):
            task = JudgeTask(sample, criterion)
            score = rng.choices(criterion.rubric.scores, WEIGHTS[n])[0]
            if row == 0:
                yield row, sample, judgment(
                    task, 2 + n, rng,
                    highlights=["Refunds take 30 days", "take 30 days, and 30 days", "30 days",
                                "WE  ARE sorry", "money back at once"],
                )  # fmt: skip
            elif row == 1:
                yield (
                    row,
                    sample,
                    judgment(
                        task, 4, rng, highlights=["استرداد المبلغ", "not possible"], mass=0.31
                    ),
                )
            elif row == 2:
                cut = Cut(field="context", kept=2000, of=len(sample["context"]))
                yield row, sample, judgment(task, 3, rng, cuts=(cut,), sharp=0.2)
            elif rng.random() < 0.03:
                stage, code, message, raw = rng.choice(LOSSES)
                yield row, sample, failure(task, stage, code, message, raw)
            elif n == 2:  # one criterion whose judge tells no probabilities
                yield (
                    row,
                    sample,
                    judgment(task, score, rng, score_probs=None, expected=None, mass=None),
                )
            else:
                yield row, sample, judgment(task, score, rng, sharp=rng.choice((0.3, 1, 2.4, 4)))
        yield row, sample, comparison(JudgeTask(sample, pair), rng, broken=row == 3)


def comparison(task, rng, *, broken):
    """Both orders of a pair; in a broken one the second order failed."""
    a = judgment(task, rng.choices((0, 1), weights=(5, 3))[0], rng)
    b = judgment(task, rng.choice((1 - a.score,) * 6 + (a.score,)), rng)
    if broken:
        b = failure(task, "read", "missing_part", "the answer has no readable score", "hm")
    p = a.score_probs[0] if broken else (a.score_probs[0] + b.score_probs[1]) / 2
    flipped = None if broken else a.score == b.score
    return Comparison(
        task_id=task.id,
        sample_id=task.sample.id,
        criterion=task.criterion.name,
        judge=JUDGE,
        first="output",
        second="earlier",
        preferred=None if flipped else "output" if p > 0.5 else "earlier",
        p_first=p,
        flipped=flipped,
        orders=(a, b),
    )


def write_run(run, rows=40, seed=7):
    """Write the folder; returns the outcomes as (row, outcome)."""
    rng = random.Random(seed)
    folder = files("glider").joinpath("criteria")
    criteria = [
        Criterion.model_validate(yaml.safe_load(folder.joinpath(f"{name}.yaml").read_text("utf-8")))
        for name in (*CRITERIA, "helpfulness")
    ]
    criteria[-1] = pairwise(criteria[-1])
    manifest = Manifest(
        run_id="support-answers-november",
        created_at="2026-11-20T09:12:44+00:00",
        glider="0.1.0",
        code_sha256="3f6c20a1d7b9",
        judge=JUDGE,
        settings={"temperature": 0, "max_tokens": 512, "seed": 0, "both_orders": True},
        criteria={criterion.name: criterion.content_id for criterion in criteria},
        input_path="data/answers.jsonl",
        input_sha256="9f2c" * 16,
        python="3.11.7",
        libraries={"pydantic": "2.14.3"},
    )
    made = []
    with RunFolder.create(run, manifest, criteria) as folder:
        for row, sample, outcome in outcomes(rows, criteria, rng):
            if getattr(outcome, "stage", "") != "load":
                folder.record_sample(row, sample)
            folder.record(row, outcome)
            made.append((row, outcome))
    return made


if __name__ == "__main__":
    write_run(Path(sys.argv[1]), *map(int, sys.argv[2:]))
