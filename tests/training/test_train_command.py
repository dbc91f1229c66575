"""`glider train` from the shell: dry run, run, mistakes."""

import json
import sys

import pytest
import yaml
from tiny_models import recipe_of

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("trl", reason="training needs trl")

import typer
from typer.testing import CliRunner

from glider.cli.train import train
from glider.core.errors import RecipeError, SetupError
from glider.training.run import result

app = typer.Typer()
app.command("train")(train)


@pytest.fixture
def recipe(tiny, tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(recipe_of(tiny).model_dump(mode="json")))
    return path


def glider(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_a_run(recipe, data, tmp_path):
    settings = {"format": "nano", "order": "reason-first", "layout": None, "seed": 0}
    (data / "manifest.json").write_text(json.dumps({"settings": settings}))
    told = glider(recipe, "--data", data, "--out", tmp_path / "run", "--set", "stages.0.epochs=2")
    assert told.exit_code == 0, told.output
    assert "measured 1-sft     0" in told.output
    assert "done model in" in told.output.replace("\n", " ")
    done = result(tmp_path / "run")
    assert done.kind == "model"
    assert json.loads((done.folder / "glider.json").read_text()) == {
        "format": "nano", "order": "reason-first",
    }  # fmt: skip
    again = glider(recipe, "--data", data, "--out", tmp_path / "run", "--set", "stages.0.epochs=2",
                   "--resume", "--json")  # fmt: skip
    assert json.loads(again.stdout.splitlines()[-1])["kind"] == "model"


def test_metrics_as_json(recipe, data, tmp_path):
    told = glider(recipe, "--data", data, "--out", tmp_path / "run", "--json")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line["step"] for line in lines if "loss" in line and "stage" in line] == [1, 2, 3, 4, 5]


def test_a_dry_run_counts_and_trains_nothing(recipe, data, tmp_path):
    told = glider(recipe, "--data", data, "--dry-run")
    assert told.exit_code == 0, told.output
    shown, _, counts = told.output.partition("\nmodel ")
    assert yaml.safe_load(shown)["stages"][0]["batch"] == 8
    assert "40, 0 left out as too long; 40 to measure on" in counts
    assert "40 of scores, 0 of text" in counts
    assert "updates    5," in counts
    assert "[score] 1" in counts
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "toy.yaml"]


@pytest.mark.parametrize("lora", ["{rank: 4}", "null"])
def test_the_dry_run_counts_weights_as_they_are(recipe, data, tmp_path, lora):
    """The weights it says will be trained are those the trainer trains."""
    from safetensors.torch import load_file

    told = glider(recipe, "--data", data, "--dry-run", "--json", "--set", f"lora={lora}")
    found = json.loads(told.stdout)
    glider(recipe, "--data", data, "--out", tmp_path / "run", "--set", f"lora={lora}")
    name = "model.safetensors" if lora == "null" else "adapter_model.safetensors"
    weights = load_file(result(tmp_path / "run").folder / name)
    assert found["trained"] == sum(one.numel() for one in weights.values())
    assert found["memory_gb"] > 0 and found["stages"][0]["hours"] > 0


def test_a_dry_run_of_preferences(tiny, data, tmp_path):
    path = tmp_path / "apo.yaml"
    recipe = recipe_of(tiny, kind="preference")
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    told = glider(path, "--data", data, "--dry-run")
    assert "1-preference" in told.output and "16, 0 left out" in told.output


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ([], SetupError, "name a recipe"),
        (["nano"], SetupError, "--out"),
        (["nano", "--set", "lora.rnk=3", "--dry-run"], RecipeError, "did you mean 'rank'"),
    ],
)
def test_mistakes(arguments, error, said):
    told = glider(*arguments)
    assert isinstance(told.exception, error)
    assert said in str(told.exception)


def test_help_loads_no_engine():
    import subprocess

    program = (
        "import sys; import glider.cli.train, glider.training.recipe, glider.training.run\n"
        "print([n for n in ('torch', 'trl', 'peft', 'datasets', 'transformers') if n in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"
