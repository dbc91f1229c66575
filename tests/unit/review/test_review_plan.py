"""Who is asked what: drawing, assignment, held-out share, repeats."""

from collections import Counter

import pytest
from review_runs import begun, graded_run, pair_run

from glider.core.errors import DataError, RunError, SetupError, UnknownName
from glider.review.begin import begin, load_review
from glider.review.items import Drawn, ReviewItem, draw, run_items, weight
from glider.review.plan import ReviewPlan, new_plan, visits
from glider.review.settings import ReviewSettings, share_of


def plan_of(n=200, people=("a", "b", "c"), **settings):
    items = [Drawn(id=f"i{k}", row=k, content="c", stratum="", probability=1.0) for k in range(n)]
    plan = new_plan("run", items, people, **settings)
    return plan.model_copy(update={"salt": "5eed5eed5eed5eed"})


def test_every_item_goes_to_k_people_and_shares_are_even():
    plan = plan_of(each=2)
    lists = {name: {v.item for v in visits(plan, name)} for name in plan.people}
    assert Counter(i for mine in lists.values() for i in mine) == {d.id: 2 for d in plan.items}
    assert all(100 < len(mine) < 170 for mine in lists.values())


def test_orders_differ_between_people_and_not_between_calls():
    plan = plan_of(50)
    orders = {name: [v.id for v in visits(plan, name)] for name in plan.people}
    assert len({tuple(order) for order in orders.values()}) == 3
    assert orders["a"] == [v.id for v in visits(plan, "a")]
    again = ReviewPlan.model_validate_json(plan.model_dump_json())
    assert orders["a"] == [v.id for v in visits(again, "a")]


@pytest.mark.parametrize("each", [None, 1, 2])
def test_who_joins_or_leaves_takes_nothing_away_that_was_answered(each):
    plan = plan_of(60, each=each, repeat=0.2, holdout=0.3)
    answered = {v.id for v in visits(plan, "a")[:20]}
    before = {v.id: v for v in visits(plan, "a")}
    joined = plan.model_copy(update={"people": ("a", "b", "c", "d", "e")})
    after = {v.id: v for v in visits(joined, "a", answered)}
    assert answered <= set(after)
    assert all(after[key] == before[key] for key in answered)
    left = plan.model_copy(update={"people": ("a", "b", "c")[: 2 if each == 2 else 1]})
    covered = {v.item for name in left.people for v in visits(left, name)}
    assert covered == {drawn.id for drawn in plan.items}


