"""`glider bench` as people run it: own labels, a real server on loopback, a kill."""

import json
import os
import signal
import subprocess
import sys
import time

import in_process
import pytest

from glider.testing.server import FakeServer

ANSWER = json.dumps({"reasoning": "Fine.", "highlights": ["answer"], "score": 4})
RUBRIC = {str(level): f"level {level}" for level in range(1, 6)}
RECORDS = [
    {
        "id": f"r{n}", "input": f"question {n // 3}", "output": f"This is answer number {n}.",
        "label": 1 + n % 5, "scale": [1, 5], "annotators": [1 + n % 5, 1 + (n + n % 2) % 5],
        "criterion": {"name": "tone", "description": "Is it kind?"}, "rubric": RUBRIC,
    }
    for n in range(24)
]  # fmt: skip


@pytest.fixture
def server():
    with FakeServer(answer=ANSWER, delay_s=0.02) as running:
        yield running


@pytest.fixture
def start(tmp_path, server):
    """Begin `glider` in an empty folder, as a process of its own."""

    def begin(*words):
        plain = {k: v for k, v in os.environ.items() if k != "GLIDER_DATA"}
        return subprocess.Popen(
            [sys.executable, "-m", "glider.cli.main", *map(str, words)],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=plain | {"OPENAI_BASE_URL": server.url, "COLUMNS": "200"},
        )  # fmt: skip

    return begin


@pytest.fixture
def glider(tmp_path, server):
    def run(*words, code=0):
        env = {"OPENAI_BASE_URL": server.url, "COLUMNS": "200"}
        done = in_process.glider(*words, cwd=tmp_path, env=env, unset="GLIDER_DATA")
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr

    return run


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in RECORDS))
    return path


BENCH = ("bench", "--model", "openai/fake", "--resamples", "99")


def test_own_labels_become_a_report(glider, labels, tmp_path):
    out, err = glider(*BENCH, labels, "--out", "b")
    assert "| own labels | mine | Pearson's r | 24 |" in out
    assert "mine: fake gives every item the same score" in out
    assert "report.html" in err
    results = json.loads((tmp_path / "b/results.json").read_text())
    kinds = {name: about["kind"] for name, about in results["settings"]["systems"].items()}
    assert kinds["fake"] == "judge"
    assert kinds["human"] == "people"
    assert {"length", "majority", "random"} <= {
        n for n, kind in kinds.items() if kind == "baseline"
    }
    by = {(f["system"], f["metric"]): f for f in results["figures"] if not f["part"]}
    # Every answer is 4: the error can be worked out by hand.
    assert by["fake", "mae"]["value"] == pytest.approx(
        sum(abs(4 - (1 + n % 5)) for n in range(24)) / 24
    )
    assert by["fake", "pearson"]["value"] is None
    for name in ("results.json", "report.md", "report.html"):
        assert str(tmp_path) not in (tmp_path / "b" / name).read_text()


def test_where_nothing_is_judged_the_reasons_are_told(glider, labels, tmp_path):
    words = ("bench", labels, "--model", "scripted/x", "--resamples", "99", "--out", "b")
    out, err = glider(*words, code=4)
    first = "mine: x did not judge 23 of 24 items: generate/unavailable, e.g. the script has only 1"
    second = "mine: x did not judge 1 of 24 items: read/missing_part, e.g. the answer has no"
    report, page = ((tmp_path / "b" / f"report.{end}").read_text() for end in ("md", "html"))
    for text in (out, report, page):
        assert first in text
        assert second in text
        assert "x gives every item" not in text
    assert "- nothing was judged: mine (x)" in out
    assert "nothing was judged" in err
    results = json.loads((tmp_path / "b/results.json").read_text())
    assert [(lost["reason"], lost["n"], lost["asked"]) for lost in results["lost"]] == [
        ("generate/unavailable", 23, 24), ("read/missing_part", 1, 24),
    ]  # fmt: skip
    wholes = [f for f in results["figures"] if (f["metric"], f["system"]) == ("aggregate", "x")]
    assert {(f["n"], f["asked"], f["judged"]) for f in wholes} == {(24, 24, 0)}
    glider(*words, "--resume", code=4)  # told again, though nothing is asked anew
    glider("bench", "--out", "b", "--resamples", "99")  # a report was asked for, and is there


