"""The command as people run it: real files, a real server on loopback, processes that are killed."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import in_process
import pytest

from glider.testing.server import FakeServer

ANSWER = json.dumps({"reasoning": "Fine.", "highlights": ["answer number"], "score": 4})
ROWS = [
    {"id": f"r{n}", "input": "Say a number.", "output": f"This is answer number {n}."}
    for n in range(20)
]


@pytest.fixture(autouse=True, scope="module")
def interruptible():
    """What a shell starts in the background ignores Ctrl-C, and so would all it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def server():
    with FakeServer(answer=ANSWER) as running:
        yield running


@pytest.fixture
def glider(tmp_path, server):
    """Run `glider` in an empty folder; gives what it said."""

    def run(*words, stdin="", code=0, **env):
        env = {"OPENAI_BASE_URL": server.url, "COLUMNS": "200"} | env
        finished = in_process.glider(*words, cwd=tmp_path, stdin=stdin, env=env)
        assert finished.returncode == code, finished.stderr
        return finished

    return run


@pytest.fixture
def process(tmp_path, server):
    """The same in a process of its own, whatever that is."""

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "glider.cli.main", *map(str, words)],
            cwd=tmp_path, capture_output=True, timeout=60, text=True, check=True,
            env=os.environ | {"OPENAI_BASE_URL": server.url, "COLUMNS": "200"},
        )  # fmt: skip

    return run


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


JUDGE = ("judge", "--model", "openai/fake", "-c", "conciseness")


def records(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_file_becomes_results_on_stdout_and_a_run_folder(process, rows, tmp_path):
    done = process(*JUDGE, rows, "--run", "run")
    told = records(done.stdout)
    assert sorted(o["sample_id"] for o in told) == sorted(row["id"] for row in ROWS)
    assert {o["score"] for o in told} == {4}
    for outcome in told:
        ((span,),) = (h["spans"] for h in outcome["highlights"])
        text = ROWS[outcome["row"]][span["field"]]
        assert text[span["start"] : span["end"]] == "answer number"
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        ".lock", "criteria.json", "journal.jsonl", "manifest.json", "samples.jsonl", "summary.json",
    }  # fmt: skip
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["judged"], summary["failed"]) == (20, 0)
    assert summary["finished"] is True
    assert "conciseness" in done.stderr
    assert "20/20" in done.stderr


def test_one_text_from_the_command_line_and_from_stdin(glider, tmp_path):
    (told,) = records(glider(*JUDGE, "--output", "An answer number one.").stdout)
    assert (told["score"], told["criterion"]) == (4, "conciseness")
    (piped,) = records(glider(*JUDGE, "--output", "-", stdin="An answer number one.").stdout)
    assert piped["task_id"] == told["task_id"]
    assert list(tmp_path.iterdir()) == []


def test_rows_from_stdin_and_results_in_a_file(glider, tmp_path):
    stdin = "".join(json.dumps(row) + "\n" for row in ROWS[:3])
    done = glider(*JUDGE, "-", "-o", "out.jsonl", stdin=stdin)
    assert done.stdout == ""
    assert len(records((tmp_path / "out.jsonl").read_text())) == 3


