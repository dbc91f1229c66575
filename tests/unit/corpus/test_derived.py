"""Pairs made of single outputs: who wins, what is asked, and that nothing else tells the winner."""

import json
from pathlib import Path

import pytest
from unit.corpus.cases import CRITERION, item, labelled, pair

from glider.core.criteria import Criterion
from glider.core.errors import SetupError
from glider.core.samples import Sample
from glider.core.tasks import compared
from glider.corpus.derived import Derived, DerivedPairs, derived_pairs, of_two, questions
from glider.corpus.from_items import example_of, level_of
from glider.corpus.mixing import mix
from glider.corpus.mixture import Mixture
from glider.corpus.sources import Source, sources
from glider.formats import make_format
from glider.gold.sets import load_set

DATA = Path(__file__).parents[4] / "shared" / "data"
NANO = make_format("nano")
PROMPTS = [
    "Name a river in the north of France", "Name a river in the south of Spain",
    "Tell me how bread is baked at home", "Tell me how cheese is made at home",
    "Write a poem on the autumn wind", "Write a letter to the town council",
]  # fmt: skip


def answers(gold=5):
    return [
        item(
            gold, id=f"i{n}", input=prompt, cluster=f"c{n}",
            output=f"Answer {n} is about {prompt.split()[-1]}. " + f"It goes on for {n} words. " * (n + 3),
        )
        for n, prompt in enumerate(PROMPTS)
    ]  # fmt: skip


def made(kind, items, n=100, seed=0, **more):
    settings = DerivedPairs(**{kind: Derived(pairs=n, sets=("toy", "other"))})
    return [one.item for one in derived_pairs({"toy": items, **more}, settings, seed=seed)]


def winner(one):
    assert one.gold != 0.5
    return one.sample.judged[int(one.gold > 0.5)].text


def loser(one):
    return one.sample.judged[int(one.gold < 0.5)].text


def test_by_default_none_are_made():
    assert derived_pairs({"toy": answers()}, DerivedPairs(), seed=0) == []


@pytest.mark.parametrize(
    ("low", "high", "sure"),
    [(1, 5, 1.0), (2, 4, 1.0), (2, 3.5, 0.875), (3, 4, 0.75), (3, 3.9, None)],
)
def test_of_two_labels_for_one_prompt_the_higher_wins_the_surer_the_farther(low, high, sure):
    two = [item(low, id="a", output="The worse one."), item(high, id="b", output="The better one.")]
    found = made("rated", two)
    if sure is None:
        assert found == []
        return
    (one,) = found
    assert winner(one) == "The better one."
    assert max(one.gold, 1 - one.gold) == pytest.approx(sure)
    assert level_of(one)[1] == pytest.approx([1 - one.gold, one.gold])


def test_labels_of_other_prompts_or_criteria_are_not_set_against_each_other():
    other = Criterion(name="other", question="Is it short?", rubric=CRITERION.rubric)
    assert made("rated", [item(1, output="A."), item(5, output="B.", input="Else?")]) == []
    assert made("rated", [item(1, output="A."), item(5, output="B.", criterion=other)]) == []


def test_a_lengthened_output_is_judged_alone_as_the_plain_one_was():
    plain = answers(gold=2)
    of_id = {one.sample.id: one for one in plain}
    found = made("lengthened", [*plain, pair(1), item(4, id="de", lang="de")])
    assert len(found) == len(plain)
    ways = set()
    for one in found:
        twin = of_id[one.sample.id.removeprefix("lengthened:")]
        text, longer = twin.sample.judged[0].text, one.sample.judged[0].text
        ways.add(longer.endswith(text))
        assert text in longer and len(longer) > len(text)
        assert (one.gold, one.criterion, one.scale) == (twin.gold, twin.criterion, twin.scale)
        assert one.cluster == twin.cluster and not one.is_pair and not one.spans
        assert one.sample.told == twin.sample.told
    assert ways == {True, False}  # behind the prompt, and between a greeting and a farewell


