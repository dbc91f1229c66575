"""Where results go: never over what is read, whole or not at all, and no copy of them ends a run."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import in_process
import pytest

from glider.testing.server import FakeServer

ANSWER = json.dumps({"reasoning": "Fine.", "highlights": [], "score": 4})
JUDGE = ("judge", "--model", "openai/fake", "-c", "conciseness")
# What comes before it is Python's own start, in which nobody can catch Ctrl-C.
BEGUN = "import glider.cli.main as m; print('begun', flush=True); m.main()"


@pytest.fixture(scope="module")
def server():
    with FakeServer(answer=ANSWER) as running:
        yield running


@pytest.fixture
def glider(tmp_path, server):
    def run(*words, code=0, **more):
        env = {"OPENAI_BASE_URL": server.url, "COLUMNS": "200"}
        finished = in_process.glider(*words, cwd=tmp_path, env=env, **more)
        assert finished.returncode == code, finished.stderr
        assert "Traceback" not in finished.stderr
        return finished

    return run


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [{"id": f"r{n}", "output": f"Text {n}.", "label": 1 + n % 5} for n in range(12)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def run(glider, rows, tmp_path):
    glider(*JUDGE, rows, "--run", "done")
    return tmp_path / "done"


def everything(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "out", ["rows.jsonl", "./x/../rows.jsonl", "link.jsonl", "hard.jsonl", "done/journal.jsonl",
            "new/out.jsonl", "done", "done/summary.json/x.csv"],
)  # fmt: skip
def test_outcomes_never_take_the_place_of_what_is_read(glider, run, rows, tmp_path, out):
    (tmp_path / "x").mkdir()
    (tmp_path / "link.jsonl").symlink_to(rows)
    (tmp_path / "hard.jsonl").hardlink_to(rows)
    before = everything(tmp_path)
    refused = glider(*JUDGE, rows, "--run", "new", "--out", out, code=2)
    assert "--out" in refused.stderr
    assert everything(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_a_dataset_folder_and_a_criterion_are_read_too(glider, rows, tmp_path):
    (tmp_path / "set").mkdir()
    rows.rename(tmp_path / "set/rows.jsonl")
    own = tmp_path / "own.jsonl"  # a criterion's file may be linked under another name
    (tmp_path / "own.yaml").write_text("name: own\nquestion: Good?\nrubric: {0: bad, 1: good}\n")
    own.symlink_to(tmp_path / "own.yaml")
    before = everything(tmp_path)
    glider("judge", "set", "-c", "conciseness", "-m", "openai/f", "-o", "set/rows.jsonl", code=2)
    glider("judge", "set", "-c", "own.yaml", "-m", "openai/f", "-o", "own.jsonl", code=2)
    assert everything(tmp_path) == before


# Every command that writes one file where it is told to: what it is given that it must not replace.
@pytest.mark.parametrize(
    "words",
    [
        ("report", "done", "--out", "done/journal.jsonl"),
        ("report", "done", "--out", "link"),
        ("gate", "done", "--check", "failed <= 0", "--junit", "done/manifest.json"),
        ("gate", "done", "--check", "failed <= 0", "--markdown", "link"),
        ("gate", "done", "--check", "failed <= 0", "--baseline", "done", "--markdown", "done/samples.jsonl"),
        ("calibrate", "done", "--out", "done/summary.json"),
        ("calibrate", "done", "--labels", "rows.jsonl", "--out", "rows.jsonl"),
        ("calibrate", "done", "--labels", "labels.html", "--out", "labels.json"),
        ("apply", "calibration.jsonl", "done", "--out", "calibration.jsonl"),
        ("apply", "calibration.jsonl", "done", "--out", "done/journal.jsonl"),
        ("audit", "rows.jsonl", *JUDGE[1:], "--out", "rows.jsonl"),
        ("audit", "rows.jsonl", *JUDGE[1:], "--out", "done/criteria.json"),
    ],
)  # fmt: skip
def test_no_command_writes_over_what_it_reads(glider, run, rows, tmp_path, words):
    (tmp_path / "link").symlink_to(run / "journal.jsonl")
    (tmp_path / "calibration.jsonl").write_text("{}")
    (tmp_path / "labels.html").write_text("id,label\nr1,4\n")
    before = everything(tmp_path)
    refused = glider(*words, code=2)
    assert "would replace" in refused.stderr
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["results.json", "report.md", "report.html"])
def test_a_bench_writes_over_nobodys_report(glider, rows, tmp_path, name):
    (tmp_path / name).write_text("mine")
    refused = glider("bench", rows, "-m", "openai/f", "-c", "conciseness", "--out", ".", code=3)
    assert f"already has a {name}" in refused.stderr
    assert (tmp_path / name).read_text() == "mine"
    assert not (tmp_path / "runs").exists()


def test_a_command_that_is_refused_leaves_an_older_result(glider, rows, tmp_path):
    glider(*JUDGE, rows, "--run", "run", "-o", "res.csv")
    before = (tmp_path / "res.csv").read_bytes()
    assert len(list(csv.DictReader(before.decode("utf-8-sig").splitlines()))) == 12
    again = [*JUDGE, rows, "--run", "run", "-o", "res.csv"]
    assert "is not empty" in glider(*again, code=3).stderr
    assert "samples: 1 before, 2 now" in glider(*again, "--resume", "--samples", "2", code=2).stderr
    assert "no model called" in glider(*again, "-m", "opnai/fake", code=2).stderr
    gone = glider(*JUDGE, "gone.jsonl", "--run", "new", "-o", "res.csv", code=3)
    assert "gone.jsonl" in gone.stderr
    assert (tmp_path / "res.csv").read_bytes() == before


def test_capitals_and_a_folder_that_is_not_there_yet(glider, rows, tmp_path):
    glider(*JUDGE, rows, "--run", "a", "-o", "deep/er/RES.CSV")
    assert (tmp_path / "deep/er/RES.CSV").read_text("utf-8-sig").startswith("row,sample_id")
    glider(*JUDGE, rows, "--run", "b", "-o", "res.JSONL")
    assert len((tmp_path / "res.JSONL").read_text().splitlines()) == 12


def test_a_copy_that_cannot_be_written_leaves_the_run_whole_and_says_how_to_get_it(
    glider, rows, tmp_path
):
    (tmp_path / "full.jsonl").symlink_to("/dev/full")
    done = glider(*JUDGE, rows, "--run", "run", "-o", "full.jsonl", code=3)
    assert "No space left on device" in done.stderr
    assert "--run run -o full.jsonl --resume" in done.stderr
    assert json.loads((tmp_path / "run/summary.json").read_text())["judged"] == 12
    (tmp_path / "full.jsonl").unlink()
    glider(*JUDGE, rows, "--run", "run", "-o", "full.jsonl", "--resume")
    assert len((tmp_path / "full.jsonl").read_text().splitlines()) == 12


COMMANDS = [
    ("--version",), ("--help",), ("judge", "--help"), ("criteria",), ("criteria", "faithfulness"),
    ("models",), ("audit", "--list"), ("bench", "--list"), ("bench", "--list", "--json"),
    ("plan-labels", "--items", "100"), ("plan-labels", "--items", "100", "--json"),
    (*JUDGE, "--output", "A text."), (*JUDGE, "rows.jsonl", "--run", "run"),
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_standard_output_is_one_message(glider, rows, tmp_path, words):
    with open("/dev/full", "w") as full:
        done = glider(*words, code=3, stdout=full)
    assert done.stderr.count("cannot write standard output: No space left on device") == 1
    if "--run" in words:
        assert (tmp_path / "run/journal.jsonl").read_text().count("\n") == 12
        assert "--run run --resume" in done.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_reader_who_goes_away_ends_nothing(glider, rows, tmp_path, words):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = glider(*words, stdout=pipe)
    assert "error" not in done.stderr
    if "--run" in words:
        assert (tmp_path / "run/journal.jsonl").read_text().count("\n") == 12


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_json_lines_are_json_in_every_encoding(glider, tmp_path, encoding):
    texts = ["九点开门。", "naïve", "\ud83d half", "😀 whole", "plain"]
    lines = [{"id": f"{n}-{text[0]}", "output": text} for n, text in enumerate(texts)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "own.yaml").write_text(
        "name: 简洁\nquestion: 文字是否简洁？\nrubric: {0: 冗长, 1: 简洁, 4: 很好}\n", "utf-8"
    )
    with FakeServer(answer=json.dumps({"reasoning": "好", "highlights": [], "score": 4})) as own:
        words = ["-c", "own.yaml", "-m", "openai/f", "--base-url", own.url]
        done = glider("judge", "rows.jsonl", *words, "--run", "run", encoding=encoding)
        told = [json.loads(line) for line in done.stdout.splitlines()]
        ids = sorted(o["sample_id"] for o in told)
        assert ids == ["0-九", "1-n", "3-😀", "4-p", "row 2"]  # half a character is a bad record
        assert {o["criterion"] for o in told} == {"简洁"}
        assert {o["reasoning"] for o in told if o["kind"] == "judgment"} == {"好"}
        one = glider("judge", "--output", texts[0], *words, encoding=encoding)
        assert json.loads(one.stdout)["criterion"] == "简洁"


def start(tmp_path, server, *words, stdout=subprocess.PIPE, **env):
    return subprocess.Popen(
        [sys.executable, "-c", BEGUN, *map(str, words)],
        cwd=tmp_path, stdout=stdout, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OPENAI_BASE_URL": server.url} | env,
    )  # fmt: skip


@pytest.mark.parametrize("words", [("bench", "--list"), (*JUDGE, "rows.jsonl", "--run", "run")])
def test_ctrl_c_in_the_first_second_is_no_traceback(tmp_path, server, rows, words):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for seconds in (0.03, 0.1, 0.2, 0.4):
            process = start(tmp_path, server, *words)
            process.stdout.readline()
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
            assert "Traceback" not in told, told
            assert process.returncode in (130, 0, -signal.SIGINT)
            shutil.rmtree(tmp_path / "run", ignore_errors=True)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("gone", ["run", "out"])
def test_a_folder_that_is_deleted_while_the_run_goes_on(tmp_path, gone):
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"output": f"t {i}"}) + "\n" for i in range(150))
    )
    (tmp_path / "out").mkdir()
    with FakeServer(answer=ANSWER, delay_s=0.02) as server:
        words = [
            *JUDGE,
            "rows.jsonl",
            "--run",
            "run",
            "-o",
            "out/res.csv",
            "--max-connections",
            "4",
        ]
        process = start(tmp_path, server, *words)
        deadline = time.monotonic() + 60
        while not (tmp_path / "run/journal.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        shutil.rmtree(tmp_path / gone)
        if gone == "out":
            (tmp_path / "out").write_text("in the way")
        _, told = process.communicate(timeout=60)
    assert process.returncode == 3, told
    assert "Traceback" not in told
    if gone == "run":
        assert "run was deleted while the run was written" in told
    else:
        assert (tmp_path / "run/journal.jsonl").read_text().count("\n") == 150
        assert "--max-connections 4 --resume" in told


def test_runs_begun_in_one_second_get_folders_of_their_own(tmp_path, server, rows):
    started = [start(tmp_path, server, *JUDGE, "rows.jsonl") for _ in range(3)]
    for process in started:
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
    folders = list((tmp_path / "runs").iterdir())
    assert len(folders) == 3
    assert all(len((f / "journal.jsonl").read_text().splitlines()) == 12 for f in folders)
