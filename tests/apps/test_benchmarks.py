"""Every benchmark runs at a tiny size and writes a result that can be read."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from labelled_data import with_data

from glider.backends.scripted import ScriptedBackend
from glider.bench.collect import recorded
from glider.bench.run import judge_items, run_folder
from glider.core.criteria import Criterion
from glider.core.generation import Generation
from glider.core.samples import Sample
from glider.formats.nano import NanoFormat
from glider.gold.items import Item
from glider.gold.sets import LabelledSet
from glider.judging.judge import Judge
from glider.models.catalog import DEFAULT, cache_dir

ROOT = Path(__file__).resolve().parents[2]
MODEL = cache_dir() / "models" / DEFAULT / f"{DEFAULT}.q8_0.gguf"
DATA = ROOT.parent / "shared" / "data"

needs_model = pytest.mark.skipif(not MODEL.exists(), reason="the model is not fetched yet")
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the records are not here")


def bench(script, tmp_path, *options):
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "benchmarks" / f"{script}.py"),
            "--out",
            str(tmp_path),
            *options,
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / f"{script}.json").read_text("utf-8"))
    assert result["facts"]["cores"] >= 1
    assert result["table"].strip() == done.stdout.strip()
    return result


def test_overhead(tmp_path):
    result = bench("overhead", tmp_path, "--n=20", "--reps=2", "--concurrency=4", "--delay=0.01")
    rows = [(r["subject"], r["n"], r["judged"], r["requests"]) for r in result["runs"]]
    api = ("glider, Judge.stream", 20, 20, 20)
    cli = ("glider, `glider judge`", 20, 20, 20)
    assert rows == [api, cli, cli, api]  # The second repetition goes backwards.
    # Nothing is faster than concurrency / delay.
    assert all(r["n"] / r["seconds"] < 4 / 0.01 for r in result["runs"])


@pytest.mark.slow
def test_serve_load(tmp_path):
    result = bench(
        "serve_load", tmp_path, "--reps=1", "--seconds=0.5", "--connections", "3", "--soak=2"
    )
    runs = result["runs"]
    assert [r["subject"] for r in runs] == ["glider", "glider, policy and log"]
    assert all(r["answered"] == r["requests"] > 10 and not r["others"] for r in runs)
    # Nothing is faster than connections / delay.
    assert all(r["per_s"] < 3 / 0.005 and r["p50_ms"] >= 5 for r in runs)
    soak = result["soak"]
    assert soak["answered"] == soak["requests"] > 50 and len(soak["memory_mb"]) >= 20
    low, high = soak["mb_per_hour_95"]
    assert low <= soak["mb_per_hour"] <= high


@pytest.mark.slow
def test_serve_fuzz(tmp_path):
    result = bench("serve_fuzz", tmp_path, "--seconds=5", "--clients=4")
    assert result["requests"] == sum(result["counts"].values()) > 100
    assert min(result["counts"][f"nearly right {status}"] for status in (200, 422)) > 10
    assert result["n_wrong"] == 0 and result["memory_mb"]["end"] > 30


@pytest.mark.slow
@with_data
def test_serve_deadlines(tmp_path):
    result = bench("serve_deadlines", tmp_path, "--reps=1", "--seconds=3")
    whole, half, double = result["runs"]
    assert whole["per_s"] > 1 and whole["failed"] == half["failed"] == double["failed"] == 0
    assert half["kept"] <= half["admitted"] <= half["asked"]
    assert double["scored"] + double["refused"] <= double["asked"]


def test_report_cost(tmp_path):
    result = bench("report_cost", tmp_path, "--shrink=50", "--reps=2")
    runs = {(r["shape"], r["outcomes"], r["digest"]) for r in result["runs"]}
    assert sorted((shape, n) for shape, n, _ in runs) == [("long", 2000), ("wide", 2000)]
    assert len(runs) == 2, "the same seed gives the same figures in every process"


@pytest.mark.slow
def test_faults(tmp_path):
    sizes = ("--n=60", "--rows=20", "--kills=3", "--longest=1.5", "--connections=4")
    result = bench("faults", tmp_path, *sizes, "--disk-rows=30")
    assert result["broken"] == []
    assert sum(result["a"][0]["outcomes"].values()) == 60
    assert (result["b"]["wanted"], result["b"]["lost"], result["b"]["doubled"]) == (40, 0, 0)
    assert (result["c"]["exit_code"], result["c"]["lost"]) == (3, 0)


@pytest.mark.slow
@needs_model
@needs_data
def test_throughput(tmp_path):
    result = bench(
        "throughput", tmp_path, "--n=2", "--reps=1", "--tries=1", "--only=embedded, bare"
    )
    assert {run["system"] for run in result["runs"]} == {
        "ours, embedded, bare",
        "ours, embedded, bare, not ordered",
    }
    assert all(run["judged"] == 2 and run["tokens_computed"] > 0 for run in result["runs"])


@pytest.mark.slow
@needs_model
def test_reading(tmp_path):
    sizes = ("--demo=1", "--records=0", "--agree=0", "--free-tokens=24")
    result = bench("reading", tmp_path, *sizes)
    held = [run for run in result["runs"] if run["grammar"]]
    assert [run["asked"] for run in held] == [1, 1, 1]
    assert sum(run["judged"] for run in held) >= 2
    assert all(run["spans_wrong"] == 0 for run in result["runs"])


@pytest.mark.slow
@needs_model
def test_audit(tmp_path):
    words = ["--model=embedded", "--limit=2", f"--runs={tmp_path / 'runs'}", f"--out={tmp_path}"]
    script = str(ROOT / "benchmarks" / "audit.py")
    page = tmp_path / "audit-nano.md"
    subprocess.run([sys.executable, script, *words, f"--docs={page}"], check=True)
    told = page.read_text("utf-8")
    assert (
        told.startswith("# What sways glider-nano") and "2 texts of `glider audit --demo`" in told
    )
    assert told.count("\n## ") == 13
    kept = (tmp_path / "audit.json").read_text("utf-8")
    assert str(tmp_path) not in kept and str(ROOT) not in kept
    page.unlink()
    subprocess.run([sys.executable, script, "--page", *words[2:], f"--docs={page}"], check=True)
    assert page.read_text("utf-8") == told


def test_simulation(tmp_path):
    page = tmp_path / "intervals.md"
    result = bench("simulation", tmp_path, "--reps=3", "--resamples=99", f"--docs={page}")
    assert "3 draws" in page.read_text("utf-8")
    assert len(result["coverage"]) == 2 * 5 * 10
    assert all(row["given"] + row["undefined"] == 3 for row in result["coverage"])
    assert all(0 <= row["permutation"] <= row["tests"] <= 3 for row in result["null"])
    # The truth is a figure of the population, not of the draws.
    pearson = {row["truth"] for row in result["coverage"] if row["statistic"] == "Pearson"}
    assert len(pearson) == 2


@pytest.mark.parametrize(
    ("script", "page"), [("simulation", "intervals.md"), ("audit", "audit-nano.md")]
)
def test_a_page_is_what_the_committed_results_say(script, page, tmp_path):
    words = [str(ROOT / "benchmarks" / f"{script}.py"), "--page", f"--docs={tmp_path / page}"]
    subprocess.run(
        [sys.executable, *words], check=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}
    )
    assert (tmp_path / page).read_text("utf-8") == (ROOT / "docs" / page).read_text("utf-8")


@pytest.mark.slow
def test_training_speed(tmp_path):
    """Two rows of it on a tiny model: TRL's and ours learn the same from the same examples."""
    pytest.importorskip("trl", reason="training needs trl")
    sys.path.insert(0, str(ROOT / "tests" / "training"))
    from tiny_models import build, toy, write

    base = build(tmp_path / "tiny")
    write(tmp_path / "data" / "train.jsonl.gz", toy(40))
    write(tmp_path / "data" / "dev.jsonl.gz", toy(40, start=1000))
    result = bench(
        "training_speed", tmp_path, "--data", str(tmp_path / "data"), "--base", str(base),
        "--updates", "5", "--dev", "40", "--threads", "1", "--rate", "1e-3",
        "--only", "trl, fp32, activations kept", "--only", "ours, all weights, fp32",
    )  # fmt: skip
    theirs, ours = result["rows"].values()
    assert theirs["updates"] == ours["updates"] == 5
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-3)