def test_a_rated_output_is_in_one_pair_at_most():
    found = made("rated", [item(1 + n % 5, id=f"i{n}", output=f"Text {n}.") for n in range(21)])
    used = [field.text for one in found for field in one.sample.judged]
    assert len(found) >= 8
    assert len(used) == len(set(used))


def test_a_good_answer_beats_one_to_another_prompt():
    items = answers()
    own = {i.sample["input"]: i.sample["output"] for i in items}
    found = made("strayed", items)
    assert len(found) == len(items)
    for one in found:
        asked = one.sample["input"]
        assert winner(one) == own[asked]
        assert loser(one) in own.values()
        assert loser(one) != own[asked]


def test_the_other_prompt_is_a_similar_one():
    places = ["river", "lake", "hill", "town", "road", "bridge"]
    alike = [
        item(5, id=f"a{n}", input=f"Name a {place} that lies in {place}land", output=f"Alike {n}.")
        for n, place in enumerate(places)
    ]
    others = [
        item(5, id=f"x{n}", input=f"Quite{n} unlike{n} all{n} the{n} rest{n}", output=f"No {n}.")
        for n in range(40)
    ]
    losers = [
        loser(one) for one in made("strayed", alike + others) if "Name" in one.sample["input"]
    ]
    assert len(losers) == len(places)
    assert not any(text.startswith("No ") for text in losers)


def test_bad_answers_do_not_win():
    assert made("strayed", answers(gold=1)) == []
    assert made("cut", answers(gold=1)) == []


def test_the_winner_of_a_pair_is_a_good_answer():
    two = Sample.of(
        id="p", input="Name a lake in the east of France", outputs=["Good lake.", "Bad."]
    )
    compared_ = pair(0.0)
    won = type(compared_)(
        sample=two, criterion=CRITERION, gold=0.0, scale=(0.0, 1.0), part="x", cluster="p"
    )
    texts = {winner(one) for one in made("strayed", [*answers(), won])}
    assert "Good lake." in texts
    assert "Bad." not in texts


def test_a_fixed_instruction_asks_for_nothing_to_stray_from():
    same = [
        item(
            5, id=f"s{n}", input="Summarise the text.", context=f"Text {n} of many.", output=f"S{n}"
        )
        for n in range(9)
    ]
    assert made("strayed", same) == []


def test_padding_keeps_the_text_and_loses():
    for one in made("padded", answers()):
        assert winner(one).strip() in loser(one)
        assert len(loser(one)) > len(winner(one))


def test_what_is_cut_off_loses():
    found = made("cut", answers())
    assert found
    for one in found:
        assert winner(one).startswith(loser(one))
        assert 0.2 < len(loser(one)) / len(winner(one)) < 0.8
    assert made("cut", [item(5, output="Too short to cut.")]) == []


@pytest.mark.parametrize("kind", ["rated", "strayed", "padded", "cut"])
def test_the_place_does_not_tell_the_winner_and_the_draw_is_kept(kind):
    items = [
        item(1 + 4 * (n % 2), id=f"i{n}", input="Say it." if kind == "rated" else f"{PROMPTS[n % 6]} {n}",
             output=f"Text {n} {n * 7} " + "goes on " * 12)
        for n in range(240)
    ]  # fmt: skip
    found = made(kind, items)
    first = sum(one.gold < 0.5 for one in found)
    assert 0.3 < first / len(found) < 0.7
    again = made(kind, items)
    assert [one.sample.content_id for one in again] == [one.sample.content_id for one in found]
    other = made(kind, items, seed=1)
    assert [one.sample.content_id for one in other] != [one.sample.content_id for one in found]


