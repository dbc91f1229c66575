"""`glider rationalize` from the shell, with a tiny random model: answers, pairs, and what learns them."""

import json

import pytest
from tiny_models import build, recipe_of

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("trl", reason="training needs trl")
pytest.importorskip("llguidance", reason="grammars in torch need llguidance")

import typer
from typer.testing import CliRunner

from glider.cli.data import data as data_command
from glider.cli.rationalize import rationalize
from glider.core.errors import DataError, SetupError
from glider.corpus.examples import read_preferences
from glider.training.run import train

app = typer.Typer()
app.command("rationalize")(rationalize)
app.command("data")(data_command)

SHORT = ("--order", "reason-first", "--samples", "4", "--limit", "4")


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """A folder of `glider data`, made of a person's own labels."""
    folder = tmp_path_factory.mktemp("own")
    rows = [
        {"id": str(n), "input": f"Question {n}?", "output": f"Short answer {n}.", "label": n % 5 + 1,
         "scale": [1, 5], "criterion": {"name": "quality", "description": "Is it good?"},
         "rubric": {1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "perfect"}}
        for n in range(20)
    ]  # fmt: skip
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    glider("data", "--set", folder / "mine.jsonl", "--dev", 0.4, "--out", folder / "examples")
    return folder / "examples"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return f"hf/{build(tmp_path_factory.mktemp('model') / 'tiny-llama')}"


def glider(*words):
    found = CliRunner().invoke(app, [str(word) for word in words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found


def test_answers_pairs_and_a_stage_that_learns_them(examples, model, tmp_path):
    out = tmp_path / "pairs"
    told = glider("rationalize", examples, "--model", model, "--out", out, *SHORT, "--margin", 1,
                  "--pairs", 2, "--json")  # fmt: skip
    figures = json.loads(told.stdout)["splits"]["train"]
    assert (figures["prompts"], figures["asked"], figures["missing"]) == (4, 16, 0)
    assert figures["unconstrained"] == 0
    # Held to the grammar, even a random model is read every time; unless its answer was too long.
    assert figures["readable"] + sum(figures["unreadable"].values()) == 16
    assert set(figures["unreadable"]) <= {"truncated"} and figures["readable"] > 0
    pairs = list(read_preferences(out / "preferences-train.jsonl.gz"))
    assert len(pairs) == figures["pairs"] > 0
    for one in pairs:
        right, wrong = (int(text.rpartition("Score: ")[2]) for text in (one.chosen, one.rejected))
        assert right == one.score and abs(right - wrong) >= 1
    # Another margin needs no model: the answers are there.
    glider("rationalize", examples, "--model", model, "--out", out, *SHORT, "--margin", 0.5,
           "--resume")  # fmt: skip
    assert len((out / "answers.jsonl").read_text().splitlines()) == 16 + 4 * sum(
        split["prompts"] for name, split in json.loads((out / "result.json").read_text())["splits"].items()
        if name == "dev"
    )  # fmt: skip
    recipe = recipe_of(model.removeprefix("hf/"), kind="preference", loss=["sigmoid"],
                       loss_weights=[1.0], dev=None, batch=2)  # fmt: skip
    trained = train(recipe, data=out, out=tmp_path / "run")
    assert json.loads((trained.folder / "glider.json").read_text()) == {
        "format": "nano", "order": "reason-first",
    }  # fmt: skip
    assert (tmp_path / "run" / "data-card.md").read_text().startswith("# Pairs of a judge's own")
    # And its result answers in turn.
    second = glider("rationalize", examples, "--model", tmp_path / "run", "--out", tmp_path / "two",
                    *SHORT, "--margin", 0.5, "--choose", "majority", "--seed", 1)  # fmt: skip
    assert "answers read" in second.stderr.replace("\n", " ") and trained.kind == "model"


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (["--choose", "best"], SetupError, "correct, majority"),
        (["--order", "sideways"], SetupError, "order is one of"),
    ],
)
def test_mistakes(examples, model, tmp_path, change, error, said):
    with pytest.raises(error, match=said):
        glider("rationalize", examples, "--model", model, "--out", tmp_path / "out", *change)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_none_is_named(model, tmp_path):
    with pytest.raises(DataError, match=r"manifest.json.*glider data"):
        glider("rationalize", tmp_path, "--model", model, "--out", tmp_path / "out")