def _means(path, values):
    """Results that hold nothing but means; group to value, lowest, highest and items."""
    figures = [
        {"benchmark": "all", "part": group, "system": "nano, expected", "metric": "aggregate",
         "value": value, "low": low, "high": high, "n": n, "asked": n, "judged": n}
        for group, (value, low, high, n) in values.items()
    ]  # fmt: skip
    plain = {"made_at": "", "glider": "", "settings": {}, "samples": {}, "figures": figures}
    path.write_text(json.dumps(plain))
    return path


@pytest.mark.parametrize(
    ("change", "code", "row"),
    [
        ({}, 0, "| all sets | 0.190 [0.120, 0.240] n=100 | 0.150 [0.100, 0.200] n=100 | yes |"),
        ({"unseen task": (0.11, 0, 0.2, 20)}, 1, "0.110 [0.000, 0.200] n=20 | NO |"),
        ({"": (0.19, 0.1, 0.2, 99)}, 1, "| all sets | 0.190 [0.120, 0.240] n=100 | 0.190"),
        ({"unseen task": (None, None, None, 0)}, 1, "| none | NO |"),
    ],
)
def test_nano_check(tmp_path, change, code, row):
    shipped = {"": (0.19, 0.12, 0.24, 100), "unseen task": (0.05, 0.0, 0.1, 20)}
    new = {"": (0.15, 0.1, 0.2, 100), "unseen task": (0.1, 0.0, 0.2, 20)} | change
    files = _means(tmp_path / "new.json", new), _means(tmp_path / "shipped.json", shipped)
    script = str(ROOT / "benchmarks" / "nano_check.py")
    done = subprocess.run(
        [sys.executable, script, str(files[0]), "--shipped", str(files[1])],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert row in done.stdout


def _two_judges(out, n=30):
    """A bench folder with runs of two judges on the same items, one right and one at random."""
    labelled = LabelledSet(
        name="mine", title="Mine", data="x", kind="graded", family="f", labels_by="people",
        licence="none", use="train", metrics=("pearson",),
    )  # fmt: skip
    criterion = Criterion(name="c", question="q?", rubric={1: "bad", 2: "fair", 3: "good"})
    items = [
        Item(sample=Sample.of(f"text {k}", id=str(k)), criterion=criterion, gold=float(k % 3 + 1),
             scale=(1, 3), part="c", cluster=str(k))
        for k in range(n)
    ]  # fmt: skip
    for name, sure in (("small", 0.9), ("nano", 0.5)):

        def answer(request, name=name, sure=sure):
            k = int(re.search(r"text (\d+)", request.messages[-1].content)[1])
            likely = str(k % 3 + 1) if name == "small" else str(k * 7 % 5 % 3 + 1)
            odds = {label: math.log((1 - sure) / 2) for label in request.labels.texts}
            return Generation(
                text=f"Score: {likely}", label_logprobs=odds | {likely: math.log(sure)}
            )

        judge = Judge(ScriptedBackend(answer, model=name), format=NanoFormat(explain=False))
        settings = recorded(labelled, name, limit=None, seed=0, judge={})
        judge_items(judge, items, run_folder(out, name, "mine"), settings=settings)
    return out


@pytest.mark.parametrize(
    ("lever", "row"), [("mean", "mean of both | all | 30"), ("compare", "small | all | 30")]
)
def test_levers_on_stored_runs(tmp_path, lever, row):
    folder = _two_judges(tmp_path / "bench")
    script = [sys.executable, str(ROOT / "benchmarks" / "levers.py"), lever]
    done = subprocess.run(
        [*script, "--bench", folder, "--systems", "nano", "small", "--out", tmp_path],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / f"{lever}.json").read_text())
    assert row in done.stdout and result["table"].strip() == done.stdout.strip()
    (gap,) = (d for d in result["differences"] if {d["a"], d["b"]} == {"nano", "small"})
    assert gap["value"] < 0 and gap["n"] == 30


