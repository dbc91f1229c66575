"""A run whose files are damaged or gone: one message that names the file, and never a traceback."""

import json
import shutil

import in_process
import pytest

from glider.testing.server import FakeServer

ANSWER = json.dumps({"reasoning": "Fine.", "highlights": [], "score": 4})
JUDGE = ("judge", "rows.jsonl", "-m", "openai/fake", "-c", "conciseness", "--run", "run")
COMMANDS = [
    (*JUDGE, "--resume"),
    (*JUDGE, "--resume", "--retry-failures"),
    ("report", "run"),
    ("gate", "run", "--check", "failed <= 0"),
    ("calibrate", "run"),
]
DAMAGE = {
    "empty": lambda text: "",
    "garbage": lambda text: "\x00garbage\n",
    "garbage line": lambda text: "garbage\n" + text,
    "another shape": lambda text: '{"row": 0, "outcome": 1, "version": 1}\n',
    "a list": lambda text: "[1]\n",
    "a bad outcome": lambda text: text.replace('"score":4', '"score":"four"'),
    "null": lambda text: "null\n",
    "gone": None,
}


@pytest.fixture(scope="module")
def server():
    with FakeServer(answer=ANSWER) as running:
        yield running


@pytest.fixture(scope="module")
def whole(tmp_path_factory, server):
    folder = tmp_path_factory.mktemp("whole")
    lines = [{"id": f"r{n}", "output": f"Text {n}.", "label": 1 + n % 5} for n in range(6)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = in_process.glider(*JUDGE, cwd=folder, env={"OPENAI_BASE_URL": server.url})
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", ["manifest.json", "criteria.json", "samples.jsonl", "journal.jsonl", "summary.json"])  # fmt: skip
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[-2:]))
def test_what_is_damaged_is_named(tmp_path, whole, server, name, words):
    for how, damaged in DAMAGE.items():
        folder = tmp_path / how
        shutil.copytree(whole, folder)
        file = folder / "run" / name
        if damaged is None:
            file.unlink()
        else:
            file.write_text(damaged(file.read_text("utf-8")), "utf-8")
        done = in_process.glider(*words, cwd=folder, env={"OPENAI_BASE_URL": server.url})
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 2, 3, 5), f"{how}: {done.stderr}"
        assert done.returncode == 0 or "error (" in done.stderr or "FAIL" in done.stderr, (
            done.stderr
        )


def test_a_damaged_line_is_named_before_failures_are_forgotten(tmp_path, whole, server):
    shutil.copytree(whole / "run", tmp_path / "run")
    shutil.copy(whole / "rows.jsonl", tmp_path)
    journal = tmp_path / "run/journal.jsonl"
    lines = journal.read_text("utf-8").splitlines(keepends=True)
    journal.write_text("".join([*lines[:2], "{half\n", *lines[2:]]), "utf-8")
    before = journal.read_bytes()
    words = (*JUDGE, "--resume", "--retry-failures")
    done = in_process.glider(*words, cwd=tmp_path, env={"OPENAI_BASE_URL": server.url})
    assert done.returncode == 3
    assert "journal.jsonl:3: damaged line" in done.stderr
    assert journal.read_bytes() == before
    assert [
        p.name for p in (tmp_path / "run").iterdir() if "kept" in p.name or ".new" in p.name
    ] == []
