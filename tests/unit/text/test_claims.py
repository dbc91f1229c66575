"""Claims in a reason that a program can check, and the warnings about false ones."""

import gzip
import json
import random
from pathlib import Path

import pytest

from glider.core.criteria import Criterion
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.text.claims import claims, false_claims

CRITERION = Criterion(
    name="quality",
    question="Is the {output} good?",
    rubric={1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "very good"},
)


def task(sample):
    return JudgeTask(sample, CRITERION)


@pytest.mark.parametrize(
    ("reasoning", "text", "expected"),
    [
        ('It says "we open at nine" which is wrong.', "We open at nine.", [("quoted", True)]),
        ('It says "we close at nine".', "We open at nine.", [("quoted", False)]),
        ("The response is an empty submission.", "A full answer with many words.", [("empty", False)]),
        ("The answer is empty.", "", [("empty", True)]),
        ("The list of steps is empty.", "A full answer with many words.", []),
        ("The answer is not empty.", "A full answer with many words.", []),
        ("It does not mention Paris.", "London is the capital.", [("missing", True)]),
        ("It does not mention London.", "London is the capital.", [("missing", False)]),
        ('It fails to mention "the refund".', "You get the refund.", [("missing", False)]),
        ("It does not state 1.", "There are 10.", []),  # too short to look for
        ("The source does not mention London.", "London is the capital.", []),
        ('It meets "very good", the highest level.', "We open at nine.", []),  # of the rubric
        ("It has only two sentences.", "One. Two.", [("counted", True)]),
        ("It has only 40 words.", "One. Two.", [("counted", False)]),
        ("It is written in Chinese.", "我们九点开门。", [("language", True)]),
        ("It is written in Chinese.", "We open at nine.", [("language", False)]),
        ("It is clear and short.", "We open at nine.", []),
        ("It's a dog's life, isn't it?", "We open at nine.", []),
    ],
)  # fmt: skip
def test_claims(reasoning, text, expected):
    found = claims(reasoning, task(Sample.of(text, input="When do you open?")))
    assert [(claim.kind, claim.holds) for claim in found] == expected


def test_of_two_texts_only_quotes_are_checked():
    two = Sample.of(outputs=["London is big.", "Paris is big."])
    reasoning = 'A does not mention Paris. It is "big". No answer is given.'
    assert [(claim.kind, claim.holds) for claim in claims(reasoning, task(two))] == [
        ("quoted", True)
    ]


def test_each_kind_of_false_claim_is_told_once_and_quotes_are_not():
    text = Sample.of("London is the capital of England, and has been for long.")
    reasoning = (
        'The answer is empty. No answer is given. It does not mention London, nor "the sea". '
        "It has only 40 words."
    )
    assert false_claims(reasoning, task(text)) == (
        "the reason calls the text empty, which it is not",
        "the reason says something is missing that is there",
        "the reason miscounts the words or sentences",
    )
    assert false_claims("It names London.", task(text)) == ()


@pytest.mark.parametrize(
    "name",
    ["autoj_single", "esnli_explanations", "faithbench", "mr_ben_reasoning", "mtbench_gpt4_single",
     "prometheus_vicuna_mtbench", "saf_short_answers", "shepherd_human"],
)  # fmt: skip
def test_reasons_by_people_and_strong_models_get_almost_no_warning(name):
    file = Path(__file__).parents[4] / "shared" / "data" / f"{name}.jsonl.gz"
    if not file.exists():
        pytest.skip("the records are not here")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        found = [one for one in map(json.loads, lines) if one["rationale"] and one["lang"] == "en"]
    drawn = random.Random(0).sample(found, min(400, len(found)))
    told = 0
    for one in drawn:
        given = {key: one[key] for key in ("input", "context", "reference") if one[key]}
        told += bool(false_claims(one["rationale"], task(Sample.of(one["output"], **given))))
    assert told < len(drawn) / 100
