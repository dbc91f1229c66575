import random

import krippendorff
import numpy as np
import pytest
from cases import item

from glider.bench.ceiling import agreement, human
from glider.stats.agreement import percent_agreement
from glider.stats.correlation import pearson
from glider.stats.estimates import Undefined


@pytest.mark.parametrize(
    ("kind", "ratings", "gold_of_others"),
    [
        ("graded", (1, 2, 5), [3.5, 3, 1.5]),  # the mean of the other two
        ("classes", (1, 2, 2), [2, 1, 1]),  # of 1 and 2 the one nearest to the mean; the lower
        ("classes", (1, 1, 3, 5), [3, 3, 1, 1]),  # of 1, 3, 5 the middle one
        (
            "classes",
            (1, 5, 5, 3, 3),
            [3, 3, 3, 5, 5],
        ),  # 5 5 3 3: two lead, the lower of two as near
        ("classes", (4, 2), [2, 4]),  # two people: the other one
        ("pairs", (0, 1, 1), [1, 0.5, 0.5]),  # the others are split: a tie
        ("pairs", (0, 0, 1, 1, 1), [1, 1, 0.5, 0.5, 0.5]),
    ],
)
def test_each_rating_against_the_others(kind, ratings, gold_of_others):
    thing = ["a", "b"] if kind == "pairs" else "a"
    made = human("set", [item(thing, ratings=ratings, id="x")], kind)
    assert made.system == "human"
    assert made.score.tolist() == list(ratings)
    assert made.gold.tolist() == gold_of_others
    assert made.judged.all()
    assert made.ids == tuple(f"x quality rating {n + 1}" for n in range(len(ratings)))


def test_rows_keep_part_scale_and_cluster():
    items = [
        item(ratings=(1, 2), part="a", cluster="doc 1"),
        item(ratings=(3,), part="b", cluster="doc 2"),  # one person alone
        item(ratings=(4, 5, 4), part="c", cluster="doc 1", scale=(0.0, 9.0)),
    ]
    made = human("set", items, "graded")
    assert made.parts == ("a", "c")
    assert made.scales == ((1, 5), (0, 9))
    assert made.part.tolist() == [0, 0, 1, 1, 1]
    assert made.cluster.tolist() == [0] * 5


def test_no_ratings_no_ceiling():
    assert human("set", [item(), item(ratings=(1,))], "graded") == Undefined(
        "no item has two single ratings or more", 0, 2
    )
    assert human("set", [], "pairs").n == 0


def test_two_who_agree_reach_the_top_and_strangers_the_bottom():
    rng = random.Random(5)
    twins = [item(ratings=(g, g)) for g in (rng.randint(1, 5) for _ in range(50))]
    made = human("set", twins, "graded")
    assert pearson(made.score, made.gold) == pytest.approx(1)
    strangers = [item(ratings=[rng.randint(1, 5) for _ in range(3)]) for _ in range(400)]
    made = human("set", strangers, "graded")
    # One against others drawn apart from it: no correlation but what 400 items bring by chance.
    assert abs(pearson(made.score, made.gold)) < 0.12
    made = human("set", [item(["a", "b"], ratings=(1, 1, 1)) for _ in range(4)], "pairs")
    assert percent_agreement(made.score, made.gold) == 1


@pytest.mark.parametrize(
    ("kind", "level"), [("graded", "interval"), ("classes", "ordinal"), ("pairs", "nominal")]
)
def test_alpha_is_that_of_krippendorff(kind, level):
    rng = np.random.default_rng(8)
    top = 1 if kind == "pairs" else 4
    thing = ["a", "b"] if kind == "pairs" else "a"
    truth = rng.integers(0, top + 1, 80)
    ratings = np.clip(truth[:, None] + rng.integers(-1, 2, (80, 4)), 0, top)
    counts = rng.integers(1, 5, 80)
    items = [
        item(thing, ratings=row[:k], scale=(0.0, float(top)), cluster=str(n // 2))
        for n, (row, k) in enumerate(zip(ratings, counts, strict=True))
    ]
    (alpha,) = agreement(items, kind, rng=rng).values()
    table = np.where(np.arange(4) < counts[:, None], ratings, np.nan)
    expected = krippendorff.alpha(table.T.astype(float), level_of_measurement=level)
    assert alpha.value == pytest.approx(expected)
    assert alpha.low < alpha.value < alpha.high
    assert (alpha.n, alpha.skipped) == ((counts > 1).sum(), (counts == 1).sum())


def test_alpha_of_each_part_or_why_not():
    rng = np.random.default_rng(8)
    items = [item(ratings=(1, 1), part="flat") for _ in range(5)] + [item(part="single")]
    found = agreement(items, "graded", rng=rng)
    assert isinstance(found["flat"], Undefined)
    assert "every rating is 1" in found["flat"].reason
    assert found["single"] == Undefined("no item has two single ratings or more", 0, 1)
