"""`glider judge --on ray`: a run of several processes is the run of one, whatever dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
from in_process import glider
from synth_teacher import follow
from timed_engine import install

from glider.store.run import outcomes, samples
from glider.store.shards import journals
from glider.synth.synthesize import records_in
from glider.testing.server import FakeServer

PLAN = "words: [40, 60]\ncode: 0\nkinds: {single: 2, pair: 1}\n"
CRITERION = "name: c\nquestion: Is the output good?\nrubric:\n  0: bad\n  1: fair\n  2: good\n"
JUDGE = ("judge", "rows.jsonl", "-c", "c.yaml", "-m", "timed/50", "--run", "run")
RAY = ("--on", "ray", "--actors")


@pytest.fixture
def folder(tmp_path):
    install(tmp_path / "plugin")
    (tmp_path / "c.yaml").write_text(CRITERION)
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--on", "sun"], "ray or ray://HOST:PORT, not 'sun'"),
        (["--on", "ray://"], "names a host"),
        (["--actors", "2"], "go with --on ray"),
        (["--on", "ray", "--max-cost", "1", "--model", "openai/x"], "counts within one process"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(folder, flags, told):
    write_rows(folder, 2)
    done = glider("judge", "rows.jsonl", "-c", "c.yaml", *flags, cwd=folder)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert not (folder / "runs").exists()


SYNTH = ("synth", "plan.yaml", "--teacher", "openai/x")
OTHERS = {
    "bench": ("bench", "labels.jsonl", "-m", "openai/x"),
    "audit": ("audit", "rows.jsonl", "-c", "c.yaml", "-m", "openai/x"),
    "synth": SYNTH,
}


@pytest.mark.parametrize("command", OTHERS)
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--on", "sun"], "ray or ray://HOST:PORT, not 'sun'"),
        (["--actors", "2"], "go with --on ray"),
        (["--on", "ray", "--max-cost", "1", "--price-in", "1"], "counts within one process"),
        (["--on", "ray", "--shards", "s3://x"], "No such option"),
    ],
)
def test_so_are_those_of_other_commands(folder, command, flags, told):
    write_inputs(folder)
    done = glider(*OTHERS[command], *flags, "--base-url", "http://127.0.0.1:9/v1", cwd=folder)
    assert done.returncode == 2, done.stderr
    assert told in " ".join(done.stderr.split())


def test_figures_are_computed_here(folder):
    done = glider("bench", "--out", "b", "--on", "ray", cwd=folder)
    assert done.returncode == 2
    assert "name a set" in done.stderr


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (("judge", "rows.jsonl", "-c", "c.yaml", "-m", "timed/1"), "--run"),
        (("judge", "rows.jsonl", "-c", "c.yaml", "-m", "timed/1"), "--out"),
        (("bench", "labels.jsonl", "-m", "timed/1"), "--out"),
        (("audit", "rows.jsonl", "-c", "c.yaml", "-m", "timed/1", "--probe", "retest"), "--run"),
        (SYNTH, "--run"),
        (("report", "run"), "--out"),
    ],
)
def test_an_address_is_no_place_for_a_result(folder, monkeypatch, words, flag):
    monkeypatch.syspath_prepend(folder / "plugin")
    write_inputs(folder)
    done = glider(*words, flag, "s3://bucket/place.jsonl", cwd=folder)
    assert done.returncode in (2, 3), done.stderr
    assert "s3://bucket/place.jsonl is an address" in " ".join(done.stderr.split())
    assert not list(folder.glob("s3*"))


def test_a_place_for_shards_that_does_not_exist_is_refused_before_anything_is_loaded(folder):
    write_rows(folder, 2)
    done = glider(*JUDGE, "--on", "ray", "--shards", "sun://x/y", cwd=folder)
    assert done.returncode == 2
    assert "--shards sun://x/y" in " ".join(done.stderr.split())
    assert not (folder / "run").exists()


def write_inputs(folder):
    write_rows(folder, 4)
    (folder / "plan.yaml").write_text(PLAN)
    labels = [
        {
            "id": f"r{n}", "input": f"question {n // 3}", "output": f"answer {n}" + " DIE-ONCE" * (n == 5),
            "label": n % 3, "scale": [0, 2], "rubric": {"0": "bad", "1": "fair", "2": "good"},
            "criterion": {"name": "tone", "description": "Is it kind?"},
        }
        for n in range(40)
    ]  # fmt: skip
    (folder / "labels.jsonl").write_text("".join(json.dumps(one) + "\n" for one in labels))


def test_one_text_needs_no_cluster(folder):
    done = glider("judge", "--output", "x", "-c", "c.yaml", "--on", "ray", cwd=folder)
    assert done.returncode == 2


def write_rows(folder, n, more=()):
    rows = [{"input": f"question {row // 4}", "output": f"answer {row}"} for row in range(n)]
    rows += [{"input": "question", "output": text} for text in more]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def started(folder, *words):
    path = filter(None, (str(folder / "plugin"), os.environ.get("PYTHONPATH")))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path)}
    return subprocess.Popen(
        [sys.executable, "-m", "glider.cli.main", *map(str, words)], cwd=folder, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process):
    try:
        _, said = process.communicate(timeout=600)
    finally:
        process.kill()
    return process.returncode, said


def judged(folder):
    """Row to outcome; nothing twice."""
    found = list(outcomes(folder / "run"))
    by_row = dict(found)
    assert len(by_row) == len(found)
    return by_row


def until_some_are_judged(folder, *, shards):
    """Wait until so many shards were begun, and something is in the last of them."""
    until = time.monotonic() + 400
    while time.monotonic() < until:
        found = journals(folder / "run")[1:]
        if len(found) >= shards and found[-1].stat().st_size:
            return
        time.sleep(0.02)
    raise AssertionError("nothing was judged")


needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs ray")


@pytest.mark.slow
@pytest.mark.timeout(1500)
@needs_ray
def test_actors_that_die_cost_only_what_kills_them(folder):
    n = 120
    write_rows(folder, n, more=["DIE-ONCE", "DIE", "fine"])
    code, said = ended(started(folder, *JUDGE, *RAY, 2))
    assert code == 0, said
    by_row = judged(folder)
    assert sorted(by_row) == list(range(n + 3))
    assert sorted(row for row, _ in samples(folder / "run")) == list(range(n + 3))
    lost = {row: outcome for row, outcome in by_row.items() if outcome.kind == "failure"}
    assert list(lost) == [n + 1]
    assert (lost[n + 1].stage, lost[n + 1].code, lost[n + 1].retryable) == (
        "generate", "backend", True,
    )  # fmt: skip
    assert "an actor died" in said
    assert "2026" not in said  # no line of Ray's own log
    # The same texts on one process: the same scores.
    write_rows(folder, n, more=["DIE-ONCE", "fine", "fine"])
    alone = started(folder, *JUDGE[:-1], "alone")
    assert ended(alone)[0] == 0
    here = {row: outcome.score_probs for row, outcome in outcomes(folder / "alone")}
    assert all(by_row[row].score_probs == here[row] for row in range(n + 1))


@pytest.mark.slow
@pytest.mark.timeout(1500)
@needs_ray
def test_a_run_goes_on_after_its_driver_was_killed_and_after_ctrl_c(folder):
    """Killed with 2 actors, interrupted with 1, finished without Ray: nothing lost or doubled."""
    n, slow = 300, ("-m", "timed/200")
    write_rows(folder, n)
    killed = started(folder, *JUDGE, *slow, *RAY, 2)
    until_some_are_judged(folder, shards=1)
    killed.kill()
    ended(killed)
    stopped = started(folder, *JUDGE, *slow, *RAY, 1, "--resume")
    until_some_are_judged(folder, shards=3)
    stopped.send_signal(signal.SIGINT)
    code, said = ended(stopped)
    assert code == 130, said
    kept = len(judged(folder))
    assert 0 < kept < n
    assert f"{kept} outcomes are kept" in said
    code, said = ended(started(folder, *JUDGE, *slow, "--resume"))
    assert code == 0, said
    assert sorted(judged(folder)) == list(range(n))
    assert glider("report", "run", cwd=folder).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(1500)
@needs_ray
def test_bench_and_audit_find_on_a_cluster_what_they_find_alone(folder):
    """One of the texts kills the process that first judges it."""
    write_inputs(folder)
    bench = ("bench", "labels.jsonl", "-m", "timed/20", "--resamples", 99)
    code, said = ended(started(folder, *bench, "--out", "b", *RAY, 2))
    assert code == 0, said
    assert "an actor died" in said
    assert ended(started(folder, *bench, "--out", "alone"))[0] == 0
    for name in ("b", "alone"):
        (run,) = (folder / name / "runs").glob("*/*")
        run.rename(folder / f"of-{name}")
    there, alone = (dict(outcomes(folder / f"of-{name}")) for name in ("b", "alone"))
    assert len(there) == 40
    assert {row: o.score_probs for row, o in there.items()} == {
        row: o.score_probs for row, o in alone.items()
    }
    assert there[0].judge == alone[0].judge
    words = ("audit", "rows.jsonl", "-c", "c.yaml", "-m", "timed/20", "--probe", "retest",
             "--probe", "length")  # fmt: skip
    code, said = ended(started(folder, *words, "--run", "a", *RAY, 2))
    assert code in (0, 6), said
    assert ended(started(folder, *words, "--run", "alone-a"))[0] == code
    found = [json.loads((folder / name / "audit.json").read_text()) for name in ("a", "alone-a")]
    assert found[0]["probes"] == found[1]["probes"]
    # The run of a cluster is one that goes on without it.
    code, said = ended(started(folder, *words, "--run", "a", "--resume"))
    assert code in (0, 6), said


@pytest.mark.slow
@pytest.mark.timeout(1500)
@needs_ray
def test_a_teacher_on_a_cluster_makes_the_same_records(folder, monkeypatch):
    write_inputs(folder)
    monkeypatch.setenv("OPENAI_API_KEY", "k")

    def answer(body):
        turns = [each["content"] for each in body["messages"] if each["role"] == "user"]
        said = follow(turns[-1])
        if said.startswith("Score: "):
            score = int(said.removeprefix("Score: "))
            return json.dumps({"reasoning": "It stands there.", "highlights": [], "score": score})
        return said if said.startswith("<") or "- " not in said[:2] else "Quotes:\n" + said

    with FakeServer(answer=answer) as server:
        words = (
            "synth",
            "plan.yaml",
            "--teacher",
            "openai/t",
            "--base-url",
            server.url,
            "--size",
            8,
        )
        code, said = ended(started(folder, *words, "--run", "s", *RAY, 2))
        assert code == 0, said
        assert ended(started(folder, *words, "--run", "alone"))[0] == 0
    made = [
        {record.number: (record.kept, record.texts) for record in records_in(folder / name)}
        for name in ("s", "alone")
    ]
    assert len(made[0]) == 8
    assert made[0] == made[1]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@needs_ray
def test_a_run_through_an_object_store_is_collected_and_goes_on(folder):
    n = 200
    write_rows(folder, n, more=["DIE-ONCE"])
    shards = ("--shards", (folder / "bucket").as_uri())
    killed = started(folder, *JUDGE, "-m", "timed/200", *RAY, 2, *shards)
    until_some_are_judged(folder, shards=1)
    killed.kill()
    ended(killed)
    shutil.rmtree(folder / "run/shards")  # as if nothing had been copied yet
    code, said = ended(started(folder, *JUDGE, "-m", "timed/200", *RAY, 2, *shards, "--resume"))
    assert code == 0, said
    assert sorted(judged(folder)) == list(range(n + 1))
    parts = list((folder / "bucket").rglob("*.jsonl"))
    assert len(parts) > 4
    lines = sum(part.read_bytes().count(b"\n") for part in parts)
    assert lines >= n + 1  # all came through the store
    assert not any(outcome.kind == "failure" for outcome in judged(folder).values())
