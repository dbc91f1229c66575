"""`glider tune` from the shell, whole, with a tiny model; what is wrong with labels, by name."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
from tiny_models import make_tokenizer

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("trl", reason="training needs trl")

import typer
from typer.testing import CliRunner
from unit.corpus.cases import LEVELS

from glider.backends.fast import FastBackend
from glider.cli.tune import tune
from glider.core.errors import (
    DataError,
    ManifestMismatch,
    OneSidedLabels,
    RunError,
    SetupError,
    TooFewLabels,
)
from glider.core.generation import Decoding, GenerationRequest
from glider.core.tasks import JudgeTask
from glider.formats import make_format
from glider.gold.own import own_labels
from glider.studies.tuning.folder import load
from glider.studies.tuning.labels import read_labels
from glider.studies.tuning.plan import TuningPlan, recipe_of
from glider.training.predict import level_probabilities, load_to_ask
from glider.training.recipe import parse_recipe
from glider.training.tokens import Coder

app = typer.Typer()
app.command("tune")(tune)

SAID = {1: "awful", 2: "poor", 3: "plain", 4: "good", 5: "superb"}


def row(n, label=None, **changes):
    label = n % 5 + 1 if label is None else label
    return {
        "id": f"r{n}", "input": f"Question {n // 2}?", "output": f"{SAID.get(label, 'odd')} {n}",
        "label": label, "scale": [1, 5], "rubric": LEVELS,
        "criterion": {"name": "quality", "description": "Is it good?"}, **changes,
    }  # fmt: skip


def file_of(folder, rows, name="mine.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def glider(*arguments):
    told = CliRunner().invoke(app, [str(one) for one in arguments])
    if told.exception is not None and not isinstance(told.exception, SystemExit):
        raise told.exception
    return told


def words(told):
    return " ".join(told.output.split())


@pytest.fixture(scope="module")
def coder():
    return Coder(make_tokenizer(), model="tiny")


# The whole way


def test_the_whole_way(tiny, tmp_path):
    """Folds, table, decision, final training, adapter; then resumed, which does nothing again."""
    path = file_of(tmp_path, [row(n) for n in range(50)])
    out = tmp_path / "out"
    command = (path, "--out", out, "--model", tiny, "--folds", 2, "--minutes", 2)
    told = glider(*command)
    # A random model learns nothing in some updates; nobody is asked, so nothing is kept.
    assert told.exit_code == 5, told.output
    assert "50 labels of 25 prompts, 2 folds" in words(told)
    assert "no gain is shown" in words(told) and "no terminal to ask on" in words(told)
    found = json.loads((out / "tune.json").read_text())
    assert found["settings"]["shown"] is False and found["settings"]["kept"] is False
    assert [one["b"] for one in found["differences"] if one["metric"] == "pearson"] == [
        "untuned", "length of the text", "one answer for all",
    ]  # fmt: skip
    assert {one["system"] for one in found["figures"]} == {
        "tuned", "untuned", "length of the text", "one answer for all",
    }  # fmt: skip
    assert not (out / "final").exists() and not (out / "adapter").exists()

    answers = {path: path.stat().st_mtime_ns for path in out.glob("folds/*/answers.json")}
    assert len(answers) == 2
    assert not list(out.glob("folds/*/run/1-sft"))
    before = json.loads((out / "tune.json").read_text())
    with pytest.raises(RunError, match="is not empty"):
        glider(*command)
    told = glider(*command, "--resume", "--keep", "yes")
    assert told.exit_code == 0, told.output
    assert {path: path.stat().st_mtime_ns for path in answers} == answers
    after = json.loads((out / "tune.json").read_text())
    assert after["figures"] == before["figures"] and after["settings"]["kept"] is True
    # The tiny model is in no catalogue: the adapter has to be merged by hand.
    assert "glider export" in words(told)
    config = json.loads((out / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny-llama"
    assert json.loads((out / "adapter" / "glider.json").read_text()) == {"format": "nano"}
    card = (out / "adapter" / "README.md").read_text()
    assert "cross-validated" in card and str(tmp_path) not in card
    for name in ("manifest.json", "untuned.json", "plan.json", "tune.json"):
        assert str(tmp_path) not in (out / name).read_text()

    # What was kept is the base and an adapter that says something else.
    start, base, made = load(str(tiny))
    labels = read_labels(_labelled(path), path.parent, made, folds=2)
    plan = TuningPlan.model_validate_json((out / "plan.json").read_bytes())
    recipe = recipe_of(plan, start, name="x", seed=0)
    asked = [one for each in labels.asked for one in each]
    says = {
        adapter: level_probabilities(load_to_ask(base, adapter, recipe), asked, recipe, pad_id=0)
        for adapter in (None, out / "adapter")
    }
    told_before = json.loads((out / "untuned.json").read_text())["answers"]
    assert says[None] == [tuple(one) for each in told_before for one in each]
    assert says[None] != says[out / "adapter"]
    assert all(sum(one) == pytest.approx(1, abs=1e-5) for one in says[out / "adapter"])


def _labelled(path):
    return own_labels(path)


def test_another_folder_or_other_labels_are_no_continuation(tiny, tmp_path):
    path = file_of(tmp_path, [row(n) for n in range(50)])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(RunError, match="is not empty"):
        glider(path, "--out", tmp_path / "full", "--model", tiny)
    out = tmp_path / "out"
    with pytest.raises(SetupError, match="minutes on this machine"):
        glider(path, "--out", out, "--model", tiny, "--folds", 2, "--minutes", 0.1)
    assert sorted(file.name for file in out.iterdir()) == [".lock", "manifest.json", "untuned.json"]
    with pytest.raises(ManifestMismatch, match="settings.folds: 2 before, 3 now"):
        glider(path, "--out", out, "--model", tiny, "--folds", 3, "--resume")
    spans = [{"start": 0, "end": 4}]
    for change in (
        {"label": 3}, {"annotators": [3, 5]}, {"rationale": "It is kind."}, {"meta": {"spans": spans}},
        {"scale": [0, 5]},
    ):  # fmt: skip
        file_of(tmp_path, [row(n, **(change if n == 8 else {})) for n in range(50)])
        with pytest.raises(ManifestMismatch, match="input_sha256"):
            glider(path, "--out", out, "--model", tiny, "--folds", 2, "--resume")


# A runner in the background hands on that interrupts are to be ignored.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from glider.cli.main import main; main()"
)


def started(*arguments):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, "tune", *map(str, arguments)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def until(process, there):
    end = time.monotonic() + 250
    while not there() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    assert there(), process.stdout.read()[-2000:]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_any_moment_it_goes_on(tiny, tmp_path):
    path = file_of(tmp_path, [row(n) for n in range(50)])

    def command(out):
        return (path, "--out", out, "--model", tiny, "--folds", 2, "--minutes", 2, "--keep", "yes")

    whole, out = tmp_path / "whole", tmp_path / "killed"
    moments = [
        lambda: (out / "manifest.json").exists(),
        lambda: list((out / "folds/1/run/1-sft").glob("checkpoint-*")),
        lambda: (out / "folds/1/answers.json").exists(),
        lambda: (out / "final/run/1-sft").exists(),
    ]
    for number, there in enumerate(moments):
        process = started(*command(out), *(["--resume"] if number else []))
        until(process, there)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    first = (out / "folds/1/answers.json").read_bytes()
    told = glider(*command(out), "--resume")
    assert told.exit_code == 0, told.output
    assert (out / "folds/1/answers.json").read_bytes() == first
    assert (out / "adapter" / "adapter_config.json").exists()
    # The same plan and so the same answers as in one go.
    whole.mkdir()
    for name in ("manifest.json", "untuned.json", "plan.json"):
        (whole / name).write_bytes((out / name).read_bytes())
    glider(*command(whole), "--resume")
    figures = [json.loads((folder / "tune.json").read_text())["figures"] for folder in (whole, out)]
    for once, resumed in zip(*figures, strict=True):
        # Sums of float32 differ in the last digits from one process to another.
        assert once == pytest.approx(resumed, abs=1e-4)


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(tiny, tmp_path):
    path = file_of(tmp_path, [row(n) for n in range(50)])
    out = tmp_path / "out"
    process = started(path, "--out", out, "--model", tiny, "--folds", 2)
    until(process, (out / "folds/1/run/manifest.json").exists)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 130, told
    assert "interrupted" in told and "--resume" in told


# The score is read where serving reads it


def test_probabilities_are_those_of_serving(tiny, tmp_path):
    path = file_of(tmp_path, [row(n) for n in range(50)])
    start, base, made = load(str(tiny))
    labels = read_labels(_labelled(path), path.parent, made, folds=2)
    stage = {"kind": "sft", "learning_rate": 1e-3, "batch_tokens": 1024, "dev": None}
    recipe = parse_recipe({"base": start.base, "precision": "fp32", "stages": [stage], "lora": {}})
    asked = [each[0] for each in labels.asked]
    ours = level_probabilities(load_to_ask(base, None, recipe), asked, recipe, pad_id=0)
    bare = make_format("nano").bare()
    with FastBackend(tiny, dtype="float32") as served:
        for item, probs in list(zip(labels.items, ours, strict=True))[:10]:
            prompt = bare.render(JudgeTask(item.sample, item.criterion))
            told = served.submit(
                GenerationRequest(
                    id=item.sample.id, messages=prompt.messages, opening=prompt.opening,
                    labels=prompt.labels, decoding=Decoding(max_tokens=1),
                )
            ).result()  # fmt: skip
            found = [math.exp(told.label_logprobs[text]) for text in prompt.labels.texts]
            share = [one / sum(found) for one in found]
            assert probs == pytest.approx(share, abs=1e-4)


# What is wrong with labels


@pytest.mark.parametrize(
    ("rows", "options", "error", "said"),
    [
        ([], {}, DataError, "has no rows"),
        ([row(n) for n in range(49)], {}, TooFewLabels, "49 labels; 50 are needed"),
        ([row(n, 3) for n in range(50)], {}, OneSidedLabels, "each of the 50 labels is 3"),
        ([row(n, 9 if n == 4 else None) for n in range(60)], {}, DataError,
         r"a label outside its scale: 1 \(line 5\)"),
        ([row(n, input="Always this?") for n in range(60)], {}, TooFewLabels, "1 prompts"),
        ([row(n, n % 2 + 1 if n > 5 else 3) for n in range(60)], {"folds": 5}, TooFewLabels,
         "3 prompts with the label 3"),
        ([row(n, 1 if n < 56 else 4) for n in range(60)], {"folds": 3}, TooFewLabels,
         "2 prompts with the label 4"),
        ([row(n, rubric={str(k): "x" * (k + 1) for k in range(11)}, scale=[0, 10]) for n in range(60)],
         {}, TooFewLabels, "0 labels; 50 are needed at least .*more than one token: 60"),
        ([row(n, "many") for n in range(60)], {}, DataError, "no record has both texts and a label"),
    ],
    ids=["empty", "few", "one-sided", "outside", "one prompt", "rare class", "rare grade", "tokens", "words"],
)  # fmt: skip
def test_labels_that_cannot_be_tuned_on(coder, tmp_path, rows, options, error, said):
    path = file_of(tmp_path, rows)
    with pytest.raises(error, match=said):
        read_labels(_labelled(path), path.parent, coder, **{"folds": 5, **options})


def test_too_few_labels_leave_nothing_behind(tiny, tmp_path):
    path = file_of(tmp_path, [row(n) for n in range(20)])
    with pytest.raises(TooFewLabels):
        glider(path, "--out", tmp_path / "out", "--model", tiny)
    assert not (tmp_path / "out").exists()
    with pytest.raises(SetupError, match="--keep takes ask, yes, no"):
        glider(path, "--out", tmp_path / "out", "--keep", "perhaps")


def test_pairs_are_asked_in_both_orders_and_ties_do_not_count(coder, tmp_path):
    rows = [{"id": f"p{n}", "input": f"Question {n}?", "outputs": [f"good {n}", f"bad {n}"],
             "label": 0.5 if n < 8 else n % 2, "rubric": LEVELS,
             "criterion": {"name": "quality", "description": "Is it good?"}} for n in range(60)]  # fmt: skip
    path = file_of(tmp_path, rows)
    labels = read_labels(_labelled(path), path.parent, coder, folds=2)
    assert len(labels.items) == 60 and labels.n_examples == 120
    learnt = labels.examples([10])
    assert [one.score for one in learnt] == [0, 1]
    assert [one.score.probs for one in labels.asked[10]] == [(1.0, 0.0), (0.0, 1.0)]
    path = file_of(tmp_path, rows[:57])
    with pytest.raises(TooFewLabels, match="49 labels with a winner"):
        read_labels(_labelled(path), path.parent, coder, folds=2)


def test_items_of_one_prompt_are_one_cluster_however_it_is_spaced(coder, tmp_path):
    rows = [row(n, input=f"Why is number {n % 30} so?" + " " * (n // 30)) for n in range(60)]
    path = file_of(tmp_path, rows)
    labels = read_labels(_labelled(path), path.parent, coder, folds=5)
    assert labels.n_prompts == 30
    assert labels.fold[:30] == labels.fold[30:]


def test_reasons_are_learnt_and_not_asked_for(coder, tmp_path):
    reason = "It leaves out why the town was built on the river."
    rows = [row(n, rationale=reason, output=f"The town {n} is old.") for n in range(50)]
    path = file_of(tmp_path, rows)
    labels = read_labels(_labelled(path), path.parent, coder, folds=2)
    (learnt,) = labels.examples([3])
    assert learnt.whole and reason in learnt.completion
    assert len(labels.asked[3][0].ids) == labels.asked[3][0].n_prompt + 1


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tiny, tmp_path):
    """No file may grow beyond what the manifest needs: the system's own refusal, as of a full disk."""
    import resource

    path, out = file_of(tmp_path, [row(n) for n in range(50)]), tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(RunError, match="cannot write .*untuned.json"):
            glider(path, "--out", out, "--model", tiny)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(file.name for file in out.iterdir()) == [".lock", "manifest.json"]