def test_strategies_aspects_and_a_jury_are_rows_like_others(glider, labels, tmp_path):
    words = (*BENCH, labels, "--out", "b", "--no-baselines", "--limit", "6")
    strategies = ("--strategy", "rules,decompose", "--aspect", "Warmth=2", "--aspect", "Tact=1")
    out, _ = glider(*words, *strategies, "--jury", "openai/other")
    assert "| fake & other +rules +decompose, expected |" in out
    (system,) = (tmp_path / "b/runs").iterdir()
    manifest = json.loads((system / "mine/manifest.json").read_text())
    assert manifest["judge"].startswith("jury(openai/fake|openai/other) chat-json+rules+decompose(")
    judge = manifest["settings"]["judge"]
    assert (judge["strategies"], judge["jury"]) == (["rules", "decompose"], ["openai/other"])
    assert judge["aspects"] == ["Warmth=2", "Tact=1"]
    line = json.loads((system / "mine/journal.jsonl").read_text().splitlines()[0])
    assert [step["name"].split()[0] for step in line["outcome"]["steps"]] == [
        "openai/fake", "Warmth", "Tact", "openai/other", "Warmth", "Tact", "spread",
    ]  # fmt: skip


def test_a_cascade_is_one_row_with_the_share_it_passed_on(glider, labels, tmp_path):
    words = (*BENCH, labels, "--out", "b", "--no-baselines", "--limit", "6")
    out, _ = glider(*words, "--cascade", "openai/other")
    assert "| fake > other |" in out
    results = json.loads((tmp_path / "b/results.json").read_text())
    (share,) = (f for f in results["figures"] if f["metric"] == "share passed on")
    assert (share["system"], share["value"], share["n"]) == ("fake > other", 1.0, 6)
    assert "share passed on" in (tmp_path / "b/report.md").read_text()


def test_highlights_are_measured_and_taken_out(glider, labels, tmp_path, server):
    marks = [{"field": "output", "start": 8, "end": 14, "text": "answer"}]
    labels.write_text("".join(json.dumps(r | {"meta": {"spans": marks}}) + "\n" for r in RECORDS))
    words = (*BENCH, labels, "--out", "b", "--deletion")
    _, err = glider(*words, "--no-explain", "--format", "nano", code=2)
    assert "--deletion needs highlights" in err
    out, _ = glider(*words, "--explain", "--json")
    asked = server.stats()["requests"]
    assert asked == 3 * len(RECORDS)  # as it is, without its quote, without as many other words
    by = {(f["system"], f["metric"]): f for f in json.loads(out)["figures"]}
    assert by["fake", "exact quotes"]["value"] == 1
    assert by["fake", "highlight precision"]["n"] == len(RECORDS)
    # Every answer quotes the one word that people marked; one word of five, pushed round.
    assert "gives 1, so there is no spread" in by["fake", "highlight F1"]["undefined"]
    assert "gives 0.2, so there is no spread" in by["random spans", "highlight F1"]["undefined"]
    assert "gives 0, so there is no spread" in by["fake", "score moved"]["undefined"]
    glider(*words, "--explain", "--resume")
    assert server.stats()["requests"] == asked


def test_json_goes_to_stdout_and_baselines_can_be_left_out(glider, labels):
    out, _ = glider(*BENCH, labels, "--out", "b", "--no-baselines", "--json", "--limit", "6")
    results = json.loads(out)
    assert set(results["settings"]["systems"]) == {"fake", "human"}
    assert len(results["samples"]["mine"]) == 6


def test_a_second_judge_joins_and_the_report_can_be_made_anew(glider, labels, tmp_path):
    glider(*BENCH, labels, "--out", "b", "--system", "one", "--no-baselines")
    glider(*BENCH, labels, "--out", "b", "--system", "two", "--no-baselines")
    labels.unlink()  # what was judged is enough
    (tmp_path / "b/results.json").unlink()
    out, _ = glider("bench", "--out", "b", "--resamples", "99", "--json", "--no-baselines")
    results = json.loads(out)
    assert [s for s, a in results["settings"]["systems"].items() if a["kind"] == "judge"] == [
        "one",
        "two",
    ]
    assert [(d["a"], d["b"]) for d in results["differences"]] == [("one", "two")]
    assert {(d["a"], d["b"]) for d in results["overall"]} == {
        ("one", "two"), ("one", "human"), ("two", "human"),
    }  # fmt: skip