def test_results_as_a_table_for_a_spreadsheet(glider, rows, tmp_path):
    glider(*JUDGE, rows, "-o", "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 20
    assert {(r["kind"], r["score"], r["highlights"]) for r in table} == {
        ("judgment", "4", "answer number")
    }
    finished = glider(*JUDGE, rows, "-o", "out.xlsx", code=2)
    assert ".jsonl or .csv" in finished.stderr


def test_bad_rows_are_failures_and_the_others_are_judged(glider, tmp_path):
    lines = [json.dumps(row) for row in ROWS[:8]]
    lines[3] = '{"input": "x", "output": '
    lines[5] = '{"input": "x"}'
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    told = records(glider(*JUDGE, "rows.jsonl", "--run", "run").stdout)
    failures = {o["row"]: o for o in told if o["kind"] == "failure"}
    assert len(told) == 8
    assert set(failures) == {3, 5}
    assert {(f["stage"], f["code"]) for f in failures.values()} == {("load", "bad_record")}
    assert "rows.jsonl:4" in failures[3]["message"]
    assert "output" in failures[5]["message"]


@pytest.mark.parametrize("command", ["judge", "audit"])
def test_a_file_of_bad_rows_alone_says_what_is_wrong_with_the_first(glider, tmp_path, command):
    (tmp_path / "latin.csv").write_bytes(b"input,output\nh\xe9,caf\xe9\n")
    done = glider(command, "latin.csv", "-c", "conciseness", "-m", "scripted/x", code=3)
    assert (
        "latin.csv:2: 'input' holds byte 0xe9 at character 2, which is not utf-8, near 'h\\xe9"
        in done.stderr
    )
    assert "--encoding cp1252" in done.stderr and "preset" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["judge", "rows.jsonl"], 2, "no criterion given"),
        (["judge", "rows.jsonl", "-c", "concisness"], 2, "did you mean 'conciseness'"),
        (["judge", "-c", "conciseness"], 2, "give a data file, or one text with --output"),
        (["judge", "--output", "x", "-c", "conciseness", "--limit", "3"], 2, "--output judges one text"),
        (["judge", "--output", "x", "-c", "conciseness", "-o", "x.csv"], 2, "--output judges one text"),
        (["judge", "--output", "x", "-c", "conciseness", "--fail-on", "3"], 2, "--output judges one text"),
        (["judge", "nowhere.jsonl", "-c", "conciseness", "-m", "openai/fake"], 3, "nowhere.jsonl"),
        (["judge", "rows.jsonl", "-c", "conciseness", "-m", "opnai/fake"], 2, "did you mean 'openai/fake'"),
        (["judge", "rows.jsonl", "-c", "conciseness", "-m", "embedded/smollm"], 2, "smollm2-135m-instruct"),
        (["judge", "rows.jsonl", "-c", "conciseness", "-m", "gone.gguf"], 4, "no model file"),
        (["judge", "rows.jsonl", "-c", "conciseness", "-m", "openai/f", "--map", "output=answr"], 3, "answr"),
        (["judge", "rows.jsonl", "-c", "conciseness", "-m", "openai/f", "--map", "answer"], 2, "--map"),
        (["judge", "rows.jsonl", "-c", "conciseness", "-m", "openai/f", "--resume"], 2, "needs --run"),
        (["judge", "rows.jsonl", "-c", "conciseness", "-m", "openai/f", "--run", "gone", "--resume"], 3, "is no run"),
        (["judge", "rows.jsonl", "-c", "conciseness", "-m", "openai/f", "--fail-on", "many"], 2, "--fail-on takes"),
        (["judge", "rows.jsonl", "-c", "conciseness", "-m", "openai/f", "--max-cost", "1"], 2, "--max-cost needs prices"),
        (["judge", "rows.jsonl", "-c", "conciseness", "-m", "openai/f", "--order", "score-first"], 2, "for the nano format"),
        (["judge", "rows.jsonl", "--no-such-flag"], 2, "No such option"),
        (["report", "nowhere"], 3, "is no run"),
        (["criteria", "faithfullness"], 2, "did you mean 'faithfulness'"),
    ],
)  # fmt: skip
def test_wrong_words_get_a_sentence_and_an_exit_code(glider, rows, words, code, told):
    finished = glider(*words, code=code)
    assert told in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("always", "code", "failure"),
    [("nonsense", 4, "read/missing_part"), ("too_long", 3, "prepare/prompt_too_long")],
)  # fmt: skip
def test_an_endpoint_that_always_fails(glider, rows, tmp_path, always, code, failure):
    with FakeServer(answer=ANSWER, always=always) as bad:
        finished = glider(
            *JUDGE, rows, "--base-url", bad.url, "--max-retries", "0", "--run", "run", code=code
        )
    assert failure in finished.stderr
    assert "nothing was judged" in finished.stderr
    assert json.loads((tmp_path / "run/summary.json").read_text())["failed"] == 20


