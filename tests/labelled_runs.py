"""Run folders with judgments of a made-up judge whose mistakes are known: for several tests."""

import csv
import json

import numpy as np

from glider.core.criteria import Criterion, Rubric
from glider.core.judgments import Comparison, Failure, Judgment
from glider.core.samples import Sample
from glider.store.manifest import Manifest
from glider.store.run import RunFolder

JUDGE = "scripted/made-up nano"
GRADES = Criterion(
    name="quality", question="Is it good?",
    rubric=Rubric(levels={n: f"level {n}" for n in range(1, 6)}),
)  # fmt: skip
BINARY = Criterion(
    name="holds", question="Does it hold?", rubric=Rubric(levels={0: "no", 1: "yes"})
)


def population(n, *, seed=0, levels=5, heat=2.0, lean=0.0, per_prompt=1):
    """Human labels (1..levels) and a judge's level probabilities that are `heat` times too sure."""
    rng = np.random.default_rng(seed)
    prompt = np.arange(n) // per_prompt
    quality = rng.normal(size=n) + rng.normal(size=prompt.max() + 1)[prompt] * (per_prompt > 1)
    steps = np.arange(levels)
    middle = (levels - 1) / 2 + quality * levels / 5
    logits = -((steps - middle[:, None]) ** 2) / 2
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = np.array([rng.choice(levels, p=p) for p in probs])
    shifted = np.exp(heat * -((steps - middle[:, None] - lean) ** 2) / 2)
    return label, shifted / shifted.sum(axis=1, keepdims=True), prompt


def judgment(number, probs, criterion=GRADES, *, bare=False, judge=JUDGE):
    levels = criterion.rubric.scores
    score = levels[int(np.argmax(probs))]
    return Judgment(
        task_id=f"t{number}", sample_id=f"s{number}", criterion=criterion.name, judge=judge,
        score=score, normalized=criterion.rubric.normalize(score),
        expected=None if bare else float(np.dot(levels, probs)),
        score_probs=None if bare else dict(zip(levels, map(float, probs), strict=True)),
    )  # fmt: skip


def failure(number, criterion=GRADES, judge=JUDGE):
    return Failure(
        task_id=f"t{number}", sample_id=f"s{number}", criterion=criterion.name, judge=judge,
        stage="read", code="missing_part", message="the answer has no readable score",
    )  # fmt: skip


def comparison(number, p_first, judge=JUDGE):
    return Comparison(
        task_id=f"t{number}", sample_id=f"s{number}", criterion="quality", judge=judge,
        first="output 1", second="output 2", preferred="output 1" if p_first > 0.5 else "output 2",
        p_first=p_first, flipped=False, orders=(),
    )  # fmt: skip


def write_run(
    path, outcomes, *, labels=None, prompts=None, criteria=(GRADES,), ids=None, texts=None
):
    """A run folder with these outcomes; row n has the label labels[n] in its sample's metadata."""
    manifest = Manifest.of(
        run_id=path.name, judge=JUDGE, settings={}, criteria={c.name: c.content_id for c in criteria},
        input_path="rows.jsonl", input_sha256="0" * 64,
    )  # fmt: skip
    with RunFolder.create(path, manifest, criteria) as run:
        for row, outcome in enumerate(outcomes):
            sample = Sample.of(
                texts[row] if texts else f"text {row}", input=f"prompt {row if prompts is None else prompts[row]}",
                id=ids[row] if ids else f"s{row}",
                metadata={} if labels is None or labels[row] is None else {"label": labels[row]},
            )  # fmt: skip
            run.record_sample(row, sample)
            run.record(row, outcome)
    return path


def graded_run(path, n=400, *, labelled=None, fail=(), **about):
    """A run of `population`; every item in `labelled` (all, if None) carries its label."""
    label, probs, prompt = population(n, **about)
    labels = [
        int(v) + 1 if labelled is None or i in labelled else None for i, v in enumerate(label)
    ]
    outcomes = [failure(i) if i in fail else judgment(i, p) for i, p in enumerate(probs)]
    return write_run(path, outcomes, labels=labels, prompts=prompt)


def write_labels(path, labels, *, columns=("id", "label")):
    """A CSV or JSON Lines file of (id, label) pairs."""
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([columns, *labels])
    else:
        path.write_text(
            "".join(json.dumps(dict(zip(columns, r, strict=True))) + "\n" for r in labels)
        )
    return path
