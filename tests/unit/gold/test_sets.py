"""Sets as YAML, items on two scales, and the seeded draw."""

import pytest

from glider.core.criteria import Criterion, Rubric
from glider.core.errors import DataError, RubricError, SetupError, UnknownName
from glider.core.samples import Sample
from glider.gold.items import Item, Notes, oddities
from glider.gold.sets import LabelledSet, drawn, load_set, shipped

RUBRIC = Rubric(levels={1: "bad", 2: "so so", 3: "good"})
ASKED = Criterion(name="asked", question="Is the {output} good?", rubric=RUBRIC)


def item(number=0, part="one", gold=1.0, **others):
    filled = {
        "sample": Sample.of(f"text {number}", id=str(number)),
        "criterion": ASKED,
        "scale": (0.0, 100.0),
        "cluster": str(number),
    }
    return Item(gold=gold, part=part, **(filled | others))


def pair(gold, **others):
    return item(sample=Sample.of(outputs=["a", "b"]), gold=gold, scale=(0.0, 1.0), **others)


# Items


@pytest.mark.parametrize(
    ("scale", "score", "carried"),
    [
        ((0, 100), 1, 0),
        ((0, 100), 1.5, 25),
        ((0, 100), 3, 100),
        ((-2, 2), 2, 0),
        ((1, 3), 2.25, 2.25),
        ((0, 1), 2.5, 0.75),
    ],
)
def test_a_score_is_carried_to_the_scale_of_the_labels(scale, score, carried):
    assert item(scale=scale).on_gold_scale(score) == pytest.approx(carried)


def test_two_outputs_are_a_pair_unless_the_criterion_speaks_of_both():
    assert not item().is_pair
    assert pair(0.0).is_pair
    assert not pair(0.0, as_written=True).is_pair


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ([item(1, gold=3.0), item(2, gold=4.0)], ()),
        ([item(1, gold=3.0), item(2, gold=3.0)], ("every label of 'one' is 3",)),
        (
            [item(1, gold=3.0, cluster="c"), item(2, gold=4.0, cluster="c")],
            ("all items are of one cluster, so there are no intervals and no tests",),
        ),
        (
            [pair(0.5, cluster="a"), pair(1.0, cluster="b")],
            ("1 of 2 pairs are ties in the labels; no accuracy rests on them",),
        ),
        # 0.5 is a tie only where something is compared.
        ([item(1, gold=0.5), item(2, gold=1.0)], ()),
    ],
)
def test_what_statistics_cannot_mend_is_said(items, found):
    assert oddities(items) == found


def test_notes_count_and_name_the_first_places():
    notes = Notes()
    for line in (3, 5, 8, 13):
        notes.add("no label", line)
    notes.add("odd", 7)
    assert notes.sentences() == ("no label: 4 (line 3, 5, 8, ...)", "odd: 1 (line 7)")


# The draw


ITEMS = [item(n, part="many") for n in range(90)] + [item(n, part="few") for n in range(90, 100)]


def test_a_draw_is_the_same_for_the_same_seed_and_keeps_the_order():
    first = drawn(ITEMS, 30, seed="0:x")
    assert first == drawn(ITEMS, 30, seed="0:x")
    assert first != drawn(ITEMS, 30, seed="1:x")
    numbers = [int(i.sample.id) for i in first]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(("limit", "few"), [(1, 0), (8, 4), (20, 10), (60, 10), (99, 10)])
def test_parts_get_equal_shares_while_they_last(limit, few):
    chosen = drawn(ITEMS, limit, seed="s")
    assert len(chosen) == limit
    assert sum(i.part == "few" for i in chosen) == few


def test_a_smaller_draw_lies_within_a_larger_one():
    small, large = (drawn(ITEMS, limit, seed="s") for limit in (20, 50))
    assert {i.sample.id for i in small} < {i.sample.id for i in large}


def test_each_item_of_a_part_is_as_likely():
    counts = [0] * 10
    for seed in range(400):
        for chosen in drawn(ITEMS, 10, seed=str(seed)):
            if chosen.part == "few":
                counts[int(chosen.sample.id) - 90] += 1
    assert sum(counts) == 2000
    # Binomial with n 400, p 1/2: the standard deviation is 10.
    assert all(150 < count < 250 for count in counts)


