"""What runs in an actor, here in this process: its errors are answers, its outcomes are on disk."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bounded import first_line
from timed_engine import install

from glider import Criterion, Sample
from glider.core.errors import RunError, SetupError, UnknownName
from glider.core.tasks import JudgeTask
from glider.judging.settings import JudgeSettings
from glider.scale.worker import About, Worker
from glider.store.manifest import Manifest, code_sha256
from glider.store.parts import PartStore, StoreFollower
from glider.store.run import RunFolder, outcomes
from glider.store.shards import is_let_go, take_over

CRITERION = Criterion(name="c", question="q?", rubric={0: "no", 1: "yes"})


@pytest.fixture
def timed(tmp_path, monkeypatch):
    install(tmp_path / "plugin")
    monkeypatch.syspath_prepend(tmp_path / "plugin")
    yield JudgeSettings(model="timed/1", explain=False)
    sys.modules.pop("glider_timed_engine", None)


def opened(settings, tmp_path):
    worker = Worker()
    return worker, worker.open(settings, str(tmp_path), {})


def begun(path, judge):
    manifest = Manifest.of(
        run_id="r", judge=judge, settings={}, criteria={"c": "x"}, input_path="in",
        input_sha256="0",
    )  # fmt: skip
    return RunFolder.create(path, manifest, [CRITERION])


def test_a_worker_fills_a_shard(tmp_path, timed, monkeypatch):
    monkeypatch.chdir(tmp_path)
    worker, about = opened(timed, tmp_path)
    assert about == About("timed/1 nano/score-first/criterion-first/bare", code_sha256(), 8)
    with begun(tmp_path / "run", about.judge) as run:
        shard = worker.join(str(run.path), run.manifest.run_id, run.manifest.created_at)
        work = [(row, JudgeTask(Sample.of(f"text {row}"), CRITERION)) for row in range(20)]
        written = worker.judge(work)
        assert (written.error, written.size) == (None, Path(shard).stat().st_size)
        assert sorted(row for row, _ in outcomes(run.path)) == list(range(20))
        worker.close()
    with RunFolder.resume(run.path, run.manifest) as run:
        assert run.n_done == 20
    shutil.rmtree(run.path)


def test_a_worker_fills_a_shard_in_a_store(tmp_path, timed, monkeypatch):
    pytest.importorskip("fsspec")
    monkeypatch.chdir(tmp_path)
    worker, about = opened(timed, tmp_path)
    url = (tmp_path / "bucket").as_uri()
    with begun(tmp_path / "run", about.judge) as run:
        of = run.manifest.run_id, run.manifest.created_at
        assert isinstance(worker.join_through("sun://x", *of), SetupError)
        follower = StoreFollower(
            PartStore.of(url, run.manifest), worker.join_through(url, *of), run.path
        )
        work = [(row, JudgeTask(Sample.of(f"text {row}"), CRITERION)) for row in range(20)]
        written = worker.judge(work)
        assert sorted(row for row, _ in follower.lines()) == list(range(20))
        assert (written.error, written.size) == (None, follower.read)
        assert sorted(row for row, _ in outcomes(run.path)) == list(range(20))
        # A store that is gone is an answer, too, and says that nothing was put.
        shutil.rmtree(tmp_path / "bucket")
        (tmp_path / "bucket").write_text("no folder")
        lost = worker.judge([(20, JudgeTask(Sample.of("late"), CRITERION))])
        assert isinstance(lost.error, RunError)
        assert lost.size == written.size


def test_a_judge_that_cannot_be_loaded_is_an_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, answer = opened(JudgeSettings(model="no-such-model"), tmp_path)
    assert isinstance(answer, UnknownName)


def test_another_run_in_the_same_place_is_refused(tmp_path, timed, monkeypatch):
    monkeypatch.chdir(tmp_path)
    worker, about = opened(timed, tmp_path)
    with begun(tmp_path / "run", about.judge) as run:
        answer = worker.join(str(run.path), "other", run.manifest.created_at)
    assert isinstance(answer, RunError)
    assert "another run on this machine" in str(answer)
    assert isinstance(worker.join(str(tmp_path / "none"), "r", ""), RunError)


def test_an_actor_ends_when_another_session_goes_on_with_its_run(tmp_path):
    program = (
        "import sys, time; from glider.scale.worker import Worker\n"
        "print(Worker(ends_with_run=True).join(*sys.argv[1:]), flush=True); time.sleep(120)"
    )
    with begun(tmp_path / "run", "j") as run:
        about = str(run.path), run.manifest.run_id, run.manifest.created_at
        process = subprocess.Popen(
            [sys.executable, "-c", program, *about], stdout=subprocess.PIPE, text=True
        )
        shard = Path(first_line(process).strip())
        take_over([shard], 0.0)
        assert process.wait(60) == 1
        process.stdout.close()
        assert is_let_go(shard)
