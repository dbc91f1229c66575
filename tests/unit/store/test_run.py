"""Run folders: nothing lost, nothing doubled, nothing mixed."""

import json
import os
import subprocess
import sys

import pytest

from glider import Criterion, Sample
from glider.core.errors import DataError, ManifestMismatch, RunError, UnknownSchemaVersion
from glider.core.judgments import Comparison, Failure, Judgment
from glider.store.atomic import replacing
from glider.store.manifest import Manifest
from glider.store.run import RunFolder, load_criteria, load_manifest, outcomes, samples

CRITERION = Criterion(name="c", question="q?", rubric={0: "no", 1: "yes"})


def manifest(**changes):
    given = {
        "run_id": "r", "judge": "scripted/x nano", "settings": {"seed": 0, "limit": None},
        "criteria": {"c": "abc"}, "input_path": "in.jsonl", "input_sha256": "00",
    }  # fmt: skip
    return Manifest.of(**(given | changes))


def judgment(sample_id="s", **changes):
    given = {
        "task_id": "t", "sample_id": sample_id, "criterion": "c", "judge": "j",
        "score": 1, "normalized": 1.0,
    }  # fmt: skip
    return Judgment(**(given | changes))


def failure(code="unavailable", retryable=True):
    return Failure(
        task_id="t", sample_id="s", criterion="c", judge="j", stage="generate",
        code=code, message="m", retryable=retryable,
    )  # fmt: skip


def test_what_is_recorded_is_read_back(tmp_path):
    sample = Sample.of("text 🙂", id="s", context="source")
    with RunFolder.create(tmp_path / "run", manifest(), [CRITERION]) as run:
        run.record_sample(3, sample)
        run.record_sample(3, sample)  # under the second criterion: kept once
        run.record(3, judgment())
        run.record(4, failure())
    assert [(row, o.kind) for row, o in outcomes(tmp_path / "run")] == [
        (3, "judgment"),
        (4, "failure"),
    ]
    assert list(samples(tmp_path / "run")) == [(3, sample)]
    assert load_criteria(tmp_path / "run") == [CRITERION]
    assert load_manifest(tmp_path / "run").run_id == "r"


def test_resuming_knows_what_is_done(tmp_path):
    with RunFolder.create(tmp_path, manifest(), [CRITERION]) as run:
        run.record(0, judgment())
        run.record(9, judgment())
        run.record(2, Comparison(
            task_id="t", sample_id="s", criterion="c", judge="j", first="output 1",
            second="output 2", preferred=None, p_first=0.5, flipped=True, orders=(judgment(),),
        ))  # fmt: skip
    with RunFolder.resume(tmp_path, manifest()) as run:
        assert run.n_done == 3
        assert [row for row in range(12) if run.is_done(row, "c")] == [0, 9]
        assert not run.is_done(0, "other")
        assert run.is_done(2, "c", "output 1", "output 2")


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_line_cut_by_a_kill_is_judged_anew(tmp_path, cut):
    with RunFolder.create(tmp_path, manifest(), [CRITERION]) as run:
        run.record(0, judgment())
        run.record(1, judgment())
    journal = tmp_path / "journal.jsonl"
    os.truncate(journal, journal.stat().st_size - cut)
    assert [row for row, _ in outcomes(tmp_path)] == [0]
    with RunFolder.resume(tmp_path, manifest()) as run:
        assert (run.is_done(0, "c"), run.is_done(1, "c")) == (True, False)
        run.record(1, judgment())
    assert [row for row, _ in outcomes(tmp_path)] == [0, 1]


def test_other_settings_are_refused_with_the_difference(tmp_path):
    RunFolder.create(tmp_path, manifest(), [CRITERION]).close()
    other = manifest(settings={"seed": 1, "limit": None}, input_sha256="11", run_id="other")
    with pytest.raises(ManifestMismatch) as caught:
        RunFolder.resume(tmp_path, other)
    assert "settings.seed: 0 before, 1 now" in str(caught.value)
    assert "input_sha256: '00' before, '11' now" in str(caught.value)
    assert "run_id" not in str(caught.value)


