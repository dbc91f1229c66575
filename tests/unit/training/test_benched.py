"""What the bench would say of a development part: the same items, metrics and means."""

from dataclasses import replace

import numpy as np
import pytest
from unit.corpus.cases import item, labelled, pair

from glider.core.samples import Sample
from glider.corpus.examples import ExampleTask
from glider.corpus.from_items import example_of, task_of
from glider.formats import make_format
from glider.training.benched import LEAST, Bench, Prediction, together

NANO = make_format("nano")


def asked_by(one, example, *, swapped=False):
    task = task_of(one, swapped=swapped)
    return ExampleTask(id=example.id, sample=task.sample, criterion=task.criterion)


def graded(n, name="toy"):
    """`n` texts labelled 1 to 5 in turn, as examples with what they ask."""
    made = []
    for k in range(n):
        one = item(1 + k % 5, id=f"g{k}", output=f"Text number {k}.", cluster=f"c{k}")
        example = example_of(one, NANO, labelled(name))
        made.append((example, asked_by(one, example)))
    return made


def both_orders(n, name="duels", form=NANO):
    """`n` pairs whose first and second output win in turn, each in both orders."""
    made = []
    for k in range(n):
        sample = Sample.of(id=f"p{k}", input=f"Say {k}.", outputs=[f"One {k}.", f"Two {k}."])
        one = replace(
            pair(float(k % 2), reason="Output 2 says it well."), sample=sample, cluster=f"p{k}"
        )
        for swapped in (False, True):
            example = example_of(one, form, labelled(name, kind="pairs"), swapped=swapped)
            made.append((example, asked_by(one, example, swapped=swapped)))
    return made


def bench_of(*made):
    return Bench.of([e for e, _ in made], {e.id: p for e, p in made})


def test_a_graded_set_counts_by_pearsons_r():
    made = graded(30)
    said = {
        e.id: Prediction((k * 7 % 11) / 10, round(k * 7 % 11 / 10 * 4) / 4)
        for k, (e, _) in enumerate(made)
    }
    gold = [1 + k % 5 for k in range(30)]
    r = np.corrcoef(gold, [one.expected for one in said.values()])[0, 1]
    assert bench_of(*made).mean(said) == pytest.approx(r)


@pytest.mark.parametrize("form", ["nano", "prometheus"])  # labelled by numbers, by letters
def test_a_pair_counts_once_by_the_winner_of_both_orders_together(form):
    made = both_orders(20, form=make_format(form))
    said = {}
    right = 0
    for k in range(20):
        shown, swapped = made[2 * k][0], made[2 * k + 1][0]
        # Leans to whatever stands second by 0.2, and knows the winner of three pairs in four.
        knows = k % 4 > 0
        second = 0.5 + (0.15 if (k % 2) == knows else -0.15)
        said[shown.id] = Prediction(second + 0.2, 1.0)
        said[swapped.id] = Prediction(1 - second + 0.2, 1.0)
        right += knows
    bench = bench_of(*made)
    assert [len(one.items) for one in bench.sets] == [20]
    assert bench.mean(said) == pytest.approx(2 * right / 20 - 1)  # half is chance


def test_sets_count_alike_and_one_that_is_told_nothing_of_counts_as_random():
    made, duels = graded(40), both_orders(20)
    perfect = {e.id: Prediction((e.score - 1) / 4, (e.score - 1) / 4) for e, _ in made}
    silent = {e.id: Prediction(0.5, 0.5) for e, _ in duels}
    assert bench_of(*made).mean(perfect) == pytest.approx(1)
    assert bench_of(*made, *duels).mean(perfect | silent) == pytest.approx(0.5)


def test_a_known_set_counts_by_its_own_metric():
    names = {name: bench_of(*graded(LEAST, name)).sets[0].metric
             for name in ("saf_short_answers", "mr_ben_reasoning", "summeval_op")}  # fmt: skip
    assert names == {"saf_short_answers": "pearson", "mr_ben_reasoning": "mcc",
                     "summeval_op": "spearman"}  # fmt: skip


def test_small_sets_half_pairs_and_untold_tasks_do_not_count():
    assert bench_of(*graded(LEAST - 1)).sets == ()
    duels = both_orders(LEAST + 1)
    halves = duels[:-1]  # one order of the last is not there
    assert [len(one.items) for one in bench_of(*halves).sets] == [LEAST]
    made = graded(LEAST)
    assert Bench.of([e for e, _ in made], {made[0][0].id: made[0][1]}).sets == ()


def test_orders_are_put_together_where_the_first_stands():
    made = both_orders(3)
    examples = [made[n][0] for n in (4, 0, 2, 1, 5, 3)]
    groups = together(examples, {e.id: p for e, p in made})
    assert [[e.id for e in group] for group in groups] == [
        [made[4][0].id, made[5][0].id], [made[0][0].id, made[1][0].id],
        [made[2][0].id, made[3][0].id],
    ]  # fmt: skip
