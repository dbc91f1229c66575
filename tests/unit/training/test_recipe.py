"""Recipes: every setting explained, every mistake named."""

from pathlib import Path
from typing import get_args

import pytest
import yaml

from glider.core.errors import RecipeError, UnknownName
from glider.training import recipe as module
from glider.training.recipe import (
    Lora,
    Recipe,
    described,
    load_recipe,
    parse_recipe,
    shipped,
)
from glider.training.stages.base import Checkpoint, Evaluate
from glider.training.stages.preference import PreferenceStage
from glider.training.stages.sft import SftStage

MINIMAL = {"base": "m", "stages": [{"kind": "sft", "learning_rate": 1e-3}]}


def test_what_is_shipped_can_be_read():
    assert shipped() == [
        "glider-3.8b", "judge-8b-lora", "medium", "nano", "nano-reasons", "nano-self-rationalization",
        "small", "small-decay",
    ]  # fmt: skip
    for name in shipped():
        assert load_recipe(name).stages


def test_the_papers_numbers():
    recipe = load_recipe("glider-3.8b")
    sft, apo = recipe.stages
    assert (sft.learning_rate, sft.epochs, sft.batch / recipe.processes) == (5e-5, 1, 8)
    assert (sft.schedule, sft.warmup, sft.weight_decay) == ("cosine", 0.03, 0.01)
    assert (apo.learning_rate, apo.beta, apo.batch / recipe.processes) == (5e-7, 0.1, 2)
    assert (apo.loss, apo.loss_weights, apo.warmup) == (("apo_zero", "sft"), (1.0, 1.0), 0.05)
    assert (recipe.max_tokens, recipe.precision, recipe.lora) == (8192, "bf16", None)
    assert sft.score_weight is None  # the plain mean over the answer's tokens


@pytest.mark.parametrize(
    "part",
    [Recipe, Lora, SftStage, PreferenceStage, Evaluate, Checkpoint],
    ids=lambda p: p.__name__,
)
def test_every_setting_says_what_it_means(part):
    own = {type(None), str, int, float, bool}
    for key, field in part.model_fields.items():
        kinds = {field.annotation, *get_args(field.annotation)} - own
        nested = any(getattr(kind, "model_fields", None) for kind in kinds)
        assert nested or len(field.description or "") > 10, key
        assert f"| `{key}` |" in described()


@pytest.mark.parametrize(
    ("change", "said", "key"),
    [
        ("lora.rnk=4", "no setting called 'lora.rnk'; did you mean 'rank'?", "lora.rnk"),
        ("stages.0.batchs=4", "did you mean 'batch' or 'batch_tokens'?", "stages.0.batchs"),
        ("learing_rate=1", "did you mean 'learning_rate'?", "learing_rate"),
        ("stages.0.evaluate.patiense=1", "did you mean 'patience'?", "stages.0.evaluate.patiense"),
        ("seed=many", "seed: Input should be a valid integer", "seed"),
        ("stages.0.learning_rate=-1", "stages.0.learning_rate: Input should be greater", "stages.0.learning_rate"),
        ("stages.0.kind=dpo", "'dpo'", "stages.0"),
        ("stages=[]", "one stage at least", ""),
        ("stages.7.batch=1", "no place 'stages.7.batch'", "stages.7.batch"),
        ("batch", "--set needs key=value", ""),
        ("stages.0.text_weight=0", "", ""),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(change, said, key):
    changes = [change, "stages.0.score_weight=0"] if "text_weight" in change else [change]
    with pytest.raises(RecipeError) as caught:
        load_recipe("nano", changes)
    assert said in caught.value.message
    if key:
        assert caught.value.key == key


def test_changes_are_yaml():
    recipe = load_recipe("nano", ["lora=null", "stages.0.learning_rate=1e-4", "stages.0.dev=null"])
    assert recipe.lora is None
    assert recipe.stages[0].learning_rate == 1e-4
    assert recipe.stages[0].dev is None
    assert load_recipe("glider-3.8b", ["lora.rank=8"]).lora.rank == 8


def test_unknown_and_unreadable_files(tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'nano'"):
        load_recipe("nan")
    for text, said in (
        ("a: [", r"r\.yaml:1: not YAML"),
        ("- 1", "is not one mapping"),
        ("seed: 1\nseed: 2", r"r\.yaml:2: the key 'seed' is there twice"),
        ("name: caf\xe9", r"r\.yaml:1: byte 0xe9 is not UTF-8"),
    ):
        (tmp_path / "r.yaml").write_text(text, "latin-1")
        with pytest.raises(RecipeError, match=said):
            load_recipe(tmp_path / "r.yaml")


def test_what_is_resolved_reads_as_itself(tmp_path):
    recipe = load_recipe("glider-3.8b")
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert load_recipe(tmp_path / "again.yaml") == recipe


def test_contradictions():
    with pytest.raises(RecipeError, match="less than one example per process"):
        parse_recipe({**MINIMAL, "processes": 64})
    pair = {"kind": "preference", "learning_rate": 1e-6}
    with pytest.raises(RecipeError, match="2 losses, 1 loss_weights"):
        parse_recipe({**MINIMAL, "stages": [{**pair, "loss_weights": [1.0]}]})
    for metric in ("pearson", "bench"):
        with pytest.raises(RecipeError, match=f"no {metric}"):
            parse_recipe({**MINIMAL, "stages": [{**pair, "evaluate": {"metric": metric}}]})


def test_the_accelerate_file_fits_the_recipe():
    file = module.SHIPPED / "accelerate" / "fsdp-8gpu.yaml"
    settings = yaml.safe_load(file.read_text())
    assert settings["num_processes"] == load_recipe("glider-3.8b").processes == 8
    assert settings["distributed_type"] == "FSDP"


def test_a_setting_is_one_row_of_its_table():
    rows = [line for line in described().splitlines() if line and line[0] != "#"]
    assert all(line.startswith("| ") and line.endswith(" |") for line in rows if line[1] != "-")
    assert "| `loss` | `[apo_zero, sft]` |" in described()


def test_the_page_lists_every_setting():
    page = (Path(__file__).parents[3] / "docs" / "training.md").read_text("utf-8")
    assert page.endswith("## Settings\n\n" + described().rstrip() + "\n")