@pytest.mark.parametrize("always", ["unauthorized", "not_found"])
def test_an_endpoint_that_lets_nobody_in_stops_the_run_which_goes_on_later(
    glider, rows, tmp_path, always
):
    with FakeServer(answer=ANSWER, always=always) as server:
        words = [*JUDGE, rows, "--base-url", server.url, "--run", "run"]
        stopped = glider(*words, code=4)
        assert server.stats()["requests"] == 1
        assert "access_refused" in stopped.stderr
        assert "0 outcomes are kept" in stopped.stderr
        assert (tmp_path / "run/journal.jsonl").read_bytes() == b""
        server.always = None
        glider(*words, "--resume", code=0)
    assert json.loads((tmp_path / "run/summary.json").read_text())["judged"] == 20


def test_fail_on_is_a_share_or_a_count(glider, tmp_path):
    lines = [json.dumps(row) for row in ROWS[:10]]
    lines[0] = "{}"
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    for allowed, code in (("10%", 0), ("9%", 5), ("0.05", 5), ("1", 0), ("0", 5)):
        glider(*JUDGE, "rows.jsonl", "--fail-on", allowed, "--run", f"run-{allowed}", code=code)


def test_resuming_under_other_settings_is_refused_with_the_difference(glider, rows):
    glider(*JUDGE, rows, "--limit", "5", "--run", "run")
    finished = glider(*JUDGE, rows, "--limit", "6", "--run", "run", "--resume", code=2)
    assert "settings.source.limit: 5 before, 6 now" in finished.stderr
    rows.write_text(rows.read_text() + "\n")
    finished = glider(*JUDGE, rows, "--limit", "5", "--run", "run", "--resume", code=2)
    assert "input_sha256" in finished.stderr


def test_a_run_goes_on_with_the_endpoint_it_began_with(glider, rows):
    glider(*JUDGE, rows, "--run", "run")
    with FakeServer(answer=ANSWER) as other:
        finished = glider(*JUDGE, rows, "--run", "run", "--resume", "--base-url", other.url, code=2)
        assert other.stats()["requests"] == 0
    assert "settings.base_url" in finished.stderr


def test_a_finished_run_resumes_to_nothing(glider, rows, tmp_path):
    glider(*JUDGE, rows, "--run", "run")
    before = (tmp_path / "run/journal.jsonl").read_bytes()
    done = glider(*JUDGE, rows, "--run", "run", "--resume", "-o", "all.jsonl")
    assert "20 outcomes done" in done.stderr
    assert len(records((tmp_path / "all.jsonl").read_text())) == 20
    assert (tmp_path / "run/journal.jsonl").read_bytes() == before
    finished = glider(*JUDGE, rows, "--run", "run", code=3)
    assert "is not empty" in finished.stderr


def start(tmp_path, server, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "glider.cli.main", *words],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OPENAI_BASE_URL": server.url},
    )  # fmt: skip


def wait_for(path: Path, lines: int, end: bytes = b"\n") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(end) >= lines:
            return
        time.sleep(0.005)
    raise AssertionError(f"{path} did not get {lines} lines")


def test_kill_it_and_lose_nothing(tmp_path):
    """SIGKILL at four moments, each followed by --resume: every row exactly once."""
    n = 300
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"id": str(i), "output": f"text {i}"}) + "\n" for i in range(n))
    )
    rng = random.Random(11)
    words = [*JUDGE, "-c", "fluency", "rows.jsonl", "--run", "run", "--max-connections", "8"]
    journal = tmp_path / "run/journal.jsonl"
    with FakeServer(answer=ANSWER, delay_s=0.01, process=True) as server:
        for kill in range(4):
            process = start(tmp_path, server, *words, *(["--resume"] if kill else []))
            wait_for(journal, 40 + kill * 100 + rng.randrange(60))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        process = start(tmp_path, server, *words, "--resume")
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
    lines = journal.read_bytes().splitlines()
    counted = Counter((r["row"], r["outcome"]["criterion"]) for r in map(json.loads, lines))
    assert set(counted) == {(i, c) for i in range(n) for c in ("conciseness", "fluency")}
    assert set(counted.values()) == {1}
    kept = [
        json.loads(line)["row"]
        for line in (tmp_path / "run/samples.jsonl").read_text().splitlines()
    ]
    assert kept == list(range(n))