def test_sets_take_turns_and_a_long_pair_is_passed_over():
    pools = {"toy": answers(), "other": answers()[:3]}
    settings = DerivedPairs(padded=Derived(pairs=5, sets=("toy", "other", "absent")))
    found = derived_pairs(pools, settings, seed=0)
    assert [one.set for one in found] == ["toy", "other", "toy", "other", "toy"]
    short = derived_pairs(
        pools, settings, seed=0, fits=lambda one: "river" not in one.sample["input"]
    )
    assert len(short) == 5
    assert not any("river" in one.item.sample["input"] for one in short)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("How good is the {output}?", "How good is an output?"),
        ("The {output} is judged.", "An output is judged."),
        ("Compare {output} and {input}.", "Compare output and {input}."),
        ("An output is judged.", "An output is judged."),
    ],
)
def test_a_question_on_one_text_is_put_so_that_it_fits_two(asked, told):
    assert of_two(CRITERION.model_copy(update={"question": asked})).question == told


@pytest.mark.parametrize("kind", sorted(questions()))
def test_what_is_asked_can_be_asked_and_is_no_benchmark_s_question(kind):
    benchmarks = {
        question.question
        for name in ("llmbar", "evalbiasbench", "judgebench", "rm_bench")
        for question in load_set(name).questions.values()
    }
    sample = Sample.of(id="a", input="Say hello.", outputs=["Hello.", "Hi."])
    assert len(questions()[kind]) >= 4
    for criterion in questions()[kind]:
        assert criterion.question not in benchmarks
        asked = (
            NANO.render(compared(sample, criterion, "output 1", "output 2")).messages[-1].content
        )
        assert "{" not in asked


@pytest.mark.skipif(not DATA.is_dir(), reason="the data folder is not here")
def test_a_real_set_gives_pairs_that_examples_are_made_of():
    labelled = load_set("saf_short_answers")
    items = labelled.items(DATA)
    settings = DerivedPairs(
        rated=Derived(pairs=40, sets=("saf_short_answers",)),
        padded=Derived(pairs=10, sets=("saf_short_answers",)),
    )
    found = derived_pairs({"saf_short_answers": items}, settings, seed=3)
    assert len(found) == 50
    gold = {(i.sample["input"], i.sample["output"]): i.gold for i in items}
    for _, one in found[:40]:
        asked = one.sample["input"]
        assert gold[asked, winner(one)] > gold[asked, loser(one)]
    for _, one in found:
        straight = example_of(one, NANO, labelled)
        swapped = example_of(one, NANO, labelled, swapped=True)
        assert {straight.score, swapped.score} == {0, 1}


def test_a_mixture_makes_them_for_training_only(tmp_path):
    rows = [
        {
            "id": f"r{n}", "input": f"Tell me of thing{n // 2}", "label": 1 + 4 * (n % 2),
            "output": f"Answer {n} " + f"word{n} " * 14, "scale": [1, 5], "rubric": {
                "1": "bad", "2": "poor", "3": "fair", "4": "good", "5": "perfect"},
            "criterion": {"name": "quality", "description": "How good is it?"},
        }
        for n in range(60)
    ]  # fmt: skip
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = [Source(labelled("mine"), tmp_path, own=True)]
    told: list[str] = []
    settings = Mixture.model_validate(
        {"dev": 0.2, "derived": {"cut": {"pairs": 5, "sets": ["mine"]},
                                 "strayed": {"pairs": 900, "sets": ["mine"]}}}
    )  # fmt: skip
    mixed = mix(own, [], settings, notify=told.append)
    parts = [example.part for example in mixed.train]
    assert parts.count("cut") == 10  # both orders
    strayed = parts.count("strayed") // 2
    assert 0 < strayed < 900
    assert f"derived: {strayed} of 900 strayed pairs; the sets give no more" in told
    assert not {"cut", "strayed"} & {example.part for example in mixed.dev}
    held = set(mixed.held_out["mine"])
    assert not held & {example.cluster for example in mixed.train}


def test_a_set_that_is_not_taken_is_an_error():
    settings = Mixture.model_validate(
        {"sets": {"summedits": {}}, "derived": {"cut": {"pairs": 5, "sets": ["qags"]}}}
    )
    with pytest.raises(SetupError, match="cut names 'qags', which is not among the sets"):
        sources(settings, DATA)
