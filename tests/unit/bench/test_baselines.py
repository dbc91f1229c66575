import random
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest
from cases import item
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import sentence_chrf

from glider.bench.baselines import BASELINES, Random
from glider.core.criteria import Criterion, Rubric
from glider.core.errors import MissingExtra
from glider.data.covariates import compared_with
from glider.text import similarity
from glider.text.similarity import chrf, embedding, rouge_l


def test_names():
    names = ["chrf", "embedding", "length", "majority", "random", "rouge_l"]
    assert BASELINES.names() == names
    assert [BASELINES.get(name).name for name in names] == names


@pytest.mark.parametrize("name", BASELINES.names())
def test_one_score_per_item_on_its_scale(name):
    if name == "embedding" and find_spec("wordllama") is None:
        pytest.skip("wordllama is not installed")
    rng = random.Random(1)
    items = [
        item(
            " ".join(
                rng.choices(["the", "cat", "sat", "on", "a", "mat", "猫"], k=rng.randint(0, 9))
            ),
            rng.randint(0, 100),
            scale=(0.0, 100.0),
            reference="a cat on the mat",
            part=f"part {n % 2}",
        )
        for n in range(40)
    ]
    items += [item(["a cat", "a dog sat"], 1, reference="a cat") for _ in range(3)]
    scores = BASELINES.get(name).scores(items)
    assert len(scores) == len(items)
    assert all(s is not None and 0 <= s <= 100 for s in scores[:40])
    assert all(s in (0, 0.5, 1) for s in scores[40:])
    assert scores == BASELINES.get(name).scores(items)
    assert BASELINES.get(name).scores([]) == []


# ---- majority


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([1, 1, 5], [1, 1, 1]),
        ([5, 1, 5, 1], [1, 1, 1, 1]),  # of equals the lower
        ([3], [3]),
        ([], []),
    ],
)
def test_majority(labels, expected):
    items = [item(gold=g, cluster=str(n)) for n, g in enumerate(labels)]
    assert BASELINES.get("majority").scores(items) == expected


def test_majority_is_of_the_part():
    items = [item(gold=g, part=p) for p, g in [("a", 1), ("a", 1), ("b", 5), ("b", 5)]]
    assert BASELINES.get("majority").scores(items) == [1, 1, 5, 5]


# ---- length


def test_length_by_rank_inside_the_part():
    texts = ["a", "four", "four", "very much longer"]
    items = [item(t) for t in texts] + [item("the only one", part="other")]
    assert BASELINES.get("length").scores(items) == [1, 3, 3, 5, 3]


def test_length_of_pairs():
    items = [item(["long one", "no"]), item(["no", "long one"]), item(["same", "size"])]
    assert BASELINES.get("length").scores(items) == [0, 1, 0.5]


# ---- random


def test_random_takes_every_level_alike_and_keeps_to_the_item():
    criterion = Criterion(
        name="q", question="?", rubric=Rubric(levels={1: "a", 2: "b", 3: "c", 4: "d", 5: "e"})
    )
    items = [item(id=f"i{n}", criterion=criterion, scale=(0, 100)) for n in range(2000)]
    scores = Random(seed=4).scores(items)
    values, counts = np.unique(scores, return_counts=True)
    assert values.tolist() == [0, 25, 50, 75, 100]  # the rubric's levels on the labels' scale
    assert abs(counts / 2000 - 0.2).max() < 0.04  # four standard errors
    assert Random(seed=4).scores(items[700:703]) == scores[700:703]
    assert Random(seed=5).scores(items) != scores


# ---- similarity


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"input": "in", "context": "con", "reference": "ref"}, "ref"),
        ({"input": "in", "context": "con"}, "con"),
        ({"input": "in"}, "in"),
        ({"input": "in", "reference": "  "}, "in"),
        ({}, None),
    ],
)
def test_what_outputs_are_held_against(fields, expected):
    assert compared_with(item(**fields).sample) == expected
    assert (BASELINES.get("rouge_l").scores([item(**fields)]) == [None]) == (expected is None)


def _texts(n, seed=2):
    rng = random.Random(seed)
    vocabulary = [
        "The",
        "cat,",
        "sat;",
        "on",
        "a",
        "mat.",
        "don't",
        "3.5",
        "re-do",
        "it's",
        "Über",
        "naïve\n",
        "U.S.",
        "(ok)",
    ]
    return [
        tuple(" ".join(rng.choices(vocabulary, k=rng.randint(0, 25))) for _ in range(2))
        for _ in range(n)
    ]