def test_ctrl_c_closes_the_journal_and_prints_how_to_go_on(tmp_path):
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"output": f"t {i}"}) + "\n" for i in range(500))
    )
    with FakeServer(answer=ANSWER, delay_s=0.02) as server:
        process = start(
            tmp_path, server, *JUDGE, "rows.jsonl", "--run", "run", "--max-connections", "4"
        )
        wait_for(tmp_path / "run/journal.jsonl", 20)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "outcomes are kept" in told
    assert "glider judge --model openai/fake -c conciseness rows.jsonl --run run" in told
    assert "--max-connections 4 --resume\n" in told
    assert "Traceback" not in told


def test_a_finished_run_that_is_stopped_when_retried_is_not_finished(glider, rows, tmp_path):
    words = [*JUDGE, "rows.jsonl", "--run", "run", "--max-retries", "0", "--max-connections", "2"]
    summary = tmp_path / "run/summary.json"
    with FakeServer(answer=ANSWER, always="overloaded", delay_s=0.2) as server:
        glider(*words, code=4, OPENAI_BASE_URL=server.url)
        assert json.loads(summary.read_text())["finished"] is True
        server.always = None
        process = start(tmp_path, server, *words, "--resume", "--retry-failures")
        wait_for(tmp_path / "run/journal.jsonl", 1, b'"kind":"judgment"')
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    glider("report", "run")
    assert json.loads(summary.read_text())["finished"] is False
    page = (tmp_path / "run/report.html").read_text("utf-8")
    assert "This run is incomplete" in page
    assert "<code>--run run --resume</code>" in page


def test_a_full_disk_keeps_what_was_judged(tmp_path):
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"output": f"t {i}"}) + "\n" for i in range(200))
    )
    # A file may not grow past 30 kB: writing fails as on a full disk.
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        "sys.argv[0] = 'glider'; from glider.cli.main import main; main()"
    )
    with FakeServer(answer=ANSWER) as server:
        env = os.environ | {"OPENAI_BASE_URL": server.url}
        words = [*JUDGE, "rows.jsonl", "--run", "run"]
        full = subprocess.run(
            [sys.executable, "-c", limited, *words],
            cwd=tmp_path, capture_output=True, text=True, env=env,
        )  # fmt: skip
        assert full.returncode == 3
        assert "finished judgments are kept" in full.stderr
        process = start(tmp_path, server, *words, "--resume")
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
    rows = [
        json.loads(line)["row"]
        for line in (tmp_path / "run/journal.jsonl").read_text().splitlines()
    ]
    assert sorted(rows) == list(range(200))


def test_pairs_are_compared_in_both_orders(glider, tmp_path):
    lines = [
        {"input": "Which?", "outputs": ["first text", "second text"]},
        {"outputs": ["a", "b", "c"]},
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    answer = json.dumps({"reasoning": "r", "highlights": [], "score": 0})
    with FakeServer(answer=answer) as first_always:
        told = records(
            glider(*JUDGE, "pairs.jsonl", "--base-url", first_always.url, "--run", "run").stdout
        )
    assert len(told) == 1 + 3
    # Whatever stands first wins: the judge has no preference but for the place.
    assert {(o["kind"], o["preferred"], o["flipped"]) for o in told} == {("comparison", None, True)}
    glider("report", "run")
    assert (tmp_path / "run/report.html").stat().st_size > 1000


def test_help_fits_its_words(glider, process):
    for words in ((), ("judge",), ("report",), ("criteria",), ("models",), ("demo",)):
        told = glider(*words, "--help").stdout
        assert "Usage" in told
    assert "faithfulness" in glider("criteria").stdout
    assert "embedded/smollm2-135m-instruct" in glider("models").stdout
    assert process("--version").stdout.startswith("glider 0.")
