"""Bench runs: what a folder holds, reading it back, kills and resuming, and refusing to mix."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cases import item

from glider import Judge
from glider.backends.scripted import ScriptedBackend
from glider.bench.benchmark import FigureSettings
from glider.bench.ceiling import human
from glider.bench.collect import bench_runs, collect, recorded
from glider.bench.run import items_from_run, judge_items, run_folder, scored_run
from glider.bench.scored import Scored
from glider.core.criteria import Criterion, Rubric
from glider.core.errors import ManifestMismatch, RunError, Unavailable
from glider.formats.nano import NanoFormat
from glider.gold.sets import LabelledSet
from glider.store.run import outcomes

SCALE = Rubric(levels={1: "bad", 3: "fair", 5: "good"})
QUICK = FigureSettings(n_resamples=99, n_permutations=99)


def labelled(**changes):
    made = {
        "name": "mine", "title": "Mine", "data": "x.jsonl", "kind": "graded", "family": "own",
        "labels_by": "me", "licence": "mine", "use": "licence", "metrics": ("pearson", "mae"),
    }  # fmt: skip
    return LabelledSet.model_validate(made | changes)


def judge(answer="5", logprobs=None):
    script = answer if callable(answer) else lambda _: answer
    backend = ScriptedBackend(script, label_logprobs=logprobs)
    return Judge(backend, format=NanoFormat(explain=False))


def graded(n=12):
    return [
        item(f"text {i} " + "x" * i, 1 + 2 * (i % 3), id=f"s{i}", cluster=f"c{i // 2}")
        for i in range(n)
    ]


def settings(system="judge", **changes):
    return recorded(labelled(**changes), system, limit=None, seed=0, judge={})


def run(folder, items, system=None, **options):
    judge_items(system or judge(), items, folder, settings=settings(), **options)


def test_a_run_gives_its_items_back_whole(tmp_path):
    other = Criterion(name="quality", question="Another {output}?", rubric=SCALE)
    items = [
        item("good text", 5, ratings=(4, 5), spans=("good",), context="c"),
        item(["one", "two"], 0.5),
        # The same name with another rubric: each record brings its own.
        replace(item("third", 3), criterion=other, reason="why", lang="de", group="g"),
    ]
    run(tmp_path / "r", items)
    assert items_from_run(tmp_path / "r") == items


def test_gold_is_not_in_any_prompt(tmp_path):
    items = [item("plain text", 3.25, ratings=(2.75, 3.75), part="secret part", cluster="secret")]
    asked = judge()
    run(tmp_path / "r", items, asked)
    said = " ".join(m.content for r in asked.backend.requests for m in r.messages)
    assert "plain text" in said
    for hidden in ("3.25", "2.75", "3.75", "secret"):
        assert hidden not in said


def test_two_readings_of_one_run(tmp_path):
    logprobs = {"1": math.log(0.5), "5": math.log(0.5 - 1e-9)}
    run(tmp_path / "r", graded(3), judge("1", logprobs))
    expected, greedy = scored_run(tmp_path / "r", "mine", "tiny")
    assert (expected.system, greedy.system) == ("tiny, expected", "tiny, greedy")
    assert expected.score.tolist() == pytest.approx([3, 3, 3], abs=1e-6)
    assert greedy.score.tolist() == [1, 1, 1]


def test_without_probabilities_there_is_one_reading(tmp_path):
    run(tmp_path / "r", graded(3), judge("5"))
    (only,) = scored_run(tmp_path / "r", "mine", "tiny")
    assert only.system == "tiny"
    assert only.score.tolist() == [5, 5, 5]


def test_pairs_are_asked_in_both_orders(tmp_path):
    items = [item(["short", "longer text"], 1), item(["aa", "b"], 0)]
    run(tmp_path / "r", items, judge("0"))  # always the one shown first
    (scored,) = scored_run(tmp_path / "r", "mine", "tiny")
    assert scored.score.tolist() == [0.5, 0.5]
    assert scored.orders.tolist() == [[0, 1], [0, 1]]


def test_a_failure_stays_an_item(tmp_path):
    script = judge(lambda r: Unavailable("gone") if "text 1 " in r.messages[-1].content else "5")
    run(tmp_path / "r", graded(3), script)
    (scored,) = scored_run(tmp_path / "r", "mine", "tiny")
    assert scored.judged.tolist() == [True, False, True]


def test_resuming_asks_only_for_what_is_missing(tmp_path):
    items = graded(6)
    run(tmp_path / "r", items)
    journal = tmp_path / "r" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:4]) + lines[4][:25])  # killed while writing the fifth
    again = judge()
    run(tmp_path / "r", items, again, resume=True)
    assert len(again.backend.requests) == 2
    assert sorted(row for row, _ in outcomes(tmp_path / "r")) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "changed",
    ["gold", "items", "limit"],
)
def test_a_different_run_is_not_resumed(tmp_path, changed):
    items = graded(4)
    run(tmp_path / "r", items)
    other = settings()
    if changed == "gold":
        items = [replace(items[0], gold=5.0), *items[1:]]
    elif changed == "items":
        items = items[:3]
    else:
        other["limit"] = 7
    with pytest.raises(ManifestMismatch, match="limit" if changed == "limit" else "input_sha256"):
        judge_items(judge(), items, tmp_path / "r", settings=other, resume=True)


def test_a_run_is_not_begun_twice(tmp_path):
    run(tmp_path / "r", graded(2))
    with pytest.raises(RunError, match="not empty"):
        run(tmp_path / "r", graded(2))


def test_a_run_of_something_else_says_so(tmp_path):
    (tmp_path / "criteria.json").write_text("[]")
    (tmp_path / "samples.jsonl").write_text(
        json.dumps(
            {
                "row": 0,
                "id": "a",
                "fields": [{"name": "output", "text": "x", "role": "judged"}],
                "metadata": {},
            }
        )
        + "\n"
    )
    with pytest.raises(RunError, match=r"glider bench"):
        items_from_run(tmp_path)


SLOW = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_bench_run import graded, judge, run
def slowly(request):
    time.sleep(0.05)
    return "5"
run(Path({folder!r}), graded(60), judge(slowly), resume=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is not there")
def test_killed_and_resumed_until_done(tmp_path):
    """Killed again and again at any moment: every item ends with exactly one outcome."""
    folder = tmp_path / "r"
    code = SLOW.format(tests=str(Path(__file__).parent), folder=str(folder))
    journal = folder / "journal.jsonl"
    for kill in range(3):
        before = journal.stat().st_size if journal.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if journal.exists() and journal.stat().st_size > before + 900 * (kill + 1):
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = len(list(outcomes(folder)))
    assert 0 < done < 60
    rest = judge()
    run(folder, graded(60), rest, resume=True)
    assert sorted(row for row, _ in outcomes(folder)) == list(range(60))
    assert len(rest.backend.requests) == 60 - done
    assert items_from_run(folder) == graded(60)


# ---- from folders to results


def test_results_are_made_from_the_folders_alone(tmp_path):
    items = graded(12)
    by_length = judge(lambda r: "5" if len(r.messages[-1].content) % 2 else "1")
    for name, system in (("steady", judge("5")), ("by length", by_length)):
        folder = run_folder(tmp_path, name, "mine")
        judge_items(system, items, folder, settings=settings(name))
    assert {r.system for r in bench_runs(tmp_path)} == {"steady", "by length"}
    results = collect(tmp_path, baselines=["length", "majority"], settings=QUICK)
    kinds = {name: about["kind"] for name, about in results.settings["systems"].items()}
    assert kinds == {"steady": "judge", "by length": "judge", "length": "baseline",
                     "majority": "baseline"}  # fmt: skip
    steady = next(f for f in results.figures if (f.system, f.metric) == ("steady", "pearson"))
    assert steady.value is None
    assert "every item the same score" in steady.undefined
    assert results.samples == {"mine": [f"s{n} quality" for n in range(12)]}
    assert results.settings["systems"]["steady"]["judge"].startswith("scripted/script nano")
    assert str(tmp_path) not in results.model_dump_json()
    again = collect(tmp_path, baselines=["length", "majority"], settings=QUICK)
    assert again.figures == results.figures
    assert again.differences == results.differences


def test_a_folder_without_runs_says_so(tmp_path):
    with pytest.raises(RunError, match="no runs"):
        collect(tmp_path)


def test_highlights_are_measured_where_the_judge_explained(tmp_path):
    items = [
        item(f"fine words number {n}", 1 + 4 * (n % 2), spans=("fine words",), id=f"s{n}")
        for n in range(6)
    ]
    backend = ScriptedBackend(lambda _: '5\nQuotes:\n- "fine words"\nReason: fine')
    judge_items(
        Judge(backend, format=NanoFormat()), items, run_folder(tmp_path, "judge", "mine"),
        settings=settings(),
    )  # fmt: skip
    results = collect(tmp_path, baselines=[], settings=QUICK)
    found = {(f.system, f.metric): f.value for f in results.figures}
    assert found["judge", "exact quotes"] == 1
    assert "random spans" in results.settings["systems"]


def test_a_text_under_several_criteria_is_one_text():
    """Also where every record has an id of its own; the same text asked twice is two."""
    named = [("a", "clear"), ("b", "clear"), ("a", "right"), ("a", "clear")]
    items = [item(text, 3, part=part, id=f"{text}{n}") for n, (text, part) in enumerate(named)]
    made = Scored.of("mine", "tiny", items, [1.0, 2, 3, 4])
    assert made.text.tolist() == [0, 1, 0, 2]
    people = human("mine", [replace(i, ratings=(1.0, 2.0)) for i in items[:3]], "graded")
    assert people.text.tolist() == [0, 1, 2, 3, 0, 1]
