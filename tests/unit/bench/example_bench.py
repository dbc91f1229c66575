"""A bench of made-up answers, for tests of the page and to look at.

python tests/unit/bench/example_bench.py OUT.html
"""

import random
import sys
from pathlib import Path

import numpy as np

from glider.bench.answers import Answers
from glider.bench.benchmark import FigureSettings
from glider.bench.ceiling import human
from glider.bench.page import page
from glider.bench.scored import Scored, scored
from glider.bench.table import measure
from glider.core.criteria import Criterion, pairwise
from glider.core.judgments import Comparison, Failure, Judgment
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.gold.items import Item
from glider.gold.sets import LabelledSet
from glider.text.spans import place

LEVELS = {1: "Wrong.", 2: "Mostly wrong.", 3: "Half right.", 4: "Mostly right.", 5: "Right."}
YES_NO = {0: "Not supported.", 1: "Supported by the text."}
PEOPLE = ("The second sentence is invented.", "Reads well, but misses the point of the question.")
SENTENCES = (
    "The mayor opened the new bridge on Tuesday.", "It took four years and 31 million euros.",
    "Ferries will stop in the spring.", "Residents had asked for it since 1987.",
    "A second lane for bicycles was added late.", "Nobody was hurt when the crane fell.",
    "The old bridge stays as a footpath.", "Traffic is expected to double.",
)  # fmt: skip


def labelled(name, title, kind, family, metrics, **more):
    return LabelledSet(
        name=name, title=title, data="x", kind=kind, family=family, metrics=metrics,
        labels_by="people (3 each)", licence="CC BY 4.0", use="train", **more,
    )  # fmt: skip


SETS = {
    "news": labelled("news", "News summaries, 2 criteria", "graded", "summaries",
                     ("pearson", "spearman", "mae", "qwk"), note="Labels are means of three people."),
    "facts": labelled("facts", "Is the claim supported?", "classes", "attribution",
                      ("auc", "balanced_accuracy", "macro_f1")),
    "duels": labelled("duels", "Which answer is better?", "pairs", "pairs",
                      ("accuracy_both", "accuracy_single", "flip_rate")),
    "marks": labelled("marks", "Essays, 0 to 100", "graded", "essays", ("spearman", "mae")),
}  # fmt: skip


def criterion(name, levels):
    return Criterion(
        name=name, question=f"Is the output {name} with respect to {{input}}?", rubric=levels
    )


def items_of(name, n, rng):
    for k in range(n):
        text = " ".join(rng.sample(SENTENCES, rng.randint(2, 6)))
        about = " ".join(SENTENCES[:5])
        cluster = f"doc {k // 3}"
        true = min(max(rng.gauss(0.55, 0.25), 0), 1)
        common = {"cluster": cluster, "reason": rng.choice((None, *PEOPLE))}
        if name == "duels":
            gold = rng.choice((0.0, 1.0, 1.0, 0.5)) if k % 9 == 0 else float(rng.random() < 0.5)
            sample = Sample.of(
                outputs=[text, rng.choice(SENTENCES)], input="What happened?", id=f"d{k}"
            )
            yield Item(sample=sample, criterion=criterion("better", LEVELS), gold=gold,
                       scale=(0, 1), part="all", group=("easy", "hard")[k % 2], **common)  # fmt: skip
            continue
        sample = Sample.of(text, context=about, input="Sum up the news.", id=f"{name[0]}{k}")
        if name == "facts":
            votes = tuple(float(rng.random() < true) for _ in range(3))
            yield Item(sample=sample, criterion=criterion("supported", YES_NO), part="supported",
                       gold=float(sum(votes) > 1), scale=(0, 1), ratings=votes, **common)  # fmt: skip
        elif name == "marks":
            yield Item(sample=sample, criterion=criterion("good", LEVELS), part="essay",
                       gold=round(100 * true, 1), scale=(0, 100), **common)  # fmt: skip
        else:
            part = ("coherent", "relevant")[k % 2]
            votes = tuple(
                float(min(max(round(1 + 4 * true + rng.gauss(0, 0.7)), 1), 5)) for _ in range(3)
            )
            yield Item(sample=sample, criterion=criterion(part, LEVELS), part=part,
                       gold=sum(votes) / 3, scale=(1, 5), ratings=votes, **common)  # fmt: skip