def test_a_cascade_s_curve_from_stored_runs(tmp_path):
    folder = _two_judges(tmp_path / "bench")
    script = [sys.executable, str(ROOT / "benchmarks" / "cascade.py"), "--bench", folder]
    done = subprocess.run(
        [*script, "--systems", "nano", "small", "--seconds", "1", "2", "--out", tmp_path],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    points = json.loads((tmp_path / "cascade.json").read_text())["points"]
    by_share = {p["until"]: p for p in points}
    # The first is sure of everything at .5: nothing is passed on below, all of it above.
    assert by_share[0.4]["passed_on"]["value"] == 0 and by_share[0.6]["passed_on"]["value"] == 1
    assert (by_share[0.4]["per_minute"], by_share[0.6]["per_minute"]) == (60, 20)
    assert by_share[0.4]["less_first"]["value"] == 0 == by_share[0.6]["less_second"]["value"]
    assert by_share[0.6]["agreement"]["value"] == pytest.approx(1)


@needs_data
def test_bits_a_character_of_models_that_know_nothing(tmp_path):
    """A model with random weights pays log2(vocabulary) for a token, whatever the text."""
    pytest.importorskip("torch", reason="reads texts with torch")
    from tiny_models import build, make_tokenizer

    folders = [build(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 1))]
    script = [sys.executable, str(ROOT / "benchmarks" / "bases.py"), "--data", str(DATA)]
    done = subprocess.run(
        [*script, "--models", *map(str, folders), "--n", "2", "--chars", "200", "--out", tmp_path],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "bases.json").read_text())
    first, second = result["models"]
    tokens = make_tokenizer()
    assert len(tokens("We open at nine.").input_ids) <= 16  # at most one token a character
    assert 0.5 * math.log2(len(tokens)) < first["all"]["value"] < 1.05 * math.log2(len(tokens))
    assert first["all"]["n"] == second["all"]["n"] == 2 * len(result["sets"])
    assert first["less_first"] is None
    gap = second["all"]["value"] - first["all"]["value"]
    assert second["less_first"]["value"] == pytest.approx(gap, abs=1e-9)
    assert second["less_first"]["low"] <= gap <= second["less_first"]["high"]
