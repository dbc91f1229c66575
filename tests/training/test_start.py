"""A training that goes on from an adapter: by its settings, on its base, or not at all."""

import json
import shutil

import pytest
from tiny_models import build, recipe_of

torch = pytest.importorskip("torch", reason="training needs torch")
peft = pytest.importorskip("peft", reason="makes adapters with PEFT")
pytest.importorskip("trl", reason="training needs trl")

from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

from glider.core.errors import ModelFileError, RecipeError, SetupError  # noqa: E402
from glider.models.quiet import quietly  # noqa: E402
from glider.models.resolve import TorchWeights  # noqa: E402
from glider.training.folder import load_manifest  # noqa: E402
from glider.training.forecast import dry_run  # noqa: E402
from glider.training.run import train  # noqa: E402
from glider.training.start import check_fits  # noqa: E402

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """An adapter of the upper of two layers."""
    folder = tmp_path_factory.mktemp("trained") / "mine"
    config = peft.LoraConfig(
        r=4, lora_alpha=12, lora_dropout=0.1, target_modules=["q_proj", "down_proj"],
        layers_to_transform=[1], task_type="CAUSAL_LM",
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(tiny)
    with quietly():
        peft.get_peft_model(model, config).save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(trained, tmp_path):
    """One that may be changed."""
    return shutil.copytree(trained, tmp_path / "mine")


def change(adapter, **settings):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize("said", [{}, {"alpha": 12}, {"targets": ["q_proj", "down_proj"]}])
def test_what_the_recipe_does_not_say_is_the_adapters(tiny, trained, data, tmp_path, said):
    recipe = recipe_of(tiny, lora=said, start=str(trained))
    train(recipe, data=data, out=tmp_path / "run")
    assert load_manifest(tmp_path / "run").recipe["lora"] == {
        "rank": 4, "alpha": 12.0, "dropout": 0.1, "targets": ["down_proj", "q_proj"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ({"rank": 8}, "lora.rank is 8, the adapter's 4"),
        ({"alpha": 12, "dropout": 0}, "lora.dropout is 0.0, the adapter's 0.1"),
        ({"targets": ["q_proj"]}, "lora.targets is"),
        (None, "has no lora"),
    ],
)
def test_what_the_recipe_says_otherwise_is_refused(tiny, trained, data, tmp_path, lora, said):
    recipe = recipe_of(tiny, lora=lora, start=str(trained))
    with pytest.raises(SetupError, match=said):
        train(recipe, data=data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_refusal_says_what_to_set(tiny, trained, data):
    recipe = recipe_of(tiny, lora={"rank": 8, "alpha": 8}, start=str(trained))
    with pytest.raises(RecipeError) as caught:
        dry_run(recipe, data)
    assert caught.value.key == "lora.rank"
    assert caught.value.hint == "--set lora.rank=4 --set lora.alpha=12.0"


def test_the_dry_run_counts_what_is_trained(tiny, trained, data):
    weights = load_file(trained / WEIGHTS)
    found = dry_run(recipe_of(tiny, lora={}, start=str(trained)), data)
    assert found.trained == sum(one.numel() for one in weights.values())
    assert found.recipe.lora.rank == 4
    found = dry_run(recipe_of(tiny, lora={}, start=str(trained), frozen_layers=1), data)
    assert found.trained == sum(one.numel() for one in weights.values())


def refused(base, adapter, data, tmp_path, said):
    recipe = recipe_of(base, lora={}, start=str(adapter))
    with pytest.raises(ModelFileError, match=said):
        train(recipe, data=data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_base_without_these_layers(trained, data, tmp_path):
    flat = build(tmp_path / "flat", layers=1)
    refused(flat, trained, data, tmp_path, r"fit flat: it changes model\.layers\.1\..* not there")


def test_a_base_of_another_shape(tiny, adapter, data, tmp_path):
    weights = load_file(adapter / WEIGHTS)
    wider = {
        name: torch.cat([one, one]) if "lora_B" in name else one for name, one in weights.items()
    }
    save_file(wider, adapter / WEIGHTS)
    refused(tiny, adapter, data, tmp_path, r"of \(64, 64\), which is \(32, 64\)")


def test_a_damaged_adapter(tiny, adapter, data, tmp_path):
    (adapter / WEIGHTS).write_bytes(b"\xff" * 100)
    refused(tiny, adapter, data, tmp_path, "is damaged")
    change(adapter, r=None)
    refused(tiny, adapter, data, tmp_path, "adapter_config.json is damaged")


@pytest.mark.parametrize(
    ("trained_on", "base", "fits"),
    [
        ("smollm2-135m-instruct", "glider-nano", False),
        ("/cache/models/glider-nano.0123456789ab.bf16", "smollm2-135m-instruct", False),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm2-135m-instruct", True),
        ("/home/me/mine", "smollm2-135m-instruct", True),  # whatever it is
        ("meta-llama/Meta-Llama-3.1-8B", "meta-llama/Llama-3.1-8B", True),  # it was renamed
        ("", "glider-nano", True),
    ],
)
def test_bases_of_one_shape_are_told_apart_where_both_are_known(
    tiny, adapter, trained_on, base, fits
):
    change(adapter, base_model_name_or_path=trained_on)
    named = TorchWeights(str(tiny), base, "0")
    if fits:
        check_fits(adapter, named)
    else:
        with pytest.raises(SetupError, match=f"and the base is {base}"):
            check_fits(adapter, named)