def test_a_limit_that_takes_all_changes_nothing_and_one_below_1_is_refused():
    assert drawn(ITEMS, 100, seed="s") is ITEMS
    with pytest.raises(SetupError, match="limit of 0"):
        drawn(ITEMS, 0, seed="s")


# A set of one's own

MINE = """
name: mine
title: My labels
data: mine.jsonl
kind: graded
family: support
labels_by: my team
licence: ours
use: train
metrics: [spearman]
questions:
  tone:
    title: Tone
    question: Is the {output} kind?
    levels: {0: unkind, 1: kind}
  "*":
    question: Is the {output} good?
    levels: {1: bad, 2: good}
"""


def mine(folder, text=MINE):
    path = folder / "mine.yaml"
    path.write_text(text, "utf-8")
    return str(path)


def test_a_question_is_for_its_part_and_a_star_for_all_others(tmp_path):
    labelled = load_set(mine(tmp_path))
    tone = labelled.asked("tone")
    assert (tone.name, tone.heading, tone.rubric.scores) == ("tone", "Tone", (0, 1))
    assert labelled.asked("other").question == "Is the {output} good?"
    without = labelled.model_copy(update={"questions": {}})
    assert without.asked("tone") is None


@pytest.mark.parametrize(
    ("old", "new", "error", "said"),
    [
        ("kind: graded", "kind: grades", SetupError, "mine.yaml: kind: "),
        ("use: train", "usage: train", SetupError, "mine.yaml: use: Field required"),
        ("licence: ours", "licence: ours\nlicense: ours", SetupError, "license: Extra inputs"),
        ("{0: unkind, 1: kind}", "{0: unkind}", RubricError, "mine.yaml: .*2 to 11 levels"),
        ("questions:", "questions: [", SetupError, "mine.yaml:13: not YAML"),
        ("kind: graded", "kind: graded\nkind: graded", SetupError, "the key 'kind' is there twice"),
        (MINE, "", SetupError, "mine.yaml: "),
    ],
)
def test_a_bad_set_is_told_with_file_and_key(tmp_path, old, new, error, said):
    with pytest.raises(error, match=said):
        load_set(mine(tmp_path, MINE.replace(old, new, 1)))


def test_a_name_nobody_knows_brings_near_ones():
    with pytest.raises(UnknownName) as caught:
        load_set("sumeval")
    assert "summeval" in caught.value.near
    with pytest.raises(SetupError, match=r"nowhere\.yaml: cannot be read"):
        load_set("nowhere.yaml")


def test_data_that_is_not_there_is_told_and_how_to_fetch_it(tmp_path):
    labelled = LabelledSet.model_validate(
        {
            "name": "n",
            "title": "t",
            "data": "folder::test",
            "kind": "graded",
            "family": "f",
            "labels_by": "p",
            "licence": "l",
            "use": "unseen",
            "metrics": ["mae"],
        }
    )
    with pytest.raises(DataError) as caught:
        labelled.load(tmp_path)
    assert caught.value.hint == "the data folder has no folder"
    hub = labelled.model_copy(update={"hub": "owner/folder"})
    with pytest.raises(DataError) as caught:
        hub.load(tmp_path)
    line = f"hf download owner/folder --repo-type dataset --local-dir {tmp_path / 'folder'}"
    assert caught.value.hint.endswith(line)


def test_shipped_names_are_the_files():
    assert len(shipped()) == 71
    assert [load_set(name).name for name in shipped()] == shipped()


# Subsets


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("mmlu-pro-law", "knowledge"),
        ("livebench-math", "math"),
        ("livebench", "livebench"),
        ("", ""),
    ],
)
def test_subsets_are_named_as_the_field_reports_them(value, name):
    groups = {"knowledge": ["mmlu-pro-*"], "math": ["livebench-math", "gsm8k"]}
    made = load_set("judgebench").model_dump() | {"groups": groups}
    assert LabelledSet.model_validate(made).subset(value) == name
