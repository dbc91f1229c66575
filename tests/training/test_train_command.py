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

from glider.cli.data import data as data_command
from glider.cli.train import _RECIPES, train
from glider.core.errors import DataError, RecipeError, SetupError
from glider.training.folder import result
from glider.training.recipe import shipped

app = typer.Typer()
app.command("train")(train)
app.command("data")(data_command)


@pytest.fixture
def recipe(tiny, tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(recipe_of(tiny).model_dump(mode="json")))
    return path


def glider(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def make_data(*arguments):
    made = CliRunner().invoke(app, ["data", *map(str, arguments)])
    assert made.exit_code == 0, made.output
    return made


@pytest.fixture
def pairs(tmp_path):
    """A folder that `glider data` makes of a person's own pairs, in GLIDER's form."""
    answer = (
        "<reasoning>\n- It is "
        "{0}.\n</reasoning>\n<highlight>\n[]\n</highlight>\n<score>\n{0}\n</score>"
    )
    rows = [
        {"prompt": f"Judge text {n}.", "chosen": answer.format(n % 5 + 1), "rejected": answer.format(0)}
        for n in range(40)
    ]  # fmt: skip
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = make_data("--preferences", tmp_path / "mine.jsonl", "--format", "glider", "--dev", 0.2,
                     "--out", tmp_path / "pairs")  # fmt: skip
    assert "32 pairs to train on and 8 for development" in told.output.replace("\n", " ")
    return tmp_path / "pairs"


@pytest.fixture
def labels(tmp_path):
    """A folder that `glider data` makes of a person's own labels."""
    rows = [
        {"id": str(n), "input": f"Question {n}?", "output": f"Answer {n}.", "label": n % 5 + 1,
         "scale": [1, 5], "criterion": {"name": "quality", "description": "Is it good?"},
         "rubric": {1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "perfect"}}
        for n in range(60)
    ]  # fmt: skip
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    make_data("--set", tmp_path / "labels.jsonl", "--dev", 0.5, "--out", tmp_path / "examples")
    return tmp_path / "examples"


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


SMALL = ("--set", "processes=1", "--set", "precision=fp32", "--set", "threads=1")


def test_both_stages_of_the_papers_recipe_from_a_file_of_pairs(tiny_phi, pairs, tmp_path):
    told = glider("glider-3.8b", "--data", pairs, "--out", tmp_path / "run", *SMALL,
                  "--set", f"base={tiny_phi}")  # fmt: skip
    assert told.exit_code == 0, told.exception
    assert "measured 2-preference" in told.output
    folder = result(tmp_path / "run").folder
    assert folder == tmp_path / "run" / "2-preference" / "model"
    assert json.loads((folder / "glider.json").read_text()) == {"format": "glider"}
    assert (tmp_path / "run" / "data-card.md").read_text().startswith("# Pairs of answers")


def test_each_stage_takes_the_first_folder_that_has_its_file(tiny, labels, pairs, tmp_path):
    change = ("--set", f"base={tiny}", "--set", "lora.rank=4", *SMALL)
    told = glider(
        "judge-8b-lora", "--data", labels, "--data", pairs, "--dry-run", "--json", *change
    )
    first, second = json.loads(told.stdout)["stages"]
    assert (first["examples"] + first["dev"], second["examples"], second["dev"]) == (60, 32, 8)
    run = glider("judge-8b-lora", "--data", labels, "--data", pairs, "--out", tmp_path / "run",
                 "--set", "stages.0.epochs=1", *change)  # fmt: skip
    assert run.exit_code == 0, run.exception
    forms = [
        json.loads((tmp_path / "run" / stage / "model" / "glider.json").read_text())["format"]
        for stage in ("1-sft", "2-preference")
    ]
    assert forms == ["nano", "glider"]
    cards = (tmp_path / "run" / "data-card.md").read_text()
    assert "# Training data" in cards and "# Pairs of answers" in cards


def test_a_missing_file_names_the_command_that_makes_it(tiny, labels, data):
    change = ("--set", f"base={tiny}", *SMALL, "--dry-run")
    told = glider("judge-8b-lora", "--data", labels, *change)
    assert isinstance(told.exception, DataError)
    assert "2-preference has no preferences-train.jsonl.gz" in str(told.exception)
    assert "glider rationalize" in str(told.exception.hint)
    assert "glider data --preferences" in str(told.exception.hint)
    (data / "preferences-dev.jsonl.gz").unlink()
    told = glider("judge-8b-lora", "--data", labels, "--data", data, *change)
    assert "stages.1.dev=null" in str(told.exception.hint)


def test_pairs_make_a_folder_of_their_own(labels, tmp_path):
    told = CliRunner().invoke(
        app, ["data", "--preferences", "a.jsonl", "--set", "b.jsonl", "--out", str(tmp_path / "x")]
    )
    assert isinstance(told.exception, SetupError)
    assert "--data twice" in str(told.exception.hint)


def test_every_shipped_recipe_is_named():
    assert sorted(_RECIPES.split(", ")) == shipped()


def test_metrics_as_json(recipe, data, tmp_path):
    told = glider(recipe, "--data", data, "--out", tmp_path / "run", "--json")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line["step"] for line in lines if "loss" in line and "stage" in line] == [1, 2, 3, 4, 5]


def test_a_dry_run_counts_and_trains_nothing(recipe, data, tmp_path):
    told = glider(recipe, "--data", data, "--dry-run")
    assert told.exit_code == 0, told.output
    shown, _, counts = told.output.partition("\nmodel ")
    assert yaml.safe_load(shown)["stages"][0]["batch"] == 8
    assert "40, 0 left out as too long; 40 for development" in counts
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
        "print([n for n in ('torch', 'trl', 'peft', 'datasets', "
        "'transformers') if n in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"