def test_where_the_input_lies_does_not_matter(tmp_path):
    RunFolder.create(tmp_path, manifest(), [CRITERION]).close()
    RunFolder.resume(tmp_path, manifest(input_path="moved/in.jsonl")).close()


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        (lambda path: (path / "notes.txt").write_text("mine"), "is not empty"),
        (lambda path: path.rmdir() or path.write_text("a file"), "cannot write"),
    ],
)
def test_a_folder_that_is_somebody_elses_is_left_alone(tmp_path, prepare, problem):
    folder = tmp_path / "folder"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(RunError, match=problem):
        RunFolder.create(folder, manifest(), [CRITERION])


def test_a_folder_whose_making_was_killed_can_be_made_anew(tmp_path):
    RunFolder.create(tmp_path, manifest(), [CRITERION]).close()
    for name in ("manifest.json", "journal.jsonl", "samples.jsonl"):
        (tmp_path / name).unlink()
    stopped = replacing(tmp_path / "manifest.json")
    stopped.__enter__()
    assert len(list(tmp_path.iterdir())) == 3
    RunFolder.create(tmp_path, manifest(), [CRITERION]).close()


def test_two_processes_cannot_write_one_run(tmp_path):
    with RunFolder.create(tmp_path, manifest(), [CRITERION]):
        program = (
            "import sys; from glider.core.locks import lock; from pathlib import Path\n"
            "try: lock(Path(sys.argv[1]) / '.lock')\n"
            "except Exception as e: print(e)"
        )
        told = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert "in use by another process" in told


def test_a_run_in_use_is_not_touched_by_who_wants_to_go_on(tmp_path):
    journal = tmp_path / "journal.jsonl"
    with RunFolder.create(tmp_path, manifest(), [CRITERION]) as run:
        run.record(0, failure())
        with journal.open("a") as file:
            file.write('{"row": 1, "outc')  # as if the other process were at it
        before = journal.read_bytes(), journal.stat().st_ino
        with pytest.raises(RunError, match="in use by another process"):
            RunFolder.resume(tmp_path, manifest(), retry_failures=True)
        assert (journal.read_bytes(), journal.stat().st_ino) == before


def test_a_run_that_cannot_be_opened_is_let_go(tmp_path):
    RunFolder.create(tmp_path, manifest(), [CRITERION]).close()
    (tmp_path / "journal.jsonl").write_text('{"row": 0, "outco\n')
    for _ in range(2):
        with pytest.raises(DataError, match="damaged"):
            RunFolder.resume(tmp_path, manifest())


def test_failures_a_retry_may_mend_can_be_judged_anew(tmp_path):
    with RunFolder.create(tmp_path, manifest(), [CRITERION]) as run:
        run.record(0, judgment())
        run.record(1, failure())
        run.record(2, failure("refused", retryable=False))
    with RunFolder.resume(tmp_path, manifest(), retry_failures=True) as run:
        assert [row for row in range(3) if run.is_done(row, "c")] == [0, 2]
    assert [row for row, _ in outcomes(tmp_path)] == [0, 2]


def test_a_journal_of_the_future_and_a_damaged_one_are_named(tmp_path):
    with RunFolder.create(tmp_path, manifest(), [CRITERION]) as run:
        run.record(0, judgment())
    journal = tmp_path / "journal.jsonl"
    good = json.loads(journal.read_text())
    good["outcome"]["version"] = 99
    journal.write_text(json.dumps(good) + "\n")
    with pytest.raises(UnknownSchemaVersion, match=r"journal.jsonl:1: outcome version 99"):
        list(outcomes(tmp_path))
    journal.write_text('{"row": 0, "outco\n{}\n')
    with pytest.raises(DataError, match=r"journal.jsonl:1: damaged"):
        list(outcomes(tmp_path))


def test_a_million_rows_are_marked_in_little_memory(tmp_path):
    run = RunFolder.create(tmp_path, manifest(), [CRITERION])
    for row in range(0, 1_000_000, 7):
        run.mark(row, {"criterion": "c"})
    assert sum(len(bits) for bits in run._done._bits.values()) < 300_000
    assert run.is_done(7, "c")
    assert not run.is_done(8, "c")
    run.close()
