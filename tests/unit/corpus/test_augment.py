"""Other words for the same judgment: what was asked, the order of levels, the label stay."""

import re
from pathlib import Path
from random import Random

import pytest
from unit.corpus.cases import item, labelled, pair

from glider.core.samples import Sample
from glider.corpus.augment import (
    NAMES,
    Augment,
    augmented,
    paraphrased,
    renamed,
    rescaled,
    wordings,
)
from glider.corpus.examples import ExampleTask
from glider.corpus.from_items import example_of, level_of
from glider.formats import make_format
from glider.gold.sets import load_set

DATA = Path(__file__).parents[4] / "shared" / "data"
EVERY = Augment(paraphrase=1, names=1, scale=1)
NANO = make_format("nano")


def test_fifteen_names_for_each_role():
    assert all(len(names) == len(set(names)) == 15 for names in NAMES.values())
    reserved = {"reasoning", "highlight", "score", "feedback"}
    assert not reserved & {name for names in NAMES.values() for name in names}
    for names in NAMES.values():  # every one is a legal field name
        for name in names:
            Sample.of("x", **{name: "y"}) if name != "output" else None


@pytest.mark.parametrize("key", sorted(wordings()))
@pytest.mark.skipif(not DATA.is_dir(), reason="the data folder is not here")
def test_a_wording_fits_its_set(key):
    name, _, part = key.partition("/")
    items = load_set(name).items(DATA, limit=40)
    asked = [i for i in items if part in ("*", i.part)]
    assert asked, "no such part"
    for wording in wordings()[key]:
        assert wording.rubric.scores == asked[0].criterion.rubric.scores
        assert not any(re.search(r"[{}]", text) for text in wording.rubric.levels.values())
        for one in asked:
            wording.question_for(one.sample, {f.name: f.name for f in one.sample.fields})


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_item_is_asked_without_a_slip(seed):
    one = item(
        4, reason="It leaves out where the water comes from.", spans=[(0, 4)], context="Sky."
    )
    new, done = augmented(one, EVERY, Random(seed), set_name="toy")
    assert {"paraphrase", "names"} <= set(done)
    made = example_of(new, NANO, labelled())
    asked = made.messages[1].content
    assert "{" not in asked and "  " not in asked
    for field in new.sample.fields:
        assert f"<{field.name}>\n{field.text}\n</{field.name}>" in asked
    assert [f.text for f in new.sample.fields] == [f.text for f in one.sample.fields]
    (judged,) = new.sample.judged
    assert new.spans[0].field == judged.name


def test_the_same_generator_gives_the_same_and_zero_changes_nothing():
    one = item(4)
    draw = [augmented(one, EVERY, Random(3), set_name="toy") for _ in range(2)]
    assert draw[0] == draw[1]
    assert augmented(one, Augment(), Random(3), set_name="toy") == (one, ())


def test_levels_listed_top_down_mean_what_they_meant():
    one = item(4)
    new, done = augmented(one, Augment(top_down=1.0), Random(0), set_name="toy")
    assert done == ("top_down",)
    plain, turned = (example_of(each, NANO, labelled()) for each in (one, new))
    asked = [e.messages[1].content.split("Scores:\n")[1].splitlines() for e in (plain, turned)]
    listed = len(one.criterion.rubric.scores)
    assert asked[0][:listed] == asked[1][:listed][::-1]
    assert turned.model_dump(exclude={"messages"}) == plain.model_dump(exclude={"messages"})
    kept = ExampleTask(id="a", sample=new.sample, criterion=new.criterion)
    assert ExampleTask.model_validate_json(kept.model_dump_json()).criterion == one.criterion


def test_a_pair_has_no_order_of_levels_and_none_shifts_no_draw():
    assert augmented(pair(1), Augment(top_down=1.0), Random(0), set_name="toy") == (pair(1), ())
    for seed in range(20):
        rngs = Random(seed), Random(seed)
        plain, _ = augmented(item(4), EVERY, rngs[0], set_name="toy")
        more = EVERY.model_copy(update={"top_down": 1e-12})
        assert augmented(item(4), more, rngs[1], set_name="toy")[0] == plain


def test_a_name_that_the_question_uses_as_a_word_is_not_drawn():
    asked = item(4).criterion.model_copy(update={"question": "Is the reply in the {output} good?"})
    drawn = {renamed(item(4, criterion=asked), Random(n)).sample.judged[0].name for n in range(300)}
    assert "reply" not in drawn and len(drawn) == 14


def test_the_outputs_of_a_pair_keep_their_names_and_their_scale():
    for seed in range(30):
        new, done = augmented(pair(1), EVERY, Random(seed), set_name="toy")
        assert [f.name for f in new.sample.judged] == ["output 1", "output 2"]
        assert "scale" not in done and new.gold == 1
        asked = example_of(new, NANO, labelled()).messages[1].content
        assert "The best an output can be: perfect" in asked


@pytest.mark.parametrize(
    ("gold", "top", "level"),
    [(1, 3, 1), (3, 3, 2), (5, 3, 3), (1, 10, None), (5, 10, None)],
)
def test_five_levels_as_three(gold, top, level):
    views = [rescaled(item(gold), Random(n)).criterion.rubric for n in range(60)]
    found = [v for v in views if v.high == top]
    if level is None:
        assert not found  # 9 steps over 4 fall between levels
        return
    assert dict(found[0].levels) == {1: "useless", 2: "fair", 3: "perfect"}


@pytest.mark.parametrize("gold", [0, 50, 100])
def test_four_levels_as_ten_keep_their_place(gold):
    levels = {0: "none", 1: "few", 2: "most", 3: "all"}
    one = item(gold, scale=(0.0, 100.0), levels=levels)
    views = [rescaled(one, Random(n)) for n in range(60)]
    ten = next(v for v in views if v.criterion.rubric.high == 10)
    texts = ten.criterion.rubric.levels
    assert (texts[1], texts[4], texts[7], texts[10]) == ("none", "few", "most", "all")
    assert texts[5] == "between 4 and 7"
    soft = level_of(ten)[1]
    mean = sum(share * (n + 1) for n, share in enumerate(soft))
    assert mean == pytest.approx(1 + 9 * gold / 100)


@pytest.mark.parametrize("gold", [1, 2, 3, 3.5, 4, 5])
def test_two_levels_say_whether_the_upper_is_reached(gold):
    cuts = {}
    for n in range(80):
        new = rescaled(item(gold, ratings=(1, 5)), Random(n))
        if new.criterion.rubric.scores == (0, 1):
            cuts[new.criterion.rubric.levels[1]] = new
    assert len(cuts) >= 2
    for text, new in cuts.items():
        least = {"useless": 1, "poor": 2, "fair": 3, "good": 4, "perfect": 5}[
            text.removeprefix("at least this: ").partition(";")[0].rstrip(".")
        ]
        assert new.gold == pytest.approx(min(1, max(0, gold - least + 1)))
        assert new.ratings == (0, 1)


def test_a_question_that_names_its_own_numbers_keeps_its_scale():
    asked = item(4).criterion.model_copy(update={"question": "5 if it is perfect, 1 if useless."})
    one = item(4, criterion=asked)
    assert all(rescaled(one, Random(n)) is one for n in range(20))


def test_a_frame_keeps_the_question_whole():
    one = item(4)
    for n in range(20):
        asked = paraphrased(one, Random(n), set_name="toy").criterion
        assert one.criterion.question in asked.question
        for score, text in one.criterion.rubric.levels.items():
            assert asked.rubric.levels[score].endswith(text)
