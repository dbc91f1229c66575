"""Folds, the plan and where a tuning starts, by tables; no model is loaded."""

import json
from collections import Counter
from pathlib import Path

import pytest
from unit.corpus.cases import item, labelled

from glider.core.errors import RunError, SetupError
from glider.studies.tuning.labels import TuningLabels, folds_of
from glider.studies.tuning.plan import StartingModel, plan_tuning, recipe_of, starting_point
from glider.training.recipe import load_recipe
from glider.training.start import with_lora_of

# Folds


def test_what_shares_a_prompt_is_in_one_fold():
    groups = [f"prompt {n // 3}" for n in range(30)]
    folds = folds_of(groups, [n % 2 for n in range(30)], 5)
    assert {
        len({f for g, f in zip(groups, folds, strict=True) if g == name}) for name in groups
    } == {1}
    assert Counter(folds) == dict.fromkeys(range(5), 6)


def test_folds_have_the_levels_in_equal_shares():
    levels = ["rare"] * 5 + ["common"] * 45
    folds = folds_of([str(n) for n in range(50)], levels, 5)
    assert Counter(folds) == dict.fromkeys(range(5), 10)
    assert Counter(
        f for f, level in zip(folds, levels, strict=True) if level == "rare"
    ) == dict.fromkeys(range(5), 1)


def test_the_largest_prompts_are_placed_first():
    # 12 labels of one prompt, and 12 prompts of one: two folds of 12.
    groups = ["big"] * 12 + [str(n) for n in range(12)]
    folds = folds_of(groups, ["a"] * 24, 2)
    assert len(set(folds[:12])) == 1 and set(folds[12:]) == {1 - folds[0]}


def test_the_seed_decides_and_nothing_else():
    groups, levels = [str(n) for n in range(40)], [n % 3 for n in range(40)]
    first = folds_of(groups, levels, 4, seed=1)
    assert folds_of(groups, levels, 4, seed=1) == first != folds_of(groups, levels, 4, seed=2)
    turned = folds_of(groups[::-1], levels[::-1], 4, seed=1)
    assert turned[::-1] == first


# The plan


def labels(n):
    return TuningLabels(labelled(), tuple(item(1) for _ in range(n)), (0,) * n, ((None,),) * n, ())


@pytest.mark.parametrize(
    ("n", "epochs", "batch"),
    [(50, 10, 8), (100, 10, 8), (200, 5, 8), (499, 2, 8), (500, 2, 16), (2000, 2, 16)],
)
def test_a_thousand_examples_are_seen(n, epochs, batch):
    plan = plan_tuning(labels(n), folds=5, layers=30, seconds=1, minutes=60, has_adapter=False)
    assert (plan.epochs, plan.batch, plan.frozen_layers) == (
        pytest.approx(epochs, abs=0.01),
        batch,
        0,
    )


@pytest.mark.parametrize(
    ("minutes", "has_adapter", "epochs", "frozen"),
    [
        # 100 labels, ten times each, 4 folds, a pass of 6 s. 5 starts of 15 s and the pass itself are
        # 81 s; 4 * 10 * 3 * 6 s = 720 s through all layers, 480 s through the upper half.
        (13.4, False, 10, 0),
        (13.3, False, 10, 15),
        (9.4, False, 10, 15),
        # 330 s are left of 411 s: 330 / (4 * 2 * 6).
        (6.85, False, 6.88, 15),
        # An adapter is trained whole: 720 s / 2 in time.
        (7.35, True, 5, 0),
    ],
)
def test_it_is_made_to_be_in_time(minutes, has_adapter, epochs, frozen):
    plan = plan_tuning(
        labels(100), folds=4, layers=30, seconds=6, minutes=minutes, has_adapter=has_adapter
    )
    assert (plan.epochs, plan.frozen_layers) == (epochs, frozen)
    assert plan.minutes <= minutes + 0.1


def test_too_little_time_is_told_before_it_is_spent():
    with pytest.raises(SetupError, match="some 2 minutes on this machine, not 1 ") as caught:
        plan_tuning(labels(100), folds=4, layers=30, seconds=6, minutes=1, has_adapter=False)
    assert "--minutes" in caught.value.hint


# Where it starts


def adapter(folder: Path, base: str) -> Path:
    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_a_model_that_learnt_nothing_yet_starts_as_it_is(tmp_path):
    assert starting_point("smollm2-135m-instruct") == StartingModel("smollm2-135m-instruct", None)
    assert starting_point(str(tmp_path)) == StartingModel(str(tmp_path), None)


def test_an_adapter_has_adapter_with_what_it_learnt(tmp_path):
    mine = adapter(tmp_path / "mine", "smollm2-135m-instruct")
    assert starting_point(str(mine)) == StartingModel("smollm2-135m-instruct", mine)


def test_a_finished_training_is_its_result(tmp_path):
    run = tmp_path / "run"
    mine = adapter(run / "1-sft" / "model", "smollm2-135m-instruct")
    found = {"folder": "1-sft/model", "kind": "adapter", "base": "x", "metrics": {}}
    (run / "result.json").write_text(json.dumps(found))
    assert starting_point(str(run)) == StartingModel("smollm2-135m-instruct", mine)
    (mine / "adapter_config.json").unlink()
    assert starting_point(str(run)) == StartingModel(str(mine), None)


@pytest.mark.parametrize(
    ("found", "says"),
    [('{"pairs": 3}', "is no training"), ("3", "is no training"), ("{", "damaged")],
)
def test_a_folder_with_another_result_is_no_training(tmp_path, found, says):
    (tmp_path / "result.json").write_text(found)
    with pytest.raises(RunError, match=says):
        starting_point(str(tmp_path))


def test_the_recipes_that_go_on_do_so_from_the_shipped_adapter():
    """A tuning's and the shipped ones: by the adapter's settings, or saying the same."""
    start = starting_point("glider-nano")
    plan = plan_tuning(labels(100), folds=4, layers=30, seconds=6, minutes=60, has_adapter=True)
    for recipe in (
        recipe_of(plan, start, name="x", seed=0),
        load_recipe("nano-reasons"),
        load_recipe("nano-self-rationalization"),
    ):
        lora = with_lora_of(recipe, start.adapter).lora
        assert (lora.rank, lora.alpha, lora.dropout) == (32, 64, 0)


def test_an_adapter_on_a_stranger_is_refused(tmp_path):
    with pytest.raises(SetupError, match="not in the catalogue") as caught:
        starting_point(str(adapter(tmp_path / "mine", "somebody/model")))
    assert "glider export" in caught.value.hint