def held_out(folder, **listed):
    folder.mkdir()
    (folder / "held-out.json").write_text(json.dumps(listed))
    return folder


def test_only_what_was_held_out_is_measured(glider, labels, tmp_path):
    folder = held_out(tmp_path / "data", mine=["question 1", "question 6"])
    words = (*BENCH, labels, "--out", "b", "--no-baselines", "--json")
    out, _ = glider(*words, "--held-out", folder)
    results = json.loads(out)
    assert len(results["samples"]["mine"]) == 6  # three answers to each question
    exposure = "held-out part of a trained set"
    assert results["settings"]["benchmarks"]["mine"]["exposure"] == exposure
    manifest = json.loads((tmp_path / "b/runs/fake/mine/manifest.json").read_text())
    assert len(manifest["settings"]["held_out"]) == 64


@pytest.mark.parametrize("other", ["another", "none"])
def test_a_run_goes_on_only_with_what_it_held_out(glider, labels, tmp_path, other):
    words = (*BENCH, labels, "--out", "b", "--no-baselines")
    glider(*words, "--held-out", held_out(tmp_path / "one", mine=["question 1"]))
    now = held_out(tmp_path / "two", mine=["question 2"])
    changed = ("--held-out", now) if other == "another" else ()
    _, err = glider(*words, *changed, "--resume", code=3)
    assert "another --held-out, or without one" in " ".join(err.split())


def test_a_set_that_was_trained_on_whole_is_not_measured(glider, labels, tmp_path):
    folder = held_out(tmp_path / "data", mine=[])
    _, err = glider(*BENCH, labels, "--out", "b", "--held-out", folder, code=3)
    assert "mine: the judge was trained on the whole set" in " ".join(err.split())
    other = tmp_path / "other.jsonl"
    other.write_text(labels.read_text())
    out, err = glider(*BENCH, labels, other, "--out", "c", "--held-out", folder, "--json")
    assert "left out because the judge was trained on all of them: mine" in " ".join(err.split())
    assert list(json.loads(out)["settings"]["benchmarks"]) == ["other"]


def test_a_run_that_is_there_is_not_written_over(glider, labels):
    glider(*BENCH, labels, "--out", "b")
    _, err = glider(*BENCH, labels, "--out", "b", code=3)
    assert "already has a run of 'fake' on mine" in err
    assert "--resume" in err


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is not there")
def test_killed_and_resumed(glider, start, labels, tmp_path):
    words = (*BENCH, labels, "--out", "b", "--no-baselines")
    journal = tmp_path / "b/runs/fake/mine/journal.jsonl"
    process = start(*words)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.exists() and journal.stat().st_size):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.communicate()
    glider(*words, "--resume")
    rows = sorted(json.loads(line)["row"] for line in journal.read_text().splitlines())
    assert rows == list(range(24))


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("llmbar",), 3, ["no data folder", "llmbar.jsonl.gz", "GLIDER_DATA"]),
        (("llmbar", "--data", "."), 3, ["the data folder has no llmbar.jsonl.gz"]),
        (("lmbar", "--data", "."), 2, ["did you mean 'llmbar'"]),
        ((), 2, ["name a set", "--list"]),
        (("llmbar", "--resume"), 2, ["--resume needs --out"]),
        (("--out", "nothing"), 3, ["holds no runs"]),
        (("gone.jsonl",), 3, ["gone.jsonl"]),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(glider, words, code, told):
    out, err = glider("bench", *words, code=code)
    assert out == ""
    flat = " ".join(err.split())
    for part in told:
        assert part in flat


def test_the_list_needs_no_data(glider, tmp_path):
    out, err = glider("bench", "--list")
    assert "llmbar" in out
    assert "missing" in out
    assert "GLIDER_DATA" in err
    (tmp_path / "llmbar.jsonl.gz").touch()
    out, _ = glider("bench", "--list", "--json", "--data", ".")
    there = {row["name"]: row["there"] for row in json.loads(out)}
    assert there["llmbar"] is True
    assert there["judgebench"] is False