def softmax(centre, levels, sharp):
    low, high = min(levels), max(levels)
    weights = {s: np.exp(-sharp * ((s - low) / (high - low) - centre) ** 2) for s in levels}
    total = sum(weights.values())
    return {s: float(w / total) for s, w in weights.items()}


def answer(task, centre, rng):
    """A judgment whose likeliest level stands at `centre`, 0..1 of the scale."""
    levels = task.criterion.rubric.levels
    probs = softmax(centre, levels, rng.choice((2, 8, 30)))
    score = max(probs, key=probs.get)
    field = task.sample.judged[0]
    phrases = [*[s for s in SENTENCES if s in field.text][:2], "It rained."]
    return Judgment(
        task_id=task.id, sample_id=task.sample.id, criterion=task.criterion.name, judge="nano",
        score=score, normalized=task.criterion.rubric.normalize(score),
        expected=sum(s * p for s, p in probs.items()), score_probs=probs, mass=0.97,
        reasoning=f"The output says “{phrases[0]}”, which <b>the context</b> tells in other words.",
        highlights=tuple(place(p, [(field.name, field.text)]) for p in phrases),
    )  # fmt: skip


def outcomes_of(items, skill, rng, failing=0.03):
    for number, item in enumerate(items):
        truth = (item.gold - item.scale[0]) / (item.scale[1] - item.scale[0])
        centre = skill * truth + (1 - skill) * rng.random()
        if rng.random() < failing:
            task = JudgeTask(item.sample, item.criterion)
            yield number, Failure(
                task_id=task.id, sample_id=item.sample.id, criterion=item.criterion.name, judge="nano",
                stage="read", code="missing_part", message="the answer has no readable score",
            )  # fmt: skip
        elif item.is_pair:
            asked = pairwise(item.criterion)
            shown = [f.name for f in item.sample.judged]
            parts = [answer(JudgeTask(item.sample, asked), c, rng)
                     for c in (centre, 1 - centre + rng.gauss(0, 0.3))]  # fmt: skip
            p = (parts[0].score_probs[0] + parts[1].score_probs[1]) / 2
            yield number, Comparison(
                task_id="t", sample_id=item.sample.id, criterion=asked.name, judge="nano",
                first=shown[0], second=shown[1], preferred=shown[0] if p > 0.5 else shown[1], p_first=p,
                flipped=parts[0].score == parts[1].score, orders=tuple(parts),
            )  # fmt: skip
        else:
            yield number, answer(JudgeTask(item.sample, item.criterion), centre, rng)


def made(names=tuple(SETS), n=150, seed=3, skill=0.45):
    """Results and the answers of two judges."""
    rng = random.Random(seed)
    all_scored, answers, kinds = (
        [],
        [],
        {"length": "baseline", "majority": "baseline", "human": "people"},
    )
    notes = []
    for name in names:
        items = list(items_of(name, n, rng))
        if name == "facts":
            notes.append("facts: 2 records had no label and were left out")
        for judge, able in (("nano, score first", skill), ("nano, reason first", skill / 3)):
            outcomes = dict(outcomes_of(items, able, rng))
            one = scored(name, judge, items, outcomes)
            all_scored.append(one)
            answers.append(Answers.of(one, items, outcomes.items()))
        lengths = [float(len(i.sample.judged[0].text)) for i in items]
        if name == "duels":
            by_length = [
                float(len(i.sample.judged[0].text) < len(i.sample.judged[1].text)) for i in items
            ]
        else:
            most = max(lengths)
            by_length = [i.scale[0] + (i.scale[1] - i.scale[0]) * k / most
                         for i, k in zip(items, lengths, strict=True)]  # fmt: skip
        all_scored.append(Scored.of(name, "length", items, by_length))
        all_scored.append(Scored.of(name, "majority", items, [items[0].scale[0]] * len(items)))
        people = human(name, items, SETS[name].kind)
        if isinstance(people, Scored):
            all_scored.append(people)
    results = measure(
        all_scored,
        SETS,
        kinds=kinds,
        settings=FigureSettings(n_resamples=199, n_permutations=1999),
        notes=notes,
    )
    return results, answers


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(*made(*([sys.argv[2:]] if sys.argv[2:] else []))), "utf-8")
