"""A run that several processes write: the same records, nothing lost, nothing counted twice."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from bounded import first_line, until

from glider import Criterion, Sample
from glider.batch.outcomes import write_outcomes
from glider.core.errors import DataError, SetupError
from glider.core.judgments import Failure, Judgment
from glider.report.html import build_report
from glider.report.summary import summarise
from glider.store import run as store
from glider.store.manifest import Manifest
from glider.store.run import RunFolder, outcomes
from glider.store.shards import Follower, Marks, Shard, is_let_go, journals, take_over
from glider.store.targets import check_target, run_files

CRITERION = Criterion(name="c", question="q?", rubric={0: "no", 1: "yes"})
MANIFEST = Manifest.of(
    run_id="r", judge="scripted/x nano", settings={}, criteria={"c": "abc"},
    input_path="in.jsonl", input_sha256="00",
)  # fmt: skip
WRITER = """
import sys, time
from pathlib import Path
from glider.core.judgments import Judgment
from glider.store.shards import Shard
first, last, pause = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
with Shard(Path(sys.argv[1])) as shard:
    print("ready", flush=True)
    for row in range(first, last):
        shard.record(row, Judgment(
            task_id=str(row), sample_id=str(row), criterion="c", judge="j", score=row % 2,
            normalized=row % 2, reasoning="because " * 40,
        ))
        time.sleep(pause)