def test_rouge_l_is_that_of_rouge_score():
    pairs = [tuple(t.encode("ascii", "ignore").decode() for t in pair) for pair in _texts(200)]
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    theirs = [scorer.score(goal, text)["rougeL"].fmeasure for text, goal in pairs]
    assert rouge_l(pairs) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "goal", "expected"),
    [
        ("the cat sat", "the cat sat", 1),
        ("police killed the gunman", "police kill the gunman", 0.75),  # 3 of 4 and 4: Lin 2004, 3.1
        ("the gunman kill police", "police kill the gunman", 0.5),
        ("我们吃饭", "我们去吃饭", 8 / 9),  # rouge-score sees no words here at all
        ("", "anything", 0),
        ("!", "!", 0),
    ],
)
def test_rouge_l_by_hand(text, goal, expected):
    assert rouge_l([(text, goal)]) == pytest.approx([expected])


def test_chrf_is_that_of_sacrebleu():
    pairs = [*_texts(50), ("我们吃饭", "我们去吃饭"), ("", "x")]
    theirs = [sentence_chrf(text, [goal]).score / 100 for text, goal in pairs]
    assert chrf(pairs) == pytest.approx(theirs)
    assert chrf([("same text", "same text")]) == pytest.approx([1])
    assert chrf([("我们吃饭", "我们去吃饭")])[0] > 0.2


def test_similar_is_better():
    reference = "the parcel came on Tuesday"
    items = [
        item("the parcel came on Tuesday", reference=reference),
        item("nothing of this kind", reference=reference),
        item(["no", "the parcel came"], reference=reference),
        item(["the parcel came", "no"], reference=reference),
        item(["no", "no"], reference=reference),
    ]
    assert BASELINES.get("rouge_l").scores(items) == [5, 1, 1, 0, 0.5]


def test_embedding():
    pytest.importorskip("tokenizers")
    if find_spec("wordllama") is None:
        pytest.skip("wordllama is not installed")
    near, far, same, empty = embedding(
        [
            ("a cat sits on the rug", "the cat sat on a carpet"),
            ("a cat sits on the rug", "shares of the bank fell by half"),
            ("a cat sits on the rug", "a cat sits on the rug"),
            ("", "a cat"),
        ]
    )
    assert same == pytest.approx(1, abs=1e-5)
    assert near > far + 0.2
    assert empty == 0
    assert "wordllama" not in sys.modules  # its own loader sets up logging and looks on the network


def test_embedding_is_that_of_wordllama():
    if find_spec("wordllama") is None:
        pytest.skip("wordllama is not installed")
    from pathlib import Path

    from wordllama import WordLlama

    folder = Path(find_spec("wordllama").origin).parent
    theirs = WordLlama.load(cache_dir=folder, disable_download=True)
    pairs = [pair for pair in _texts(30) if all(text.strip() for text in pair)]
    try:
        expected = [max(0.0, theirs.similarity(*pair)) for pair in pairs]
        assert embedding(pairs) == pytest.approx(expected, abs=1e-4)
    finally:
        for name in [n for n in sys.modules if n.partition(".")[0] == "wordllama"]:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("measure", "package", "extra"),
    [(rouge_l, "rapidfuzz.distance", "bench"), (chrf, "sacrebleu.metrics.chrf", "bench")],
)
def test_missing_packages_are_named(monkeypatch, measure, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"glider-judge\[{extra}\]"):
        measure([("a", "b")])


def test_missing_vectors_are_named(monkeypatch):
    monkeypatch.setattr(similarity, "find_spec", lambda name: None)
    similarity.vectors_of.cache_clear()
    with pytest.raises(MissingExtra, match=r"glider-judge\[embedding\]"):
        embedding([("a", "b")])


@pytest.mark.parametrize("name", ["majority", "length", "random", "rouge_l", "chrf"])
def test_ten_thousand_items_take_seconds(name):
    rng = random.Random(6)
    vocabulary = [f"word{n}" for n in range(500)]
    items = [
        item(
            " ".join(rng.choices(vocabulary, k=40)),
            n % 5,
            reference=" ".join(rng.choices(vocabulary, k=60)),
            part=str(n % 3),
            cluster=str(n // 5),
        )
        for n in range(1000)
    ]
    start = time.process_time()
    BASELINES.get(name).scores(items)
    assert (
        time.process_time() - start < 5
    )  # a tenth of the items; most of it slack for a busy machine