def test_holdout_and_repeats():
    plan = plan_of(1000, holdout=0.2, repeat=0.1)
    for name in plan.people:
        mine = visits(plan, name)
        first = [v for v in mine if v.time == 1]
        second = [v for v in mine if v.time == 2]
        assert len(first) == 1000 and len(second) == 100
        assert 0.15 < sum(not v.shows_judgment for v in first) / 1000 < 0.25
        assert not any(v.shows_judgment for v in second)
        at = {v.id: n for n, v in enumerate(mine)}
        assert all(at[v.id] - at[v.item] > 5 for v in second)
    hidden = [{v.item for v in visits(plan, p) if not v.shows_judgment} for p in plan.people]
    assert hidden[0] != hidden[1]


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_few_items_may_all_come_once_or_twice(n):
    mine = visits(plan_of(n, repeat=0.5), "a")
    assert len({v.id for v in mine}) == len(mine) == n + min(round(n / 2), n - min(5, n // 2))


@pytest.mark.parametrize("mode", ["label", "synth", "form"])
def test_only_verify_and_compare_show_the_judgment_after(mode):
    assert not any(v.shows_judgment for v in visits(plan_of(20, mode=mode), "a"))


def test_drawing_is_even_over_strata_and_keeps_the_probability(tmp_path):
    items = list(run_items(graded_run(tmp_path / "run", 100)))
    sizes = Counter(str(item.outcome.score) for _, item in items)
    drawn = draw(items, 25, by="score")
    got = Counter(one.stratum for one in drawn)
    assert len(drawn) == 25 and set(got.values()) == {5}
    assert {one.stratum: one.probability for one in drawn} == {s: 5 / sizes[s] for s in sizes}
    assert sum(map(weight, drawn)) == pytest.approx(100)
    assert draw(items, 25, by="score") == drawn != draw(items, 25, by="score", seed=1)
    assert len(draw(items, None)) == len(draw(items, 1000)) == 100


def test_weighted_sums_over_draws_are_those_of_the_run(tmp_path):
    items = list(run_items(graded_run(tmp_path / "run", 60)))
    truth = sum(item.outcome.score for _, item in items)
    score = {item.id: item.outcome.score for _, item in items}
    sums = [
        sum(weight(one) * score[one.id] for one in draw(items, 13, by="score", seed=seed))
        for seed in range(200)
    ]
    assert sum(sums) / 200 == pytest.approx(truth, rel=0.01)


def test_items_are_drawn_by_worth_with_the_probabilities_that_are_kept(tmp_path):
    # The judge is sure of the first ten, knows nothing of the last ten, and says no odds between.
    sure, unsure = {1: 0.0, 5: 1.0}, {1: 0.5, 5: 0.5}
    items, plain = [], []
    for n, (row, item) in enumerate(run_items(graded_run(tmp_path / "run", 30))):
        probs = sure if n < 10 else unsure if n >= 20 else None
        told = item.outcome.model_copy(update={"score_probs": probs})
        items.append((row, ReviewItem(item.sample, item.criterion, told)))
        none = item.outcome.model_copy(update={"score_probs": None})
        plain.append((row, ReviewItem(item.sample, item.criterion, none)))
    counts, size = Counter(), 12
    for seed in range(1000):
        drawn = draw(items, size, by="worth", seed=seed)
        assert len(drawn) == size
        counts.update(one.id for one in drawn)
    draws = [draw(items, size, by="worth", seed=seed) for seed in range(40)]
    chances = {one.id: one.probability for drawn in draws for one in drawn}
    assert sum(chances.values()) == pytest.approx(size)
    assert all(abs(counts[id] / 1000 - chances[id]) < 0.06 for id in chances)
    by_doubt = [chances[items[n][1].id] for n in (0, 15, 25)]
    assert by_doubt == sorted(by_doubt) and by_doubt[2] > 2 * by_doubt[0]
    with pytest.raises(DataError, match="no probabilities"):
        draw(plain, size, by="worth")


def test_going_on_keeps_the_plan_and_changes_only_people(tmp_path):
    run = graded_run(tmp_path / "run")
    first = begun(run, sample=10, repeat="10%", holdout="0.2")
    again = begin(run, ReviewSettings())
    assert again.plan == first.plan == load_review(run).plan
    changed = begun(run, "ana", "cem")
    assert changed.plan.people == ("ana", "cem") and changed.plan.items == first.plan.items
    assert "ben" in changed.notes[-1] and "cem" in " ".join(changed.notes)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"annotators": ()}, SetupError, "nobody"),
        ({"annotators": ("a", "A")}, SetupError, "same name"),
        ({"annotators": ("../x",)}, SetupError, "cannot be a name"),
        ({"each": 3}, SetupError, "1 to 2 people"),
        ({"mode": "verfy"}, UnknownName, "verify"),
        ({"mode": "compare"}, DataError, "no comparisons"),
        ({"mode": "form"}, SetupError, "own questions"),
        ({"by": "length"}, UnknownName, "doubt"),
        ({"repeat": "80%"}, SetupError, "half"),
        ({"holdout": "many"}, SetupError, "10%"),
        ({"queue": True}, SetupError, "how many people"),
        ({"queue": True, "each": 1, "repeat": "10%"}, SetupError, "twice"),
        ({"criterion": "tone"}, UnknownName, "quality"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(tmp_path, settings, error, said):
    run = graded_run(tmp_path / "run", 4)
    with pytest.raises(error, match=said):
        begin(run, ReviewSettings(**{"annotators": ("a", "b"), **settings}))
    assert not (run / "review").exists()


def test_a_review_that_was_begun_is_not_turned_into_another(tmp_path):
    run = graded_run(tmp_path / "run", 6)
    begun(run, mode="label")
    for settings in ({"mode": "verify"}, {"sample": 3}, {"holdout": "10%"}, {"each": 1}):
        with pytest.raises(SetupError, match="begun with"):
            begin(run, ReviewSettings(**settings))


def test_no_run_and_a_run_of_failures(tmp_path):
    with pytest.raises(RunError, match="no run"):
        begun(tmp_path)
    run = graded_run(tmp_path / "run", 2)
    (run / "journal.jsonl").write_text("")
    with pytest.raises(DataError, match="no judgment"):
        begun(run)


def test_a_run_of_pairs_is_compared_and_each_person_sees_an_order(tmp_path):
    review = begun(pair_run(tmp_path / "run"))
    assert review.plan.mode == "compare"


def test_a_form(tmp_path):
    form = tmp_path / "form.yaml"
    form.write_text('questions:\n- {key: clear, text: "Is it clear?", choices: ["yes", "no"]}\n')
    review = begun(graded_run(tmp_path / "run", 3), form=form)
    assert review.plan.mode == "form" and review.plan.questions[0].choices == ("yes", "no")
    form.write_text('questions:\n- {key: clear, text: "Is it clear?", choices: [yes, no]}\n')
    with pytest.raises(SetupError, match=r"form\.yaml: question 1: choices\.0"):
        begun(graded_run(tmp_path / "other", 3), form=form)


def test_a_text_that_changed_under_the_answers_is_noticed(tmp_path):
    run = graded_run(tmp_path / "run", 5)
    begun(run)
    file = run / "samples.jsonl"
    file.write_text(file.read_text().replace("text number 2", "another text 2"))
    review = begin(run, ReviewSettings())
    assert len(review.changed) == 1 and "another text" in review.notes[0]


@pytest.mark.parametrize(("written", "share"), [("10%", 0.1), ("0.25", 0.25), (0, 0), ("100 %", 1)])
def test_shares(written, share):
    assert share_of(written) == pytest.approx(share)