"""


def judgment(row, **changes):
    given = {"task_id": "t", "sample_id": str(row), "criterion": "c", "judge": "j",
             "score": 1, "normalized": 1.0}  # fmt: skip
    return Judgment(**(given | changes))


def lost(code="unavailable", retryable=True):
    return Failure(
        task_id="t", sample_id="s", criterion="c", judge="j", stage="generate", code=code,
        message="m", retryable=retryable,
    )  # fmt: skip


def page_of(run):
    build_report(run, run.parent / "page.html")
    return (run.parent / "page.html").read_text("utf-8").replace(str(run), "RUN")


def begun(path, rows=0):
    run = RunFolder.create(path, MANIFEST, [CRITERION])
    for row in range(rows):
        run.record_sample(row, Sample.of(f"text {row}", id=str(row)))
    return run


def writer(run, first, last, pause=0.0):
    words = [sys.executable, "-c", WRITER, run, first, last, pause]
    process = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True)
    assert first_line(process) == "ready\n"
    return process


def test_a_run_with_shards_reads_as_one(tmp_path):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    answers = [lost() if row == 5 else judgment(row, score=row % 2) for row in range(12)]
    with begun(alone, 12) as run:
        for row, outcome in enumerate(answers):
            run.record(row, outcome)
    with begun(shared, 12) as run, Shard(shared) as one, Shard(shared) as two:
        for row, outcome in enumerate(answers):
            (run, one, two)[row % 3].record(row, outcome)
    assert sorted(outcomes(shared), key=lambda each: each[0]) == list(outcomes(alone))
    assert summarise(shared) == summarise(alone)
    write_outcomes(shared, tmp_path / "copy.jsonl")
    assert len((tmp_path / "copy.jsonl").read_text().splitlines()) == 12
    assert page_of(alone) == page_of(shared)
    with RunFolder.resume(shared, MANIFEST) as run:
        assert (run.n_done, run.n_doubled) == (12, 0)
        assert all(run.is_done(row, "c") for row in range(12))
    with RunFolder.resume(shared, MANIFEST, retry_failures=True) as run:
        assert [row for row in range(12) if not run.is_done(row, "c")] == [5]


def test_of_two_outcomes_of_a_task_the_first_counts_everywhere(tmp_path):
    with begun(tmp_path / "run", 2) as run, Shard(tmp_path / "run") as late:
        run.record(0, judgment(0))
        late.record(0, judgment(0, score=0, normalized=0.0))
        late.record(1, judgment(1))
    found = outcomes(tmp_path / "run")
    assert [(row, o.score) for row, o in found] == [(0, 1), (1, 1)]
    assert found.n_doubled == 1
    assert summarise(tmp_path / "run")["answered_twice"] == 1
    assert '[0,"0",0,1,' in page_of(tmp_path / "run")
    with RunFolder.resume(tmp_path / "run", MANIFEST) as run:
        assert (run.n_done, run.n_doubled) == (2, 1)


def test_processes_that_are_killed_lose_nothing_they_wrote(tmp_path):
    """Several processes write at once and are killed; what is missing is given to the next."""
    run, n, rng = tmp_path / "run", 60, random.Random(0)
    begun(run, n).close()
    for session in range(5):
        with RunFolder.resume(run, MANIFEST) as folder:
            missing = [row for row in range(n) if not folder.is_done(row, "c")]
            if not missing:
                break
            cut = missing[len(missing) // 2]
            pause = 0.0 if session == 4 else 0.02
            processes = [
                writer(run, missing[0], cut, pause),
                writer(run, cut, missing[-1] + 1, pause),
            ]
            if pause:
                time.sleep(rng.uniform(0.05, 0.4))
            for process in processes:
                if pause:
                    process.send_signal(signal.SIGKILL)
                process.wait(60)
                process.stdout.close()
    found = outcomes(run)
    assert sorted(row for row, _ in found) == list(range(n))
    assert len(journals(run)) >= 3


def test_a_broken_last_line_of_a_shard_is_judged_anew(tmp_path):
    with begun(tmp_path, 3), Shard(tmp_path) as shard:
        for row in range(3):
            shard.record(row, judgment(row))
    os.truncate(shard.path, shard.path.stat().st_size - 7)
    assert [row for row, _ in outcomes(tmp_path)] == [0, 1]
    with RunFolder.resume(tmp_path, MANIFEST) as run:
        assert [row for row in range(3) if not run.is_done(row, "c")] == [2]
        run.record(2, judgment(2))
    assert sorted(row for row, _ in outcomes(tmp_path)) == [0, 1, 2]


def test_a_damaged_shard_is_named_with_its_line(tmp_path):
    with begun(tmp_path, 1), Shard(tmp_path) as shard:
        shard.record(0, judgment(0))
    shard.path.write_text('{"row": 0, "outco\n')
    for read in (lambda: list(outcomes(tmp_path)), lambda: RunFolder.resume(tmp_path, MANIFEST)):
        with pytest.raises(DataError, match=rf"{shard.path.name}:1: damaged"):
            read()


def test_who_still_writes_a_shard_is_told_to_end(tmp_path, monkeypatch):
    begun(tmp_path, 4).close()
    process = writer(tmp_path, 0, 4, 30.0)
    (journal,) = journals(tmp_path)[1:]
    until(lambda: journal.stat().st_size)
    assert not is_let_go(journal)
    monkeypatch.setattr(store, "_WAIT_S", 0.2)
    with RunFolder.resume(tmp_path, MANIFEST) as run:
        assert run.n_done == 1
        assert not list(tmp_path.glob("shards/*.lock"))
        with Shard(tmp_path) as mine:
            assert not mine.is_taken_over
    process.kill()
    process.wait(60)
    process.stdout.close()


def test_a_shard_whose_lock_is_gone_was_taken_over(tmp_path):
    begun(tmp_path, 1).close()
    with Shard(tmp_path) as shard:
        assert not shard.is_taken_over
        take_over([shard.path], 0.0)
        assert shard.is_taken_over
        shard.record(0, judgment(0))  # until it looks, what it writes counts
    assert not shard.is_taken_over
    assert [row for row, _ in outcomes(tmp_path)] == [0]


def test_a_shard_is_followed_while_it_grows(tmp_path):
    with begun(tmp_path, 2), Shard(tmp_path) as shard:
        follower = Follower(shard.path)
        assert list(follower.lines()) == []
        shard.record(0, judgment(0))
        assert [row for row, _ in follower.lines()] == [0]
        with shard.path.open("a") as file:
            file.write('{"row": 1, "outc')
        assert list(follower.lines()) == []
        with shard.path.open("a") as file:
            file.write('ome": {"criterion": "c"}}\n')
        assert list(follower.lines()) == [(1, {"criterion": "c"})]
        assert follower.read == shard.size
    assert list(Follower(tmp_path / "shards" / "none.jsonl").lines()) == []


def test_no_result_takes_the_place_of_a_shard(tmp_path):
    with begun(tmp_path / "run", 1), Shard(tmp_path / "run") as shard:
        shard.record(0, judgment(0))
    assert shard.path in run_files(tmp_path / "run")
    with pytest.raises(SetupError, match=r"makes .*run a run"):
        check_target(shard.path)


def test_a_row_is_marked_once_under_a_key():
    marks = Marks()
    assert marks.add(9, ("c",))
    assert not marks.add(9, ("c",))
    assert marks.add(9, ("d",))
    assert (marks.n, (9, ("c",)) in marks, (8, ("c",)) in marks) == (2, True, False)
