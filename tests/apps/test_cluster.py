"""`glider judge --on ray`: a run of several processes is the run of one, whatever dies."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
from in_process import glider
from timed_engine import install

from glider.store.run import outcomes, samples
from glider.store.shards import journals

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


def test_one_text_needs_no_cluster(folder):
    done = glider("judge", "--output", "x", "-c", "c.yaml", "--on", "ray", cwd=folder)
    assert done.returncode == 2


def write_rows(folder, n, more=()):
    rows = [{"input": f"question {row // 4}", "output": f"answer {row}"} for row in range(n)]
    rows += [{"input": "question", "output": text} for text in more]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def started(folder, *words):
    environment = os.environ | {"PYTHONPATH": f"{folder / 'plugin'}:{os.environ['PYTHONPATH']}"}
    return subprocess.Popen(
        [sys.executable, "-m", "glider.cli.main", *map(str, words)], cwd=folder, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process):
    _, said = process.communicate(timeout=600)
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
